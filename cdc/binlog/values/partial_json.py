"""PARTIAL_UPDATE_ROWS: UPDATEs whose after image may hold differences of JSON documents (binlog_row_value_options).

The before image is the usual one. Before the after image's NULL bits come

    value options (length-encoded; 1: partial JSON), then [a bit per JSON column of the table, in the image or not]

and a JSON column whose bit is set holds, in place of the document,

    4 length, and per difference 1 operation, length-encoded path, [length-encoded value, not for REMOVE]

https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Rows__event.html; json_diff.cc. The
differences can be applied only to a before image that holds the whole document (not with MINIMAL).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from cdc.binlog.rows.generic import Raw, cells_of, changes, indexes_in, read_raw
from cdc.binlog.rows.headers import cut, lenenc
from cdc.binlog.schema.row_layout import RowLayout
from cdc.binlog.values.json_binary import json_text
from cdc.model import Cells

_PARTIAL_JSON: Final = 1
_REPLACE, _INSERT, _REMOVE = range(3)
_LENGTH_BYTES: Final = 4
_LEG: Final = re.compile(r'\.(?P<name>[^.\["]+)|\.(?P<quoted>"(?:[^"\\]|\\.)*")|\[(?P<cell>\d+)\]', re.DOTALL)

_Leg = str | int


class _Number(str):
    """A number, kept as the server wrote it."""

    __slots__ = ()


_Node = None | bool | str | _Number | list["_Node"] | dict[str, "_Node"]


def read_partial_pair(
    row_layout: RowLayout, body: bytes, at: int, present: tuple[int, ...], present_after: tuple[int, ...]
) -> tuple[Cells | None, Cells | None, bool, int]:
    """Read one row → (before, after, whether ``after`` shows all changes, offset behind the row).

    None and None when no wanted column changed. A document that cannot be known is ABSENT. ValueError for differences
    that do not fit the document.
    """
    before, at = read_raw(row_layout, body, at, present)
    partial, at = _partial_indexes(row_layout, body, at)
    after, at = read_raw(row_layout, body, at, present_after)
    texts: dict[int, str] = {}
    is_known = True
    for index in partial.intersection(after):
        differences = after.pop(index) or b""
        document = before.get(index)
        # Named in the bitmap, with nothing to change.
        if not differences:
            continue
        # The image does not hold the whole document (MINIMAL), so its new state must be read from the server.
        if document is None:
            is_known = False
        else:
            texts[index] = patched(json_text(document), differences)
    # Nothing wanted changed.
    if is_known and not texts and not changes(before, after):
        return None, None, True, at
    whole: Raw = {index: raw for index, raw in before.items() if index not in texts} | after
    cells = list(cells_of(row_layout, whole))
    for index, text in texts.items():
        cells[row_layout.cells.index(index)] = text
    return cells_of(row_layout, before), tuple(cells), is_known, at


def _partial_indexes(row_layout: RowLayout, body: bytes, at: int) -> tuple[set[int], int]:
    options, at = lenenc(body, at)
    # A bit that is not known may change how the row is cut.
    if options & ~_PARTIAL_JSON:
        raise ValueError(f"rows with value options {options}, which are not known")
    if not options:
        return set(), at
    width = (len(row_layout.documents) + 7) // 8
    numbers = indexes_in(cut(body, at, width), len(row_layout.documents))
    return {row_layout.documents[number] for number in numbers}, at + width


def patched(text: str, differences: bytes) -> str:
    """The document, in SELECT's form, with these differences applied. ValueError if they do not fit it."""
    root: list[_Node] = [_parsed(text)]
    for operation, legs, value in _read(differences):
        _apply(root, [0, *legs], operation, value)
    return _text(root[0])


def _read(differences: bytes) -> Iterator[tuple[int, list[_Leg], _Node]]:
    at = 0
    while at < len(differences):
        operation = differences[at]
        # An operation that is not known would leave the document wrong.
        if operation > _REMOVE:
            raise ValueError(f"a JSON difference with operation {operation}")
        length, at = lenenc(differences, at + 1)
        legs = _legs(cut(differences, at, length).decode("utf-8"))
        at += length
        value: _Node = None
        # REMOVE has no value.
        if operation != _REMOVE:
            length, at = lenenc(differences, at)
            value = _parsed(json_text(cut(differences, at, length)))
            at += length
        yield operation, legs, value


def _legs(path: str) -> list[_Leg]:
    """The steps of a path like ``$.a."b c"[2]``."""
    at = 1
    legs: list[_Leg] = []
    while at < len(path):
        found = _LEG.match(path, at)
        if found is None:
            break
        at = found.end()
        if found["cell"] is not None:
            legs.append(int(found["cell"]))
        else:
            legs.append(found["name"] if found["quoted"] is None else json.loads(found["quoted"], strict=False))
    # A path must be read to its end, or the wrong member would be changed.
    if not path.startswith("$") or at < len(path):
        raise ValueError("a JSON difference whose path cannot be read")
    return legs


def _apply(root: list[_Node], legs: list[_Leg], operation: int, value: _Node) -> None:
    node: _Node = root
    for leg in legs[:-1]:
        node = _child(node, leg)
    last = legs[-1]
    if isinstance(node, list) and isinstance(last, int):
        # INSERT into an array moves the rest up.
        if operation == _INSERT:
            node.insert(last, value)
            return
        # Checks that the element exists; Python would accept negative and too large numbers in its own way.
        _child(node, last)
        if operation == _REPLACE:
            node[last] = value
        else:
            del node[last]
    elif isinstance(node, dict) and isinstance(last, str):
        if operation == _REMOVE:
            _child(node, last)
            del node[last]
        else:
            # REPLACE needs the member, INSERT must not find it: else the differences are of another document.
            if (last in node) != (operation == _REPLACE):
                raise ValueError("a JSON difference that does not fit its document")
            node[last] = value
    else:
        raise ValueError("a JSON difference that does not fit its document")


def _child(node: _Node, leg: _Leg) -> _Node:
    if isinstance(node, list) and isinstance(leg, int) and leg < len(node):
        return node[leg]
    if isinstance(node, dict) and isinstance(leg, str) and leg in node:
        return node[leg]
    raise ValueError("a JSON difference that does not fit its document")


def _parsed(text: str) -> _Node:
    """The tree of a text that ``json_text`` gave; numbers keep their spelling."""
    tree: _Node = json.loads(text, parse_int=_Number, parse_float=_Number, strict=False)
    return tree


def _text(node: _Node) -> str:
    if isinstance(node, _Number):
        return str(node)
    if isinstance(node, dict):
        keys = sorted(node, key=lambda key: (len(key.encode()), key.encode()))  # as the server stores them
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_text(node[key])}" for key in keys) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(_text, node)) + "]"
    return json.dumps(node, ensure_ascii=False)
