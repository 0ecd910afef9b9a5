"""HubSpot's faults of one input: its error objects, read into a closed list of kinds. Pure.

Every member of an error may be missing, and texts are written for people. So each kind is recognised by members that
are present. An unrecognised error is ``UNCLEAR`` and tried again later. Codes and names are kept only if they look like
codes and names: HubSpot's messages quote property values, which must not go any further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import orjson

MAX_MESSAGE: Final = 20_000
"""Characters of a message that are read."""

MAX_NAMES: Final = 20
"""The most properties that one fault keeps."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,99}")
_RECORD_ID = re.compile(r"[1-9][0-9]{0,19}")
_TAKEN = re.compile(r"\b([1-9][0-9]{0,19}) already has that value")
_EXISTING = re.compile(r"Existing ID: ([1-9][0-9]{0,19})\b")
_COORDINATE = re.compile(r"propertyName=([a-z][a-z0-9_]{0,99})\b")
_NON_UNIQUE = re.compile(r"by non-unique ")
_INVALID = "Property values were not valid: "


class FaultKind(Enum):
    """The action that a fault needs."""

    CONFLICT = "conflict"  # a unique value belongs to another record
    NOT_FOUND = "not_found"  # no such record
    UNKNOWN_PROPERTY = "unknown_property"  # send without the properties named
    READ_ONLY = "read_only"  # likewise
    NOT_UNIQUE = "not_unique"  # the property that should identify records is not unique
    BAD_LINK = "bad_link"  # an association names a record that is not there
    INVALID = "invalid"  # this input will never be taken
    SCOPES = "scopes"  # the token lacks a scope
    LATER = "later"  # HubSpot's own trouble
    UNCLEAR = "unclear"  # none of the above


@dataclass(frozen=True, slots=True)
class Fault:
    """One input's fault. ``code``: HubSpot's most telling code; ``properties``: their names, no values.

    ``existing_id``: with a conflict, the record that holds the value, "" if HubSpot does not name it.
    """

    kind: FaultKind
    code: str = ""
    properties: tuple[str, ...] = ()
    existing_id: str = ""

    @property
    def text(self) -> str:
        """The fault in words, without values."""
        named = f" ({', '.join(self.properties)})" if self.properties else ""
        return f"HubSpot says {self.code or self.kind.value}{named}"


_DROPPED: Final = {"PROPERTY_DOESNT_EXIST": FaultKind.UNKNOWN_PROPERTY, "READ_ONLY_VALUE": FaultKind.READ_ONLY}
_CONFLICT_CODES: Final = frozenset({"CONFLICTING_UNIQUE_VALUE", "UNIQUE_VALUE_CONFLICT", "CONTACT_EXISTS"})
_CONFLICT_CATEGORIES: Final = frozenset({"CONFLICT", "OBJECT_ALREADY_EXISTS"})
_LATER: Final = frozenset(
    {"RATE_LIMITS", "RATE_LIMIT", "INTERNAL_ERROR", "SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "LOCKED"}
)


def code_of(value: object) -> str:
    """The text if it looks like a code, else ""."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def record_id_of(value: object) -> str:
    """A record's id as text; "" for other values. HubSpot writes ids as digits, in JSON as text or number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and _RECORD_ID.fullmatch(text) else ""


def texts_of(value: object) -> list[str]:
    """The texts of a context member, which is a list of texts or, in older answers, a single text."""
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else str(item) for item in items[:2000] if isinstance(item, str | int)]


