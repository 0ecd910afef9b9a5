"""The small JSON paths of the settings: ``$.a.b[0]`` and ``$["any name"]``. A leaf of the import graph."""

from __future__ import annotations

import re
from typing import Final

Path = tuple[str | int, ...]
"""Names of members and indexes of arrays, outermost first."""

_STEP: Final = re.compile(r'\.(?P<name>[A-Za-z_][\w-]*)|\[(?P<place>\d{1,6})\]|\["(?P<quoted>[^"\\]{1,200})"\]')


def parse_path(text: str) -> Path:
    """The steps of a path. Raises ValueError with a sentence that shows the form."""
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            break
        steps.append(int(match["place"]) if match["place"] else match["name"] or match["quoted"])
        at = match.end()
    if not text.startswith("$") or at != len(text) or not steps:
        raise ValueError(f"{text!r} is no path into JSON; write it like $.deliveryDate or $.options[0].date")
    return tuple(steps)


def follow(tree: object, path: Path) -> object:
    """The value at the path; None if the path leads nowhere."""
    for step in path:
        if isinstance(step, int) and isinstance(tree, list):
            tree = tree[step] if step < len(tree) else None
        elif isinstance(step, str) and isinstance(tree, dict):
            tree = tree.get(step)
        else:
            return None
    return tree
