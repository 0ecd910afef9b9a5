"""Describes faults in the settings: the name, the value unless it may be a secret, and the nearest known name.

A value that may be a secret is never repeated, even in the wrong place: as the name of a file, inside an address. A
leaf of the import graph.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cdc.settings.origins import nearest_origin
from cdc.settings.section import SettingsSection

_LOGIN = re.compile(r"(?<=['\"]).*@", re.DOTALL)  # to the last @: a login may have backslashes, spaces or no scheme
_QUERY = re.compile(r"[?#][^\s'\"]*")
_SECRETS = frozenset({"password", "api_key", "access_token", "key"})


_SAID: Final[Mapping[str, str]] = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "path_type": "must be a path",
    "missing": "is missing",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be {ge} or greater",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_pattern_mismatch": "must be of the form {pattern}",
}
"""Kind of fault → our text for it. The library's own texts are for programmers."""


def fault_lines(error: ValidationError, settings: type[BaseModel], origins: Mapping[str, str]) -> list[str]:
    """One line per fault: ``section.key = value: what is wrong (where it is written)``.

    ``settings`` is the model that was validated; ``origins``: where its values were written (origins.py).
    """
    lines = []
    for fault in error.errors(include_url=False):
        where = [str(part) for part in fault["loc"]]
        name = ".".join(where) or "settings"
        place = nearest_origin(where, origins)
        at = f" ({place})" if place else ""
        if fault["type"] == "extra_forbidden":
            what = "section" if len(where) == 1 else "setting"
            lines.append(f"{name}: there is no such {what}{nearest(where[-1], _siblings(settings, where[:-1]))}{at}")
            continue
        is_no_table = fault["type"] in ("model_type", "dict_type")
        message = f"must be a table: [{name}]" if is_no_table else _said(fault)
        lines.append(f"{name}{_shown(fault['input'], where)}: {message}{at}")
    return lines


def _said(fault: Mapping[str, Any]) -> str:
    """The text for a fault; the library's text only for kinds that no setting has yet."""
    words = _SAID.get(fault["type"])
    if words is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    context = {key: f"{value:g}" if isinstance(value, float) else value for key, value in fault.get("ctx", {}).items()}
    return words.format(**context)


def nearest(name: str, known: Collection[str]) -> str:
    """``; did you mean x?``, or "" if no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(value: object, where: Sequence[str]) -> str:
    """`` = value``, or "" if the value is or could hold a secret; a whole section is not shown either."""
    is_secret = any(part.removesuffix("_file") in _SECRETS for part in where)
    if len(where) < 2 or is_secret or isinstance(value, Mapping | SettingsSection):
        return ""
    return f" = {_QUERY.sub('?***', _LOGIN.sub('***@', repr(value)))}"


def _siblings(settings: type[BaseModel], where: Sequence[str]) -> list[str]:
    """The known names in the section that these section names lead to."""
    model: Any = settings
    parts = iter(where)
    for part in parts:
        field = model.model_fields.get(part)
        kind = field.annotation if field is not None else None
        if get_origin(kind) is dict:  # the next part is a name that the merchant gave
            kind = get_args(kind)[1]
            next(parts, None)
        if not isinstance(kind, type) or not issubclass(kind, BaseModel):
            return []
        model = kind
    return [field.alias or name for name, field in model.model_fields.items()]
