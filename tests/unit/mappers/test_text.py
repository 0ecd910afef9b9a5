"""Text as properties carry it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.model import Value
from mappers.text import LIMIT, clean, from_html, lines


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="null"),
        pytest.param("  Mug \n", "Mug", id="trimmed"),
        pytest.param("a\x00b\x07\x1b\x7f\x9fc", "abc", id="control characters dropped"),
        pytest.param("a\tb\r\nc", "a b  c", id="those that part words become spaces"),
        pytest.param("Zoë 中 🎁", "Zoë 中 🎁", id="other languages and emoji stay"),
        pytest.param("a\ud83db", "ab", id="half an emoji cannot be written as UTF-8"),
        pytest.param(5, "5", id="number"),
        pytest.param(b"caf\xc3\xa9\xff", "café�", id="bytes of a binary collation"),
        pytest.param("x" * (LIMIT + 5), "x" * LIMIT, id="cut at HubSpot's limit"),
        pytest.param("x" * (LIMIT - 1) + " y", "x" * (LIMIT - 1), id="no space left at the cut"),
    ],
)
def test_text_is_trimmed_cleaned_and_cut(value: Value, text: str) -> None:
    """Text is trimmed, control characters dropped, and cut at 65,536 characters."""
    assert clean(value) == text


@given(st.text(max_size=50) | st.text(alphabet=" \t\n\x00\x1f\x85\ud800ab", max_size=50))
def test_clean_text_is_sendable_and_stays_the_same(text: str) -> None:
    """Clean text can be written as UTF-8, has no control characters, and is not changed by cleaning it again."""
    cleaned = clean(text)

    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in cleaned)
    assert clean(cleaned) == cleaned == cleaned.strip()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="null"),
        pytest.param("1 High Street", "1 High Street", id="one line"),
        pytest.param("1 High Street\r\n\n  Flat 2 \n", "1 High Street, Flat 2", id="lines joined, empty ones left out"),
        pytest.param("\n\n", "", id="nothing but line breaks"),
    ],
)
def test_street_lines_are_joined_by_a_comma(value: Value, text: str) -> None:
    """A street's lines are joined by ", "."""
    assert lines(value) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param(None, "", id="null"),
        pytest.param("plain & simple", "plain & simple", id="no HTML"),
        pytest.param("<p>Soft <b>cotton</b>.</p>\n<p>Warm</p>", "Soft cotton. Warm", id="blocks part, inline does not"),
        pytest.param("one<br/>two<BR>three", "one two three", id="line breaks"),
        pytest.param("5 &lt; 6 &amp; caf&eacute;&nbsp;au&#32;lait", "5 < 6 & café au lait", id="entities"),
        pytest.param("&lt;b&gt;not a tag&lt;/b&gt;", "<b>not a tag</b>", id="entities after tags"),
        pytest.param("1 < 2 and 3 > 2, <3", "1 < 2 and 3 > 2, <3", id="a bare sign is no tag"),
        pytest.param("<style>#a > b { color: red }</style>x<script>if (a<b) {}</script>y", "x y", id="styles, scripts"),
        pytest.param("a<!-- <p>hidden</p> -->b", "a b", id="comments"),
        pytest.param('<img alt="a > b" src="x">c', "c", id="a quoted sign does not end the tag"),
        pytest.param('<a href="x>y</a>z', "yz", id="a quote that is never closed"),
        pytest.param("<style>a{}", "", id="a style that is never closed"),
        pytest.param("<p></p><div> </div>", "", id="tags only"),
        pytest.param('<!DOCTYPE html><?xml version="1.0"?>x', "x", id="declarations"),
    ],
)
def test_html_becomes_text(html: Value, text: str) -> None:
    """Tags are removed, then entities decoded, then white space collapsed."""
    assert from_html(html) == text


@given(st.text(alphabet="<>/!-&;'\"ab sp\n", max_size=200))
def test_any_html_comes_out_as_clean_text(html: str) -> None:
    """Whatever a merchant pasted becomes clean text on one line."""
    text = from_html(html)

    assert text == clean(text)
    assert "\n" not in text
    assert "  " not in text


@pytest.mark.parametrize("piece", ["<a", '<a "', "<a '", "<!--", "<script", "<script>", "</script ", "&", "<", "< "])
def test_hostile_html_takes_linear_time(piece: str) -> None:
    """A megabyte of unfinished HTML is done within seconds: no pattern backtracks over it."""
    began = time.process_time()

    from_html(piece * (1_000_000 // len(piece)))

    assert time.process_time() - began < 5
