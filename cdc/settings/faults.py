"""Says what is wrong with the settings: the name, the value where it is no secret, and the nearest known name.

What may be a secret is not repeated, also where it stands in the wrong place: as the name of a file, inside an address.
A leaf of the import graph.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cdc.settings.section import SettingsSection

_LOGIN = re.compile(r"(?<=['\"]).*@", re.DOTALL)  # to the last @: a login may have backslashes, spaces or no scheme
_QUERY = re.compile(r"[?#][^\s'\"]*")
_SECRETS = frozenset({"password", "api_key", "access_token", "key"})


def fault_lines(error: ValidationError, settings: type[BaseModel]) -> list[str]:
    """One line a fault: ``section.key = value: what is wrong``. ``settings`` is the model that was validated."""
    lines = []
    for fault in error.errors(include_url=False):
        where = [str(part) for part in fault["loc"]]
        name = ".".join(where) or "settings"
        if fault["type"] == "extra_forbidden":
            what = "section" if len(where) == 1 else "setting"
            lines.append(f"{name}: there is no such {what}{nearest(where[-1], _siblings(settings, where[:-1]))}")
            continue
        is_no_table = fault["type"] in ("model_type", "dict_type")
        message = f"must be a table: [{name}]" if is_no_table else fault["msg"].removeprefix("Value error, ")
        lines.append(f"{name}{_shown(fault['input'], where)}: {message}")
    return lines


def nearest(name: str, known: Collection[str]) -> str:
    """``; did you mean x?``, or nothing where no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(value: object, where: Sequence[str]) -> str:
    """`` = value``, or nothing where it is or could hold a secret: a whole section is not shown either."""
    is_secret = any(part.removesuffix("_file") in _SECRETS for part in where)
    if len(where) < 2 or is_secret or isinstance(value, Mapping | SettingsSection):
        return ""
    return f" = {_QUERY.sub('?***', _LOGIN.sub('***@', repr(value)))}"


def _siblings(settings: type[BaseModel], where: Sequence[str]) -> list[str]:
    """The names that are known beside one whose place is given by the names of its sections."""
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
