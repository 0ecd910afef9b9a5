"""Amounts and quantities as exact text: decimal text in, plain decimal text out, and never a float.

Pure. Magento keeps sales amounts as decimal(20,4) (12,4 in old releases), catalogue prices as decimal(20,6) and
quantities as decimal(12,4). Modules may widen these, so any scale is possible.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from cdc.model import Value
from mappers.remembered import remembered

_PLAIN = re.compile(r"(-?)0*(\d+)(?:\.(\d*?)0*)?")  # sign, whole part, fraction without its trailing zeros
_EXACT: Final = Context(prec=200, traps=[Inexact, InvalidOperation])  # MySQL's widest decimal has 65 digits
ZERO: Final = Decimal(0)


class NotANumberError(ValueError):
    """A column of amounts has another value. The error's text does not show the value."""

    def __init__(self) -> None:
        super().__init__("an amount or quantity is no number")


@remembered
def money(value: Value) -> str:
    """Plain decimal text, at least two decimals (``59.90``, ``0.125``); "" for NULL. Raises NotANumberError."""
    if value is None or value == "":
        return ""
    sign, whole, fraction = _parts(value)
    fraction = fraction.ljust(2, "0")
    return f"{sign}{whole}.{fraction}"


@remembered
def quantity(value: Value) -> str:
    """Plain decimal text without trailing zeros (``2``, ``0.5``); "" for NULL. NotANumberError for other values."""
    if value is None or value == "":
        return ""
    sign, whole, fraction = _parts(value)
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def positive(value: Value) -> str:
    """Like ``money``, without the sign: Magento stores an order's discount as a negative amount."""
    return money(value).removeprefix("-")


def difference(amount: Value, less: Value) -> str:
    """``money`` of amount - less. NULL for ``less`` counts as 0; NULL for ``amount`` gives ""."""
    # Subtracting nothing keeps the text as it is written.
    if is_zero(less) or amount is None or amount == "":
        return money(amount)
    return money(f"{_EXACT.subtract(number(amount), number(less)):f}")


def total(values: Iterable[Value]) -> str:
    """``money`` of the sum; NULLs count as 0."""
    added = ZERO
    for value in values:
        added = _EXACT.add(added, number(value))
    return money(f"{added:f}")


@remembered
def number(value: Value) -> Decimal:
    """The exact number; 0 for NULL. NotANumberError for other values."""
    if value is None or value == "":
        return ZERO
    try:
        # A float's shortest notation is the number that was stored.
        found = _EXACT.create_decimal(repr(value) if isinstance(value, float) else value)  # type: ignore[arg-type]
    except (InvalidOperation, TypeError):  # bytes, or text that is no number
        raise NotANumberError from None
    # NaN and infinity are no amounts.
    if not found.is_finite():
        raise NotANumberError
    return found


def is_zero(value: Value) -> bool:
    """Whether the value is NULL or zero."""
    # Decimal text comes in many lengths: 0, 0.00, 0.0000.
    if isinstance(value, str):
        return not value.strip("-0.")
    return not value


def _parts(value: Value) -> tuple[str, str, str]:
    """Sign, whole part, fraction without trailing zeros."""
    match = _PLAIN.fullmatch(value) if isinstance(value, str) else None
    # The usual case is decimal text, which needs no arithmetic.
    if match is None:  # a column that someone made an integer or a double
        match = _PLAIN.fullmatch(f"{number(value):f}")
        assert match is not None, "a finite Decimal in 'f' format is plain"
    sign, whole, fraction = match[1], match[2], match[3] or ""
    return ("" if whole == "0" and not fraction else sign), whole, fraction
