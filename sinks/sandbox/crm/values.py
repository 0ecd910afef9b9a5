"""Checks whether a value fits a property, and what HubSpot stores for it. Pure.

Texts are kept as they are, times become ISO 8601 in UTC (as Java prints an instant: no fraction when it is zero), dates
become ``YYYY-MM-DD``, emails lower case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.refusals import ValueProblem, refuse

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_EMAIL: Final = re.compile(r"[^\s@,;:<>()\[\]\"\\]+@[^\s@,;:<>()\[\]\"\\.]+(\.[^\s@,;:<>()\[\]\"\\.]+)+")
_WHOLE: Final = re.compile(r"-?\d{1,16}")
_SECONDS: Final = range(100_000_000, 10_000_000_000)
"""Whole numbers that count as seconds (March 1973 to 2286); as milliseconds they would be in early 1970."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A value as it is stored, or its fault; ``warning``: HubSpot's text about a changed value."""

    value: str = ""
    problem: ValueProblem | None = None
    warning: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A definition's rule for values. ``options``: allowed values (None: any text)."""

    name: str
    type: str
    options: Sequence[str] | None = None
    is_multiple: bool = False
    is_email: bool = False
    is_positive: bool = False


def text_of(raw: Any, name: str) -> str:
    """The text of a JSON value. CrmRefusalError for a value that is not a text, number or boolean."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float):
        return repr(raw)
    raise refuse(f"Invalid input JSON: cannot read the value of {name} as a text")


def check(rule: Rule, text: str, behaviour: Behaviour) -> Checked:
    """Check ``text`` by ``rule``. The empty text is always allowed: it clears the value."""
    # Every property can be cleared.
    if not text:
        return Checked()
    # Addresses have rules of their own, whatever the type.
    if rule.is_email:
        return _email(rule, text, behaviour)
    return _BY_TYPE.get(rule.type, _text)(rule, text, behaviour)


def _wrong(rule: Rule, code: str, message: str) -> Checked:
    return Checked(problem=ValueProblem(rule.name, code, message))


def _text(rule: Rule, text: str, behaviour: Behaviour) -> Checked:
    if len(text) > behaviour.max_text:
        return _wrong(rule, "INVALID_STRING_LENGTH", f"{rule.name} is longer than {behaviour.max_text} characters.")
    return Checked(text)


def _email(rule: Rule, text: str, behaviour: Behaviour) -> Checked:
    address = text.strip().lower()
    # Longer than any mail server takes.
    if not _EMAIL.fullmatch(address) or len(address) > 254:
        return _wrong(rule, "INVALID_EMAIL", f"Email address {text} is invalid")
    # A person asked to be forgotten: HubSpot never takes this address again.
    if address in behaviour.blocked_emails:
        return _wrong(rule, "GDPR_BLACKLISTED_EMAIL", f"{text}: email has been GDPR blacklisted")
    return Checked(address)


def _number(rule: Rule, text: str, _behaviour: Behaviour) -> Checked:
    if not _NUMBER.fullmatch(text.strip()):
        return _wrong(rule, "INVALID_NUMBER", f"{text} was not a valid number.")
    # Prices and the like.
    if rule.is_positive and float(text) < 0:
        return _wrong(rule, "INVALID_NUMBER", f"{text} must not be negative.")
    return Checked(text.strip())


def _option(rule: Rule, text: str, _behaviour: Behaviour) -> Checked:
    # Several choices come with semicolons between them.
    wanted = [part for part in text.split(";") if part] if rule.is_multiple else [text]
    if rule.options is not None and any(part not in rule.options for part in wanted):
        allowed = ", ".join(list(rule.options)[:100])
        return _wrong(rule, "INVALID_OPTION", f"{text} was not one of the allowed options: [{allowed}]")
    return Checked(text)


def _datetime(rule: Rule, text: str, _behaviour: Behaviour) -> Checked:
    moment = _moment(text)
    if moment is None:
        return _wrong(rule, "INVALID_DATE", f"{text} was not a valid time.")
    stored = iso(moment)
    # HubSpot guesses seconds for small numbers and says so in a warning.
    return Checked(stored, warning=_normalised(rule.name, text, stored) if _is_seconds(text) else None)


def _date(rule: Rule, text: str, behaviour: Behaviour) -> Checked:
    moment = _moment(text)
    if moment is None:
        return _wrong(rule, "INVALID_DATE", f"{text} was not a valid date.")
    stored = moment.date().isoformat()
    is_midnight = moment == datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    # A date, or its midnight in milliseconds, is stored as it is.
    if text == stored or (_WHOLE.fullmatch(text) and is_midnight and not _is_seconds(text)):
        return Checked(stored)
    # Accounts differ: some refuse a time of day, some cut it off.
    if not behaviour.normalise_dates:
        return _wrong(rule, "INVALID_DATE", f"{text} is at {moment.time()} UTC, not midnight!")
    return Checked(stored, warning=_normalised(rule.name, text, stored))


def _is_seconds(text: str) -> bool:
    return bool(_WHOLE.fullmatch(text)) and int(text) in _SECONDS


def _normalised(name: str, raw: str, stored: str) -> Mapping[str, Any]:
    return {
        "category": "PROPERTY_VALUE_NORMALIZED",
        "message": f"The value of {name} was normalized.",
        "context": {"propertyName": name, "rawValue": raw, "normalizedValue": stored},
    }


def _moment(text: str) -> datetime | None:
    """The moment of epoch milliseconds (or seconds, when the number is small), a date or ISO text; None if none."""
    try:
        if _WHOLE.fullmatch(text):
            unit_ms = 1000 if _is_seconds(text) else 1
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text) * unit_ms)
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), tzinfo=UTC)
        found = datetime.fromisoformat(text)
        # ISO text without a zone could be any moment.
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def iso(moment: datetime) -> str:
    """``2026-11-30T10:00:00Z``, with milliseconds when there are any."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    thousandth = moment.microsecond // 1000
    return f"{text}.{thousandth:03}Z" if thousandth else f"{text}Z"


def iso_ms(at_ms: int) -> str:
    """The same of epoch milliseconds."""
    return iso(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms))


_BY_TYPE: Final[Mapping[str, Callable[[Rule, str, Behaviour], Checked]]] = {
    "number": _number,
    "bool": _option,
    "enumeration": _option,
    "date": _date,
    "datetime": _datetime,
}
