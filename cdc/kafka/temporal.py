"""Turns dates and times of other tools' messages back into the server's own text. Pure.

``digits``: the decimals of seconds that the column shows; None where they are not known: then as many as the value has.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

_EPOCH: Final = date(1970, 1, 1)
_START: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # DATETIME has no zone: messages count as if it were UTC
_ISO_TIME: Final = re.compile(r"^(-?\d{1,3}:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d)?$")
_SECOND: Final = 1_000_000_000


def date_of_days(days: int) -> str:
    """Days since 1970-01-01 as DATE. ValueError outside the years 1 to 9999."""
    try:
        return (_EPOCH + timedelta(days=days)).isoformat()
    except OverflowError as error:
        raise ValueError("days that are no date") from error


def datetime_of(count: int, per_second: int, digits: int | None) -> str:
    """``count`` units since 1970, ``per_second`` of them in a second, as DATETIME."""
    seconds, rest = divmod(count, per_second)
    try:
        text = (_START + timedelta(seconds=seconds)).isoformat(" ", "seconds")
    except OverflowError as error:
        raise ValueError("a number that is no time") from error
    return text + _fraction(rest * (_SECOND // per_second), digits)


def time_of(count: int, per_second: int, digits: int | None) -> str:
    """``count`` units, ``per_second`` of them in a second, as TIME; negative times as the server shows them."""
    seconds, rest = divmod(abs(count), per_second)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    fraction = _fraction(rest * (_SECOND // per_second), digits)
    return f"{'-' if count < 0 else ''}{hour:02d}:{minute:02d}:{second:02d}{fraction}"


def date_of_iso(text: str) -> str:
    """``2026-01-31`` or ``2026-01-31Z`` as DATE."""
    return date.fromisoformat(text[:10]).isoformat() if text[:4] != "0000" else text[:10]


def datetime_of_iso(text: str, digits: int | None) -> str:
    """``2026-01-31T23:59:58.5Z`` as DATETIME or TIMESTAMP in UTC; zero dates and other zones included."""
    if text.startswith("0000") or text[5:7] == "00" or text[8:10] == "00":
        whole, _, fraction = text.rstrip("Z").replace("T", " ").partition(".")
        return whole + _fraction(_nanoseconds(fraction), digits)
    head, dot, tail = text.partition(".")
    fraction = ""
    if dot:
        fraction = re.match(r"\d*", tail)[0]  # type: ignore[index]  # an empty match is a match
        text = head + tail[len(fraction) :]
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(" ", "seconds") + _fraction(_nanoseconds(fraction), digits)


def time_of_iso(text: str, digits: int | None) -> str:
    """``10:00:00.5Z`` as TIME."""
    match = _ISO_TIME.match(text)
    if match is None:
        raise ValueError("text that is no time")
    return match[1] + _fraction(_nanoseconds(match[2] or ""), digits)


def _nanoseconds(fraction: str) -> int:
    return int(fraction[:9].ljust(9, "0")) if fraction else 0


def _fraction(nanoseconds: int, digits: int | None) -> str:
    if digits is None:
        return f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f".{nanoseconds:09d}"[: digits + 1] if digits else ""
