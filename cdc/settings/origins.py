"""Where each setting comes from: a line of the file, a variable, the command line. A leaf of the import graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"""^\s*([\w."'-]+)\s*=""")

Origins = Mapping[str, str]
"""Dotted name of a value → where it was written."""


def in_file(text: str, tree: Mapping[str, Any], path: str) -> dict[str, str]:
    """The origins of a TOML file's values. ``tree``: the parsed text; only names in it get lines."""
    lines = dict(_lines(text))
    return {name: _at(path, name, lines) for name in leaves(tree)}


def _at(path: str, name: str, lines: Mapping[str, int]) -> str:
    """The line of the value, or of the nearest table around it (an inline table has one line)."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        line = lines.get(".".join(parts[:length]))
        if line is not None:
            return f"{path}, line {line}"
    return path


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of every table, and of every key at the beginning of a line."""
    table = ""
    seen: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            table = _plain(header[2])
            if header[1] == "[[":  # the n-th of an array of tables
                table, at = f"{table}.{seen[table]}", table
                seen[at] += 1
            yield table, number
        elif key:
            yield f"{table}.{_plain(key[1])}" if table else _plain(key[1]), number


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def leaves(tree: Any, within: str = "") -> Iterator[str]:
    """Dotted names of the values of a tree; entries of a list of tables by number."""
    below: Sequence[tuple[Any, Any]] = ()
    if isinstance(tree, Mapping):
        below = [*tree.items()]
    elif isinstance(tree, list) and tree and all(isinstance(one, Mapping) for one in tree):
        below = [*enumerate(tree)]
    if not below and within:
        yield within
    for key, value in below:
        yield from leaves(value, f"{within}.{key}" if within else str(key))


def origin_of(name: str, origins: Origins) -> str:
    """Where a setting, or a value inside it, was written; "" for a default."""
    if name in origins:
        return origins[name]
    return next((place for held, place in origins.items() if held.startswith(f"{name}.")), "")


def nearest_origin(where: Sequence[str], origins: Origins) -> str:
    """Where a fault was written: the origin of the value, of a section around it, or of a value inside it;
    "" if none.
    """
    for length in range(len(where), 0, -1):
        name = ".".join(where[:length])
        found = origins.get(name) or (origin_of(name, origins) if length == len(where) else "")
        if found:
            return found
    return ""
