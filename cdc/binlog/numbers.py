"""DECIMAL and the other packed numbers.

DECIMAL(p, s) on disk and in the log (MySQL's ``decimal2bin``; https://dev.mysql.com/doc/dev/mysql-server/latest/ under
strings/decimal.cc): big-endian groups of nine digits in four bytes, the digits left over before the first and after the
last group in 1 to 4 bytes; the top bit is set for positive numbers, and all bits of negative ones are inverted.

    DECIMAL(12, 4): 8 digits in 4 bytes, 4 digits in 2: 80 00 00 3B | 23 28 is 59.9000, 7F FF FF C4 | DC D7 is -59.9000
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_DIGITS_PER_GROUP: Final = 9
_MOST_DIGITS: Final = 81  # columns have 65; the decimals inside JSON count their first group as nine digits
_BYTES_FOR_DIGITS: Final = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def decimal_width(precision: int, scale: int) -> int:
    """Bytes that a DECIMAL(precision, scale) takes. ValueError for a pair no server makes."""
    if not 1 <= precision <= _MOST_DIGITS or not 0 <= scale <= min(precision, 38):
        raise ValueError(f"DECIMAL({precision},{scale})")
    whole, whole_left = divmod(precision - scale, _DIGITS_PER_GROUP)
    part, part_left = divmod(scale, _DIGITS_PER_GROUP)
    return 4 * (whole + part) + _BYTES_FOR_DIGITS[whole_left] + _BYTES_FOR_DIGITS[part_left]


def decimal_decoder(precision: int, scale: int) -> Callable[[bytes], str]:
    """Bytes of exactly ``decimal_width`` → text with ``scale`` decimals, as SELECT shows it (``-0.50``)."""
    width = decimal_width(precision, scale)
    top = 1 << (8 * width - 1)
    whole, whole_left = divmod(precision - scale, _DIGITS_PER_GROUP)
    part, part_left = divmod(scale, _DIGITS_PER_GROUP)
    # From the last group to the first: bits it takes, and digits.
    groups = [(8 * _BYTES_FOR_DIGITS[part_left], part_left)] if part_left else []
    groups += [(32, _DIGITS_PER_GROUP)] * (part + whole)
    if whole_left:
        groups.append((8 * _BYTES_FOR_DIGITS[whole_left], whole_left))
    weights = []
    power = 1
    shift = 0
    for bits, digits in groups:
        weights.append((shift, (1 << bits) - 1, power))
        shift += bits
        power *= 10**digits
    unit = 10**scale

    def decode(raw: bytes) -> str:
        packed = int.from_bytes(raw, "big")
        sign = ""
        if packed & top:
            packed ^= top
        else:
            packed = top - 1 - packed
            sign = "-"
        number = 0
        for offset, mask, weight in weights:
            number += (packed >> offset & mask) * weight
        if not scale:
            return f"{sign}{number}"
        integer, fraction = divmod(number, unit)
        return f"{sign}{integer}.{fraction:0{scale}d}"

    return decode


def float_text(value: float) -> float:
    """A FLOAT as SELECT shows it: six significant digits (FLT_DIG), so that both readings of a row are equal."""
    return float(f"{value:.6g}")
