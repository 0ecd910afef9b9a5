"""The list of all settings, made from the settings' own definitions, so that it is always up to date.

``python -m cdc.settings.documentation`` prints the sample file ``deploy/magento-cdc.toml``; ``magento-cdc settings``
prints the table.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from cdc.settings.config import Settings
from cdc.settings.names import DEFAULT_FILE, ENV_PREFIX

COLUMNS = ("name", "type", "default", "meaning")

_PLAIN = {
    date: "date",
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
}
_LIMITS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def rows() -> list[tuple[str, str, str, str]]:
    """One line per setting, in the order of the file: dotted name, type, default as TOML, meaning."""
    return [(name, _type(field), _default(field), field.description or "") for name, field in fields()]


def fields(model: type[BaseModel] = Settings, within: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting with its dotted name; a section's own keys come before its nested sections."""
    nested = []
    for key, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            nested.append((kind, f"{within}{key}."))
        else:
            yield f"{within}{field.alias or key}", field
    for kind, prefix in nested:
        yield from fields(kind, prefix)


def value_of(settings: Settings, name: str) -> Any:
    """The value of the setting with this dotted name, as the settings file spells it."""
    found: Any = settings
    for part in name.split("."):
        model = type(found).model_fields
        # A file may use a word that Python keeps for itself ("as").
        found = getattr(found, next((field for field in model if model[field].alias == part), part))
    return found


def sample() -> str:
    """A settings file with every setting at its default, commented out."""
    lines = [
        "# Every setting of magento-cdc with its default; take the # off a setting to change it.",
        f"# Read from ./{DEFAULT_FILE} or --config FILE. The environment wins over the file",
        f"# ({ENV_PREFIX}SOURCE__HOST=...), the command line over both (--set source.host=...).",
        "# Made by `python -m cdc.settings.documentation`; a test holds it to the code.",
    ]
    section = ""
    for name, field in fields():
        here, _, key = name.partition(".")
        if here != section:
            section = here
            about = (Settings.model_fields[section].annotation.__doc__ or "").strip().partition("\n")[0]
            lines += ["", f"# {about}", f"[{section}]"]
        lines += [f"# {field.description} ({_type(field)})", f"#{key} = {_example(field)}"]
    return "\n".join(lines) + "\n"


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {bound}" if isinstance(bound, int) else f"{sign} {bound:g}"
        for limit in field.metadata
        for name, sign in _LIMITS
        if (bound := getattr(limit, name, None)) is not None
    ]
    return " ".join([_spelled(field.annotation), ", ".join(bounds)]).strip()


def _spelled(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_spelled(choice) for choice in arguments if choice is not type(None))
    if origin is tuple and isinstance(arguments[0], type) and issubclass(arguments[0], BaseModel):
        return "tables"
    if origin is tuple:
        return f"list of {_several(arguments[0])}"
    if origin is dict:
        return f"table of {_several(arguments[1])}"
    if hasattr(kind, "__metadata__"):  # Annotated: bounds of a part
        return _spelled(arguments[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " | ".join(str(choice.value) for choice in kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):  # one of many that the merchant names
        return "table"
    return _PLAIN[kind]


def _several(kind: Any) -> str:
    """The plural of one word; a choice of words stands as it is."""
    spelled = _spelled(kind)
    return f"({spelled})" if " " in spelled else f"{spelled}s"


def _default(field: FieldInfo) -> str:
    return as_toml(field.get_default(call_default_factory=True, validated_data={}))


def _example(field: FieldInfo) -> str:
    """The default; without a default, an example of the right form."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        value = field.examples[0] if field.examples else "/path/to/file"
    return as_toml(value)


def as_toml(value: object) -> str:
    """The value as a settings file spells it; "" for None."""
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return "none"
    if isinstance(value, SecretStr):
        return '""'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {as_toml(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(below) for below in value) + "]"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(sample())
