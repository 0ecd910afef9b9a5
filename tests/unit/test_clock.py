"""Times as people read them, whatever number came from outside."""

from __future__ import annotations

import pytest

from cdc.clock import iso_ms, iso_s


@pytest.mark.parametrize("write", [iso_s, iso_ms])
@pytest.mark.parametrize(
    ("ms", "day"), [(1_700_000_000_000, "2023-11-14"), (2**63 - 1, "9999-12-31"), (-5, "1970-01-01")]
)
def test_any_number_is_written_as_a_time(write: object, ms: int, day: str) -> None:
    """HubSpot's sync-status and other members' receipts may name any number of 63 bits: no command ends by it."""
    assert callable(write)
    assert str(write(ms)).startswith(day)


def test_no_time_is_written_as_nothing() -> None:
    """0 stands for a time that is not known."""
    assert (iso_ms(0), iso_ms(None)) == ("", "")
