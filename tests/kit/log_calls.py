"""Every log call of the sources, read from their syntax trees: event, level, fields, position."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
NOT_WRITTEN = frozenset({"limit", "exc_info"})  # ``limit`` holds repetitions back, ``exc_info`` becomes ``error``


class LogCall(NamedTuple):
    """One call. ``event`` is None where the name is no literal; ``fields`` are those that the call itself names."""

    event: str | None
    level: str
    fields: frozenset[str]
    position: str


def log_calls(root: Path, packages: tuple[str, ...] = ("cdc", "mappers", "sinks")) -> Iterator[LogCall]:
    """All calls of a module's ``log``, or of a logger made on the spot, in the order of files and lines."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Attribute(value=logger, attr=level), args=[first, *_]) if (
                        level in LEVELS and _is_logger(logger)
                    ):
                        event = str(first.value) if isinstance(first, ast.Constant) else None
                        fields = {word.arg for word in node.keywords if word.arg is not None} - NOT_WRITTEN
                        yield LogCall(event, level, frozenset(fields), f"{path.relative_to(root)}:{node.lineno}")


def _is_logger(node: ast.expr) -> bool:
    match node:
        case ast.Name(id="log") | ast.Call(func=ast.Attribute(attr="get_logger")):
            return True
    return False
