"""Statements cut into tokens as the servers cut them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.binlog.schema.tokens import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, Dialect, cut

PLAIN = Dialect()


def words(raw: bytes, dialect: Dialect = PLAIN) -> list[str] | None:
    """The tokens' texts; None where the statement cannot be cut."""
    found = cut(raw, dialect)
    return [token.text for token in found.tokens] if found.is_whole else None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"--\nTRUNCATE t", ["TRUNCATE", "t"]), (b"a --\tb\nc", ["a", "c"]), (b"a--b", ["a", "-", "-", "b"]),
        (b"a -- b", ["a"]), (b"a --", ["a"]), (b"# a\nb", ["b"]), (b"a #", ["a"]), (b"a --\x01 b\nc", ["a", "c"]),
        (b"/* a */ b", ["b"]), (b"/*! a */ b", ["a", "b"]), (b"/*!40101 a*/b", ["a", "b"]),
        (b"/*!123 a*/", ["123", "a"]), (b"/*M! a */ b", ["b"]), (b"2*/* two */3", ["2", "*", "3"]),
        (b"/*! a /* b */ c */ d", ["a", "c", "d"]), (b"/**/a", ["a"]), (b"/*+ hint */a", ["a"]),
        (b"`a``b`.c", ["a`b", ".", "c"]), (b"'a''b' \"c\"", ["'a''b'", '"c"']), (b"'a\\'b'", ["'a\\'b'"]),
        (b"a\x0bb\x0cc", ["a", "b", "c"]), ("é ü".encode(), ["é", "ü"]), (b"", []), (b"-- all", []),
    ],
)  # fmt: skip
def test_what_is_text_and_what_is_comment(raw: bytes, expected: list[str]) -> None:
    """Comments go, what servers execute of them stays, and an empty ``--`` line ends with itself."""
    assert words(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"'open", b'"open', b"`open", b"/* open", b"/*! open", b"'open\\'", b"a /*! b /*! c */ */", b"/* /* */ a */",
        b"a \0 b", b"-- a \0 b", b"`a\0`", b"caf\xe9", b"a \xa0 b", b"$$ a $$", b"a \x01 b",
    ],
)  # fmt: skip
def test_what_is_not_closed_or_not_known_is_not_cut(raw: bytes) -> None:
    """Servers log no such text: it was cut by wrong rules, and nothing after that position is certain."""
    assert words(raw) is None


def test_quotation_marks_follow_the_sessions_mode() -> None:
    """ANSI_QUOTES makes names of double quotes, NO_BACKSLASH_ESCAPES a plain character of the backslash."""
    ansi, plain = Dialect(ANSI_QUOTES), Dialect(NO_BACKSLASH_ESCAPES)

    assert [(t.kind, t.text) for t in cut(b'"a""b\\"', ansi).tokens] == [("name", 'a"b\\')]
    assert words(b"'C:\\', x", plain) == ["'C:\\'", ",", "x"]
    assert cut(b"'a\\nb'", plain).tokens[0].value == "a\\nb"
    assert cut(b"'a\\nb\\%'", PLAIN).tokens[0].value == "a\nb\\%"


@pytest.mark.parametrize(
    ("charset", "raw"),
    [
        ("gbk", b"'\x95\\', x"), ("sjis", b"'\x83\\', x"), ("cp932", b"'\x83\\', x"), ("big5", b"'\xa5\\', x"),
        ("gb18030", b"'\x95\\', x"),
    ],
)  # fmt: skip
def test_characters_of_several_bytes_come_first(charset: str, raw: bytes) -> None:
    """The second byte of such a character may be a backslash; to any other session it would be one."""
    assert words(raw, Dialect(charset=charset)) is not None
    assert words(raw, Dialect(charset="latin1")) is None


def test_mariadbs_own_comments_are_executed_by_mariadb_alone() -> None:
    """To MySQL ``/*M!`` opens a comment like any other."""
    assert words(b"/*M!100100 a */ b", Dialect(is_mariadb=True)) == ["a", "b"]
    assert words(b"/*M!100100 a */ b", Dialect(is_mariadb=False)) == ["b"]


def test_bytes_of_an_unknown_character_set_are_understood_only_as_ascii_or_utf8() -> None:
    """What cannot be told is not cut."""
    unknown = Dialect(charset=None)

    assert words("é".encode(), unknown) == ["é"]
    assert words(b"'\x95\\'", unknown) is None
    assert words(b"a", Dialect(charset="swe7")) is None


@given(st.binary(max_size=60), st.sampled_from([0, 4, 1 << 20, 4 | 1 << 20]), st.sampled_from(["utf8mb4", "gbk", None]))
def test_any_bytes_are_cut_or_refused(raw: bytes, sql_mode: int, charset: str | None) -> None:
    """Nothing raises, and what could be cut is cut the same with a comment behind it."""
    dialect = Dialect(sql_mode, charset)
    found = cut(raw, dialect)
    if found.is_whole and b"--" not in raw and b"#" not in raw:
        assert cut(raw + b" /* c */", dialect) == found
