"""``settings``: the complete list, made from the code."""

from __future__ import annotations

from cdc.cli.common import AsJson, print_json, print_table


def settings(as_json: AsJson = False) -> None:
    """List every setting: name, type, default, meaning."""
    from cdc.settings.documentation import rows

    lines = rows()
    if as_json:
        print_json([dict(zip(("name", "type", "default", "meaning"), line, strict=True)) for line in lines])
    else:
        print_table(("name", "type", "default", "meaning"), lines)
