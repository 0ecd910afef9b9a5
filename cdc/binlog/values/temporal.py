"""DATE, TIME, DATETIME, TIMESTAMP and YEAR → the server's own text, zero and partly zero dates included.

The packed forms since MySQL 5.6 / MariaDB 10.1 (mysys/my_time.c; big-endian, n = 0 to 3 bytes of fraction):

    DATETIME2   5 + n   0x8000000000 + (year * 13 + month) << 22 | day << 17 | hour << 12 | minute << 6 | second
    TIME2       3 + n   0x800000 + hour << 12 | minute << 6 | second; the whole with its fraction counts below it for
                        negative times
    TIMESTAMP2  4 + n   seconds since 1970 UTC; 0 is the zero date

and the older forms (little-endian): DATE 3 = year << 9 | month << 5 | day; TIME 3, DATETIME 8 = their digits as a
number; TIMESTAMP 4. MariaDB before 10.1 had its own forms for fractions (sql/field.cc, Field_*_hires; big-endian): one
count of the last digit's unit, from the zero date, from -839 hours, or behind TIMESTAMP's four bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_DATETIME_OFFSET: Final = 0x8000000000
_TIME_OFFSET: Final = 0x800000
_DAY_SECONDS: Final = 86_400
_MOST_DATES: Final = 4096
_TWO: Final = tuple(f"{number:02d}" for number in range(64))


def fraction_width(decimals: int) -> int:
    """Bytes that ``decimals`` (0 to 6) digits of a second take. ValueError for other numbers."""
    # Another number of digits would shift every later column of the row.
    if not 0 <= decimals <= 6:
        raise ValueError(f"{decimals} digits of a second")
    return (decimals + 1) // 2


def _fraction(value: int, decimals: int) -> str:
    """``value`` counts hundredths, ten-thousandths or millionths: the width's own unit."""
    return "." + f"{value:0{2 * fraction_width(decimals)}d}"[:decimals] if decimals else ""


def datetime2_decoder(decimals: int) -> Callable[[bytes], str]:
    """Bytes of DATETIME(decimals) → ``2026-01-31 23:59:59.5``."""
    bits = 8 * fraction_width(decimals)
    mask = (1 << bits) - 1

    def decode(raw: bytes) -> str:
        packed = int.from_bytes(raw, "big")
        whole = (packed >> bits) - _DATETIME_OFFSET
        return datetime_text(whole) + _fraction(packed & mask, decimals)

    return decode


def datetime_text(whole: int) -> str:
    """The text of DATETIME2's 40 bits, after their offset is taken away."""
    return f"{_DATES[whole >> 17]} {_TWO[whole >> 12 & 31]}:{_TWO[whole >> 6 & 63]}:{_TWO[whole & 63]}"


class _Dates(dict[int, str]):
    """Dates as DATETIME2 packs them → text. A log has few dates and many times. Bounded: it starts over when full."""

    def __missing__(self, packed: int) -> str:
        # Dates repeat, but a table of birthdays may hold very many.
        if len(self) >= _MOST_DATES:
            self.clear()
        year, month = divmod(packed >> 5, 13)
        text = self[packed] = f"{year:04d}-{month:02d}-{packed & 31:02d}"
        return text


class _Days(dict[int, str]):
    """Days since 1970 → text. Bounded in the same way."""

    def __missing__(self, day: int) -> str:
        if len(self) >= _MOST_DATES:
            self.clear()
        at = time.gmtime(day * _DAY_SECONDS)
        text = self[day] = f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}"
        return text


_DATES: Final = _Dates()
_DAYS: Final = _Days()


def time2_decoder(decimals: int) -> Callable[[bytes], str]:
    """Bytes of TIME(decimals) → ``-838:59:59.00``."""
    bits = 8 * fraction_width(decimals)

    def decode(raw: bytes) -> str:
        return time_text(int.from_bytes(raw, "big") - (_TIME_OFFSET << bits), bits, decimals)

    return decode


def time_text(packed: int, bits: int, decimals: int) -> str:
    """A signed TIME2 with ``bits`` of fraction → text."""
    # TIME may be negative, down to -838:59:59.
    sign = "-" if packed < 0 else ""
    packed = abs(packed)
    whole = packed >> bits
    return (
        f"{sign}{whole >> 12 & 1023:02d}:{whole >> 6 & 63:02d}:{whole & 63:02d}"
        f"{_fraction(packed & ((1 << bits) - 1), decimals)}"
    )