def context_of(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """An error's context, empty if it has none."""
    held = error.get("context")
    return held if isinstance(held, Mapping) else {}


def read_fault(error: Mapping[str, Any], status: int = 0) -> Fault:
    """One error object (an entry of ``errors``, or the body of a refused call with its ``status``)."""
    message = _message(error)
    details = list(_details(error, message))[:200]
    codes = [code for code, _ in details if code]
    category = code_of(error.get("category"))
    sub_category = code_of(error.get("subCategory"))
    existing = _existing_id(error, message)
    properties = tuple(dict.fromkeys(name for _, name in details if name))[:MAX_NAMES]
    code = next(iter(codes), "") or sub_category.rpartition(".")[2] or category
    # First of all: a conflict also carries validation codes, which would say "never".
    if existing or category in _CONFLICT_CATEGORIES or _CONFLICT_CODES.intersection(codes):
        return Fault(FaultKind.CONFLICT, code or "CONFLICT", properties, existing)
    for found, kind in _DROPPED.items():
        if found in codes:
            named = tuple(dict.fromkeys(name for code, name in details if code == found and name))
            # without a name there is nothing to leave out: this input can never be taken
            return Fault(kind if named else FaultKind.INVALID, found, named[:MAX_NAMES])
    # The key property is not unique, which concerns every input of the call.
    if _NON_UNIQUE.search(message):
        return Fault(FaultKind.NOT_UNIQUE, code or "NON_UNIQUE")
    # Categories of links differ by API version; their names have this in common.
    if "associations" in sub_category or "INVALID_IDENTIFIER" in (sub_category.rpartition(".")[2], *codes):
        return Fault(FaultKind.BAD_LINK, code)
    if category == "OBJECT_NOT_FOUND" or status == 404:
        return Fault(FaultKind.NOT_FOUND, code or "OBJECT_NOT_FOUND")
    if category == "MISSING_SCOPES":
        return Fault(FaultKind.SCOPES, category)
    # HubSpot's own trouble comes as an error of the input.
    if category in _LATER or _LATER.intersection(codes):
        return Fault(FaultKind.LATER, code)
    # Only what is positively a validation error may become a dead letter.
    if category == "VALIDATION_ERROR" or codes:
        return Fault(FaultKind.INVALID, code, properties)
    return Fault(FaultKind.UNCLEAR, code)


def _message(error: Mapping[str, Any]) -> str:
    held = error.get("message")
    return held[:MAX_MESSAGE] if isinstance(held, str) else ""


def _details(error: Mapping[str, Any], message: str) -> Iterator[tuple[str, str]]:
    """Pairs of code and property name, "" for a missing part: from nested errors, then from the message's JSON."""
    nested = error.get("errors")
    for item in nested[:500] if isinstance(nested, list) else []:
        # Entries of other shapes were seen, and say nothing.
        if not isinstance(item, Mapping):
            continue
        named = [name for name in texts_of(context_of(item).get("propertyName")) if _PROPERTY.fullmatch(name)]
        inner = item.get("in")
        # Some answers name the property in ``in`` only.
        if not named and isinstance(inner, str) and _PROPERTY.fullmatch(inner):
            named = [inner]
        code = code_of(item.get("code"))
        if code or named:
            yield from ((code, name) for name in named or [""])
        yield from _embedded(_message(item))
    yield from _embedded(message)
    yield from (("", name) for name in texts_of(context_of(error).get("propertyName")) if _PROPERTY.fullmatch(name))
    yield from (("", name) for name in _COORDINATE.findall(message))
    yield from ((code, "") for code in [code_of(error.get("error")), code_of(error.get("errorType"))] if code)


def _embedded(message: str) -> Iterator[tuple[str, str]]:
    """The list of ``{error, name}`` that HubSpot writes as JSON into the text of a validation error."""
    _, found, rest = message.partition(_INVALID)
    start, end = rest.find("["), rest.rfind("]")
    # The text holds no list, or it was cut.
    if not found or start < 0 or end < start:
        return
    try:
        items = orjson.loads(rest[start : end + 1])
    except orjson.JSONDecodeError:
        return
    for item in items if isinstance(items, list) else []:
        if isinstance(item, Mapping):
            name = item.get("name")
            yield code_of(item.get("error")), name if isinstance(name, str) and _PROPERTY.fullmatch(name) else ""


def _existing_id(error: Mapping[str, Any], message: str) -> str:
    """The record that has a unique value, in each of the forms that were seen."""
    # Both names were seen.
    for name in ("existingId", "existingObjectId"):
        for text in texts_of(context_of(error).get(name)):
            if record_id_of(text):
                return text
    profile, tokens = error.get("identityProfile"), error.get("errorTokens")
    # Contacts of the old API name the record's "vid".
    if isinstance(profile, Mapping) and record_id_of(profile.get("vid")):
        return record_id_of(profile.get("vid"))
    if isinstance(tokens, Mapping):
        for text in texts_of(tokens.get("existingObjectId")):
            if record_id_of(text):
                return text
    for text in (message, *_nested_messages(error)):
        found = _TAKEN.search(text) or _EXISTING.search(text)
        if found:
            return found[1]
    return ""


def _nested_messages(error: Mapping[str, Any]) -> Iterator[str]:
    nested = error.get("errors")
    for item in nested[:500] if isinstance(nested, list) else []:
        if isinstance(item, Mapping):
            yield _message(item)
