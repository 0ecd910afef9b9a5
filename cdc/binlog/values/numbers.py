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
    """Bytes that a DECIMAL(precision, scale) takes. ValueError for a pair that no server makes."""
    if not 1 <= precision <= _MOST_DIGITS or not 0 <= scale <= min(precision, 38):
        raise ValueError(f"DECIMAL({precision},{scale})")
    whole, whole_left = divmod(precision - scale, _DIGITS_PER_GROUP)
    part, part_left = divmod(scale, _DIGITS_PER_GROUP)
    return 4 * (whole + part) + _BYTES_FOR_DIGITS[whole_left] + _BYTES_FOR_DIGITS[part_left]


def decimal_decoder(precision: int, scale: int) -> Callable[[bytes], str]:
    """Bytes of exactly ``decimal_width`` → text with ``scale`` decimals, as SELECT shows it (``-0.50``)."""
    width = decimal_width(precision, scale)
    top = 1 << (8 * width - 1)
    part_bits = 8 * decimal_width(scale, scale) if scale else 0
    part_mask = (1 << part_bits) - 1
    whole_of, part_of = _joiner(precision - scale, left_first=True), _joiner(scale, left_first=False)

    def decode(raw: bytes) -> str:
        packed = int.from_bytes(raw, "big")
        if packed & top:
            packed ^= top
            sign = ""
        else:
            packed = top - 1 - packed
            sign = "-"
        whole = packed >> part_bits
        if whole_of is not None:
            whole = whole_of(whole)
        if not scale:
            return f"{sign}{whole}"
        part = packed & part_mask
        if part_of is not None:
            part = part_of(part)
        return f"{sign}{whole}.{part:0{scale}d}" if part else f"{sign}{whole}{zeros}"

    zeros = "." + "0" * scale
    return decode


def _joiner(digits: int, *, left_first: bool) -> Callable[[int], int] | None:
    """Joins groups of digits into their number; None where there is only one group."""
    if digits <= _DIGITS_PER_GROUP:
        return None
    groups, left = divmod(digits, _DIGITS_PER_GROUP)
    sizes = [_DIGITS_PER_GROUP] * groups  # from the last to the first
    if left:
        sizes = [*sizes, left] if left_first else [left, *sizes]
    weights: list[tuple[int, int, int]] = []
    shift, weight = 0, 1
    for size in sizes:
        bits = 8 * _BYTES_FOR_DIGITS[size]
        weights.append((shift, (1 << bits) - 1, weight))
        shift += bits
        weight *= 10**size

    def join(packed: int) -> int:
        return sum((packed >> offset & mask) * weight for offset, mask, weight in weights)

    return join


def float_text(value: float) -> float:
    """A FLOAT as SELECT shows it: six significant digits (FLT_DIG). So the log and a SELECT give equal text."""
    return float(f"{value:.6g}")
