"""``config show|schema``: the settings in use and where each was written; a JSON Schema of all settings."""

from __future__ import annotations

from typing import Any

import typer

from cdc.cli.common import AsJson, Config, Sets, loaded_for, print_json, print_table

app = typer.Typer(help="The settings in force, and the form of the settings file.", no_args_is_help=True)

DEFAULT = "default"
HIDDEN = "***"


@app.command("show")
def show(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """List every setting in use: name, value, and where it was written. Secrets are hidden."""
    from pydantic import SecretStr

    from cdc.settings import documentation
    from cdc.settings.origins import origin_of

    loaded = loaded_for(context, config, sets)
    rows = []
    for name, _ in documentation.fields():
        value = documentation.value_of(loaded.settings, name)
        origin = origin_of(name, loaded.origins)
        if not origin and isinstance(value, SecretStr):  # what a file gives, the file's setting tells
            origin = origin_of(f"{name}_file", loaded.origins)
        rows.append((name, plain(value), origin or DEFAULT))
    if as_json:
        print_json([dict(zip(("name", "value", "from"), row, strict=True)) for row in rows])
    else:
        print_table(("name", "value", "from"), [(name, documentation.as_toml(value), at) for name, value, at in rows])


@app.command("schema")
def schema() -> None:
    """Print a JSON Schema of the settings, for editors and for checks of a file before it is deployed."""
    from cdc.settings.config import Settings

    print_json(Settings.model_json_schema())


def plain(value: Any) -> Any:
    """The value in a form for JSON; a secret that is set becomes ***."""
    from pydantic import BaseModel, SecretStr

    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {str(getattr(key, "value", key)): plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below) for below in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(getattr(value, "value", value))
