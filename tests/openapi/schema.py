"""JSON against the part of OpenAPI 3.0's schemas that HubSpot's files use. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

Schemas = Mapping[str, Mapping[str, Any]]
"""Name → schema, of one file's components."""

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def problems(value: Any, schema: Mapping[str, Any], schemas: Schemas, place: str = "") -> Iterator[str]:
    """Sentences about what does not fit, each with its place in the value (``results[].id``).

    A member that the schema does not list is a problem too: HubSpot's files are closed by intention, not by keyword.
    """
    schema = _resolved(schema, schemas)
    if value is None:
        if not schema.get("nullable") and schema:
            yield f"{place or 'the body'}: null"
        return
    kind = schema.get("type")
    if kind and not _is(value, kind):
        yield f"{place or 'the body'}: {type(value).__name__} where {kind} is wanted"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: a value that is not in the enum"
    if isinstance(value, dict):
        yield from _object(value, schema, schemas, place)
    elif isinstance(value, list):
        for item in value:
            yield from problems(item, schema.get("items", {}), schemas, f"{place}[]")
    elif "format" in schema and not _FORMATS.get(schema["format"], _any)(value):
        yield f"{place}: not of the format {schema['format']}"


def _resolved(schema: Mapping[str, Any], schemas: Schemas) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _object(value: Mapping[str, Any], schema: Mapping[str, Any], schemas: Schemas, place: str) -> Iterator[str]:
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    dot = f"{place}." if place else ""
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{dot}{name}: missing"
    for name, item in value.items():
        if name in known:
            yield from problems(item, known[name], schemas, f"{dot}{name}")
        elif isinstance(rest, Mapping):
            yield from problems(item, rest, schemas, f"{dot}*")
        elif known and not rest:
            yield f"{dot}{name}: unknown"


def _any(_value: Any) -> bool:
    return True


def _moment(value: Any) -> bool:
    """RFC 3339 with a zone."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _uuid(value: Any) -> bool:
    try:
        return bool(str(uuid.UUID(value)) == value)
    except ValueError:
        return False


def _between(bits: int) -> Callable[[Any], bool]:
    most: int = 2 ** (bits - 1)

    def fits(value: Any) -> bool:
        return isinstance(value, int) and -most <= value < most

    return fits


_FORMATS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "date-time": _moment,
    "uuid": _uuid,
    "int32": _between(32),
    "int64": _between(64),
}


def template(path: str) -> re.Pattern[str]:
    """A pattern of one path of a file: ``/crm/{type}`` takes one segment for each name."""
    parts = re.split(r"(\{[^}]+\})", path)
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts))
