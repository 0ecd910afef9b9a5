"""Inputs in pieces that keep a number of inputs and the bytes of the encoded body."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.crm.pieces import body_of, pieces


def form(text: str) -> dict[str, str]:
    """An input with one value."""
    return {"id": text}


@given(
    texts=st.lists(st.text(alphabet='aя字😀"\n', max_size=30), max_size=40),
    max_bytes=st.integers(1, 400),
    most=st.integers(1, 7),
    names=st.lists(st.sampled_from(["email", "имя"]), max_size=3),
)
def test_pieces_keep_both_limits_and_waste_no_room(
    texts: list[str], max_bytes: int, most: int, names: list[str]
) -> None:
    """In order and complete; a body over the limit holds one input; the next input would break one of the limits."""
    rest = {"properties": names}
    found = [list(piece) for piece in pieces(texts, form, max_bytes, most=most, rest=rest)]

    assert [text for piece in found for text in piece] == texts
    for at, piece in enumerate(found):
        assert 1 <= len(piece) <= most
        assert size(piece, rest) <= max_bytes or len(piece) == 1
        if at + 1 < len(found) and len(piece) < most:
            assert size([*piece, found[at + 1][0]], rest) > max_bytes


def size(texts: list[str], rest: dict[str, list[str]]) -> int:
    """Bytes of the body that holds them."""
    return len(orjson.dumps(body_of([form(text) for text in texts], rest)))


@pytest.mark.parametrize("letter", ["x", "я", "字", "😀"])
def test_letters_count_by_their_bytes(letter: str) -> None:
    """Text of any alphabet fills its bodies: the last byte that fits is used."""
    alone = size([letter * 10], {})
    both = size([letter * 10] * 2, {})

    assert len(list(pieces([letter * 10] * 2, form, both))) == 1
    assert len(list(pieces([letter * 10] * 2, form, both - 1))) == 2
    assert len(list(pieces([letter * 10], form, alone - 1))) == 1
