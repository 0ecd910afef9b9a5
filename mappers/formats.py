"""A column's or JSON member's value as a property's text, by the type that the settings name.

Pure. These columns belong to modules and merchants, so any value is possible. A value that does not fit its type raises
``ValueError``, whose text never shows the value. Callers leave the property empty and warn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cdc.model import Value
from cdc.settings.mapping_columns import PropertyType
from mappers import money, times
from mappers.text import clean

_ZERO_DATE: Final = re.compile(r"0000-00-00(?:[ T]00:00:00(?:\.0+)?)?")
_PARTLY_ZERO: Final = re.compile(r"\d{4}-(?:00-\d\d|\d\d-00)(?:[ T].*)?")  # storable without strict mode; "none" too
_YES: Final = frozenset({"1", "true", "yes", "on", "y"})
_NO: Final = frozenset({"0", "false", "no", "off", "n"})
_DAY_MINUTES: Final = 24 * 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def text(value: Value, form: str = "") -> str:
    """The trimmed text; a zero date counts as empty, whatever the type."""
    found = clean(value)
    # MySQL stores a zero date for "none", whatever the column's type is called.
    return "" if found.startswith("0000-00-00") and _ZERO_DATE.fullmatch(found) else found


def number(value: Value, form: str = "") -> str:
    """Plain decimal text without trailing zeros."""
    return _numeric(money.quantity, value)


def amount(value: Value, form: str = "") -> str:
    """Plain decimal text with at least two decimals."""
    return _numeric(money.money, value)


def day(value: Value, form: str = "") -> str:
    """``YYYY-MM-DD`` of a DATE, a DATETIME, ISO text, or text of the form ``form``; as written, without a time zone."""
    written = text(value)
    # Half a date cannot be sent, and is not an error of the merchant's.
    if not written or _PARTLY_ZERO.fullmatch(written):
        return ""
    # The merchant says how the text is written.
    if form:
        return _parsed(written, form).date().isoformat()
    found = times.day(written) if len(written) == 10 or written[10:11] in (" ", "T") else ""
    if not found:
        raise ValueError("is no date")
    return found


def moment(value: Value, form: str = "") -> str:
    """Epoch milliseconds of a DATETIME, ISO text, or text of the form ``form``; a time without a zone is UTC."""
    written = text(value)
    if not written or _PARTLY_ZERO.fullmatch(written):
        # A date with a zero month or day has no moment.
        return ""
    try:
        found = _parsed(written, form) if form else datetime.fromisoformat(written)
    except ValueError:
        raise ValueError("is no date and time") from None
    # Magento stores times in UTC without saying so.
    aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return str((aware - _EPOCH) // timedelta(milliseconds=1))


def truth(value: Value, form: str = "") -> str:
    """``true`` or ``false``."""
    written = clean(value).lower()
    if written in _YES:
        return "true"
    if written in _NO:
        return "false"
    # A third answer would be shown as a yes or a no.
    if written:
        raise ValueError("is neither yes nor no")
    return ""


def clock(value: Value, form: str = "") -> str:
    """``HH:MM`` from whole minutes since midnight."""
    written = clean(value)
    if not written:
        return ""
    # More than a day of minutes is another unit.
    if not written.isascii() or not written.isdecimal() or len(written) > 4 or int(written) > _DAY_MINUTES:
        raise ValueError("is no number of minutes since midnight")
    hours, minutes = divmod(int(written), 60)
    return f"{hours:02}:{minutes:02}"


def _numeric(format_number: Callable[[Value], str], value: Value) -> str:
    try:
        return format_number(value.strip() if isinstance(value, str) else value)
    except money.NotANumberError:
        raise ValueError("is no number") from None


def _parsed(written: str, form: str) -> datetime:
    try:
        return datetime.strptime(written, form)  # noqa: DTZ007  # a zone comes with the form or is UTC
    except ValueError:
        raise ValueError(f"is no date of the form {form}") from None


FORMATS: Final[Mapping[PropertyType, Callable[[Value, str], str]]] = {
    PropertyType.TEXT: text,
    PropertyType.NUMBER: number,
    PropertyType.MONEY: amount,
    PropertyType.DATE: day,
    PropertyType.DATETIME: moment,
    PropertyType.BOOL: truth,
    PropertyType.MINUTES: clock,
}
"""Type → function of (value, form). Empty values give ""; each function raises ValueError for a value that
does not fit.
"""
