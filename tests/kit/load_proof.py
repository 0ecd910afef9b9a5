"""Proofs about a first load that has ended: its replica, what was sent, and what was read twice."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from cdc.engine.engine import Engine
from tests.kit.full_render import rendered

_CHUNK: Final = re.compile(
    r"\t\s*(?P<connection>\d+) Query\tSELECT .* FROM `(?P<table>\w+)`"
    r"(?: WHERE \((?P<key>[^)]*)\) > \((?P<cursor>.*)\))?\s+ORDER BY .* LIMIT (?P<limit>\d+)$"
)
"""The SELECT of a chunk, as the server's general log shows it."""


def replica_digests(engine: Engine) -> dict[str, tuple[int, str]]:
    """Table → number of rows and a digest of their values, whatever their order and their LSNs."""
    found = {}
    for spec in engine.tables:
        count = total = 0
        for stored in engine.rows.tables[spec.name].every():
            count += 1
            total += int.from_bytes(_digest(stored[:-1]), "little")
        found[spec.name] = (count, f"{total % (1 << 64):016x}")
    return found


def render_digests(engine: Engine, namespace: str) -> dict[str, bytes]:
    """External id → a digest of the object as a full render makes it."""
    return {external_id: _digest(made) for external_id, made in rendered(engine, namespace)}


@dataclass
class Sent:
    """What a file of JSON lines says was sent. ``faults``: what breaks a rule of sending, the first ten.

    ``repeats``: lines that say once more what was said before, as a kill between writing and its receipt leaves them.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    lines: int = 0
    repeats: int = 0
    faults: list[str] = field(default_factory=list)


def read_sent(path: Path) -> Sent:
    """Read the lines in order: an object's ``changed_at`` rises, and what an object refers to came before it."""
    found = Sent()
    changed_at: dict[str, int] = {}
    with path.open("rb") as file:
        for line in file:
            message = orjson.loads(line)
            key, at = message["external_id"], message["changed_at"]
            digest = _digest(_state_of(message))
            before, held = changed_at.get(key), found.objects.get(key)
            found.lines += 1
            if before is not None and (at, digest) == (before, held):
                found.repeats += 1
            elif before is not None and at <= before:
                found.faults.append(f"line {found.lines}: {key} is overtaken: {before} was sent before {at}")
            missing = [one for ids in message["associations"].values() for one in ids if one not in changed_at]
            if missing:
                found.faults.append(f"line {found.lines}: {key} refers to {missing[0]}, which was not sent before it")
            changed_at[key] = at
            found.objects[key] = digest
    del found.faults[10:]
    return found


def _state_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the form of a full render."""
    return {
        "type": message["object_type"],
        "properties": {name: value for name, value in sorted(message["properties"].items()) if value},
        "associations": {kind: sorted(ids) for kind, ids in sorted(message["associations"].items()) if ids},
    }


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(orjson.dumps(value, default=str), digest_size=8).digest()


@dataclass
class Reads:
    """The chunks of a load, by the server's general log.

    ``again``: table → how many chunks another process had read before, in whole or in part. ``rows_again``: table →
    the most rows of them that were read twice. ``faults``: reads that went back further than one chunk, or again in
    one process.
    """

    chunks: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    rows_again: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class _Chunk(NamedTuple):
    connection: str
    key: int
    limit: int


def read_chunks(log: Iterable[str]) -> Reads:
    """Follow the chunks of tables whose key is one integer, and whose keys have no gaps.

    The state takes a chunk piece by piece, so a process that goes on for a killed one begins somewhere in its last
    chunk: never before it.
    """
    found = Reads()
    last: dict[str, _Chunk] = {}
    for line in log:
        chunk = _CHUNK.search(line)
        if chunk is None:
            continue
        table, cursor = chunk["table"], chunk["cursor"] or "0"
        found.chunks[table] += 1
        if not cursor.isdecimal():
            continue
        made = _Chunk(chunk["connection"], int(cursor), int(chunk["limit"]))
        before = last.get(table)
        last[table] = made
        if before is None:
            continue
        # Keys without gaps: the chunk before ended at most here.
        again = min(before.limit, before.key + before.limit - made.key) if before.key else before.limit
        is_same = before.connection == made.connection
        if made.key < before.key:
            found.faults.append(f"{table}: read again from {cursor}, more than a chunk back")
        elif is_same and made.key == before.key:
            found.faults.append(f"{table}: read twice from {cursor} by one process")
        if not is_same and again > 0:
            found.again[table] += 1
            found.rows_again[table] += again
    return found
