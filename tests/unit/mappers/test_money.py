"""Amounts and quantities: exact decimal text."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.model import Value
from mappers import money

AMOUNTS = st.decimals(-(10**16), 10**16, places=4).map(lambda number: f"{number:f}")
ANY_SCALE = st.builds(
    lambda digits, places: f"{Decimal(digits).scaleb(-places):f}", st.integers(-(10**30), 10**30), st.integers(0, 20)
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="null"),
        pytest.param("", "", id="empty"),
        pytest.param("59.9000", "59.90", id="two decimals at least"),
        pytest.param("0.125000", "0.125", id="further decimals stay"),
        pytest.param("5.0000", "5.00", id="whole"),
        pytest.param("5", "5.00", id="no scale"),
        pytest.param("-10.5000", "-10.50", id="negative"),
        pytest.param("-0.0000", "0.00", id="no negative zero"),
        pytest.param("12345678901234567890.1234", "12345678901234567890.1234", id="too wide for a float"),
        pytest.param(7, "7.00", id="integer column"),
        pytest.param(0.1, "0.10", id="double column"),
        pytest.param(1e-7, "0.0000001", id="small double"),
        pytest.param(1e22, "10000000000000000000000.00", id="large double"),
    ],
)
def test_money_is_plain_decimal_text(value: Value, text: str) -> None:
    """Money is plain decimal text with trailing zeros trimmed to at least two decimals."""
    assert money.money(value) == text


@pytest.mark.parametrize("value", ["abc", "1.2.3", "NaN", "Infinity", float("nan"), b"1.5", "1,5"])
def test_what_is_no_number_is_refused(value: Value) -> None:
    """A decimal column that holds no number is an error, not a wrong amount; the error does not show the value."""
    with pytest.raises(ValueError, match="is no number") as error:
        money.money(value)
    assert str(value) not in str(error.value)


@given(ANY_SCALE)
def test_money_keeps_the_exact_value(text: str) -> None:
    """No digit is lost or invented, at any width; two decimals at least, no zero after them."""
    made = money.money(text)

    assert Decimal(made) == Decimal(text)
    fraction = made.partition(".")[2]
    assert len(fraction) == 2 or (len(fraction) > 2 and not fraction.endswith("0"))
    assert money.money(made) == made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="null"),
        pytest.param("2.0000", "2", id="whole"),
        pytest.param("0.5000", "0.5", id="part"),
        pytest.param("10.0000", "10", id="zeros before the point stay"),
        pytest.param("0.0000", "0", id="none"),
    ],
)
def test_quantity_has_no_trailing_zeros(value: Value, text: str) -> None:
    """A quantity is trimmed: 2, 0.5."""
    assert money.quantity(value) == text


@pytest.mark.parametrize(
    ("amount", "less", "text"),
    [
        pytest.param("64.9000", None, "64.90", id="nothing refunded"),
        pytest.param("64.9000", "0.0000", "64.90", id="zero refunded"),
        pytest.param("64.9000", "64.9000", "0.00", id="all refunded"),
        pytest.param("0.3000", "0.1000", "0.20", id="floats would be off here"),
        pytest.param("10.0000", "12.5000", "-2.50", id="more than all"),
        pytest.param(None, "1.0000", "", id="unknown amount"),
    ],
)
def test_difference_takes_off_what_was_refunded(amount: Value, less: Value, text: str) -> None:
    """A NULL refund is nothing; the difference is exact."""
    assert money.difference(amount, less) == text


@given(AMOUNTS, AMOUNTS)
def test_difference_and_total_are_exact(one: str, other: str) -> None:
    """Sums and differences of database amounts have no rounding."""
    assert Decimal(money.difference(one, other)) == Decimal(one) - Decimal(other)
    assert Decimal(money.total([one, None, other])) == Decimal(one) + Decimal(other)


def test_positive_drops_the_sign() -> None:
    """An order's discount is stored negative and sent positive."""
    assert money.positive("-6.4900") == "6.49"
    assert money.positive("0.0000") == "0.00"
