"""Times and dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.model import Value
from mappers.times import day, epoch_ms

ZERO = [
    pytest.param(None, id="null"),
    pytest.param("", id="empty"),
    pytest.param("0000-00-00 00:00:00", id="zero date and time"),
    pytest.param("0000-00-00", id="zero date"),
    pytest.param("2026-00-10", id="no month"),
    pytest.param("2026-02-00 10:00:00", id="no day"),
    pytest.param("2026-02-30", id="no such day"),
]


@pytest.mark.parametrize("value", ZERO)
def test_zero_dates_are_empty(value: Value) -> None:
    """Magento runs without strict mode: zero and partly zero dates are stored, and mean no date."""
    assert epoch_ms(value) == ""
    assert day(value) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("1970-01-01 00:00:00", "0", id="epoch"),
        pytest.param("2026-03-01 10:00:00", "1772359200000", id="seconds"),
        pytest.param("2026-03-01 10:00:00.123456", "1772359200123", id="microseconds are cut"),
        pytest.param("1969-12-31 23:59:59", "-1000", id="before the epoch"),
        pytest.param("2026-03-01", "1772323200000", id="a date is its midnight in UTC"),
    ],
)
def test_times_are_epoch_milliseconds(value: Value, text: str) -> None:
    """Times are epoch milliseconds as text, read as UTC."""
    assert epoch_ms(value) == text


@given(st.integers(-(10**13), 10**13))
def test_milliseconds_are_exact(ms: int) -> None:
    """The text of a moment goes back to the same millisecond."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)

    assert epoch_ms(f"{moment:%Y-%m-%d %H:%M:%S.%f}") == str(ms)


@pytest.mark.parametrize("value", ["1980-02-29", "1980-02-29 00:00:00"])
def test_dates_have_no_time(value: str) -> None:
    """Dates are YYYY-MM-DD, also from a DATETIME."""
    assert day(value) == "1980-02-29"
