"""Changes survive being bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.change_codec import pack_changes, unpack_changes
from cdc.errors import StateError
from cdc.model import ABSENT, Change, Image, Op

VALUES = st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.just(ABSENT)
CELLS = st.none() | st.lists(VALUES, max_size=4).map(tuple)
CHANGES = st.builds(Change, st.text(), st.sampled_from(Op), CELLS, CELLS, st.booleans(), st.sampled_from(Image))


@given(st.lists(CHANGES, max_size=5))
def test_changes_come_back_as_they_went(changes: list[Change]) -> None:
    """Every table, operation, value, flag and ABSENT cell survives."""
    assert unpack_changes(pack_changes(changes)) == changes


@pytest.mark.parametrize("damage", [b"", b"x", b"[\x01\x00\x00\x00i\x01\x00\x00\x00"])
def test_bytes_of_something_else_are_refused(damage: bytes) -> None:
    """A damaged file is a StateError, not a crash."""
    with pytest.raises(StateError):
        unpack_changes(damage)