def timestamp2_decoder(decimals: int) -> Callable[[bytes], str]:
    """Bytes of TIMESTAMP(decimals) → its text in UTC."""
    bits = 8 * fraction_width(decimals)
    mask = (1 << bits) - 1

    def decode(raw: bytes) -> str:
        packed = int.from_bytes(raw, "big")
        return _utc(packed >> bits) + _fraction(packed & mask, decimals)

    return decode


def timestamp_decoder(raw: bytes) -> str:
    """The four bytes of the old TIMESTAMP → its text in UTC."""
    return _utc(int.from_bytes(raw, "little"))


def _utc(seconds: int) -> str:
    # The server keeps the zero date as 0, so 1970-01-01 00:00:00 cannot be stored.
    if seconds == 0:
        return "0000-00-00 00:00:00"
    day, rest = divmod(seconds, _DAY_SECONDS)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_DAYS[day]} {_TWO[hour]}:{_TWO[minute]}:{_TWO[second]}"


_HIRES_BYTES: Final = {  # by decimals
    "TIMESTAMP": (4, 5, 5, 6, 6, 7, 7),
    "DATETIME": (8, 6, 6, 7, 7, 7, 8),
    "TIME": (3, 4, 4, 5, 5, 5, 6),
}
_HIRES_TIME_ZERO: Final = 839 * 3600


def hires_width(kind: str, decimals: int) -> int:
    """Bytes of MariaDB's old TIMESTAMP, DATETIME or TIME with 1 to 6 decimals."""
    return _HIRES_BYTES[kind][decimals]


def hires_decoder(kind: str, decimals: int) -> Callable[[bytes], str]:
    """Decodes the bytes of MariaDB's old TIMESTAMP, DATETIME or TIME with 1 to 6 decimals → text."""
    unit: int = 10**decimals

    def timestamp(raw: bytes) -> str:
        fraction = int.from_bytes(raw[4:], "big")
        return f"{_utc(int.from_bytes(raw[:4], 'big'))}.{fraction:0{decimals}d}"

    def datetime(raw: bytes) -> str:
        packed, fraction = divmod(int.from_bytes(raw, "big"), unit)
        packed, second = divmod(packed, 60)
        packed, minute = divmod(packed, 60)
        packed, hour = divmod(packed, 24)
        packed, day = divmod(packed, 32)
        year, month = divmod(packed, 13)
        return f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}.{fraction:0{decimals}d}"

    def duration(raw: bytes) -> str:
        packed = int.from_bytes(raw, "big") - _HIRES_TIME_ZERO * unit
        sign = "-" if packed < 0 else ""
        seconds, fraction = divmod(abs(packed), unit)
        return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{decimals}d}"

    return {"TIMESTAMP": timestamp, "DATETIME": datetime, "TIME": duration}[kind]


def date_decoder(raw: bytes) -> str:
    """The three bytes of DATE → ``2026-01-31``."""
    packed = int.from_bytes(raw, "little")
    return f"{packed >> 9:04d}-{packed >> 5 & 15:02d}-{packed & 31:02d}"


def datetime_decoder(raw: bytes) -> str:
    """The eight bytes of the old DATETIME: the digits YYYYMMDDhhmmss as a number."""
    text = f"{int.from_bytes(raw, 'little'):014d}"
    return f"{text[:-10]}-{text[-10:-8]}-{text[-8:-6]} {text[-6:-4]}:{text[-4:-2]}:{text[-2:]}"


def time_decoder(raw: bytes) -> str:
    """The three bytes of the old TIME: the digits hhmmss as a signed number."""
    number = int.from_bytes(raw, "little", signed=True)
    text = f"{abs(number):06d}"
    return f"{'-' if number < 0 else ''}{text[:-4]}:{text[-4:-2]}:{text[-2:]}"


def year_decoder(raw: bytes) -> int:
    """The byte of YEAR: years since 1900, 0 for the year 0000."""
    return 1900 + raw[0] if raw[0] else 0
