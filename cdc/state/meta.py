"""The state's single values, each under one name and with one type. No other module knows how a value is kept.

A value is read from the file at every use and written at once, inside the caller's transaction. Values are JSON.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Generic, TypedDict, TypeVar, overload
from uuid import uuid4

from cdc.model import Position

T = TypeVar("T")


def _same(value: Any) -> Any:
    return value


class Value(Generic[T]):
    """One value as an attribute of ``Meta``; its key is the attribute's name. ``default`` stands for a missing value.

    ``load`` and ``dump``: from JSON and to JSON, for types that JSON lacks.
    """

    def __init__(self, default: T, load: Callable[[Any], T] = _same, dump: Callable[[T], Any] = _same) -> None:
        self._default = default
        self._load = load
        self._dump = dump
        self._key = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = name

    @overload
    def __get__(self, meta: None, owner: type) -> Value[T]: ...

    @overload
    def __get__(self, meta: Meta, owner: type) -> T: ...

    def __get__(self, meta: Meta | None, owner: type) -> T | Value[T]:
        if meta is None:
            return self
        row = meta.db.execute("SELECT value FROM meta WHERE key = ?", (self._key,)).fetchone()
        return self._load(json.loads(row[0])) if row else self._default

    def __set__(self, meta: Meta, value: T) -> None:
        meta.db.execute(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (self._key, json.dumps(self._dump(value))),
        )


class DeleteBreaker(TypedDict):
    """The circuit breaker on deletions.

    ``held_ms``: when it tripped, ``released_ms``: when it was last released, ``let_go_ms``: when a person last released
    all deletions or some; epoch milliseconds, 0: not. ``sent``: how many deletions were accepted per minute (minutes
    since the epoch, as text).
    """

    held_ms: int
    released_ms: int
    let_go_ms: int
    sent: Mapping[str, int]


NOT_TRIPPED: Final[DeleteBreaker] = {"held_ms": 0, "released_ms": 0, "let_go_ms": 0, "sent": {}}


def _position(value: Any) -> Position | None:
    return Position(**value) if value else None


def _from_position(position: Position | None) -> Any:
    return asdict(position) if position is not None else None


def _published_rows(value: Any) -> Mapping[int, tuple[int, int]]:
    return {int(lsn): (int(rows), int(row)) for lsn, (rows, row) in value.items()}


@contextmanager
def read_only_meta(path: Path) -> Iterator[Meta | None]:
    """The values of a state file, beside the run that writes it; None if there is no such file, or none to read."""
    if not path.exists():
        yield None
        return
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        is_there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        yield Meta(db) if is_there else None
    finally:
        db.close()


class Meta:
    """All single values of one state file. Times are epoch milliseconds."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    # ------------------------------------------------------------------------------------------ the log's position

    position = Value[Position | None](None, _position, _from_position)
    """Where the source has been applied up to; None in a fresh state."""
    lsn_base = Value(0)
    """What is added to a log file's number in an LSN: see cdc/state/positions.py."""
    applied_lsn = Value(0)
    """The highest LSN ever applied."""

    # --------------------------------------------------------------------------------------------------- the replica

    load_state = Value[Mapping[str, Any]]({})
    """How far the replica is loaded: see cdc/replica/load_state.py."""
    has_partial_images = Value(False)
    """Whether the log was ever seen to hold images that are not whole."""
    topic_offsets = Value[Mapping[str, int]]({})
    """Per ``topic/partition`` where to read on."""
    row_order = Value[Mapping[str, Any] | None](None)
    """What is known of the source's logs, for rows that do not arrive in its order: see cdc/kafka/row_order.py."""
    caught_up = Value[Sequence[tuple[int, int]]]([])
    """How far the topics' rows had come, hour by hour of the last day: epoch milliseconds and LSN."""
    topic_notes = Value[Mapping[str, Any]]({})
    """What each topic has said so far that later records of it need: see cdc/kafka/foreign.py."""
    missing_deletions = Value[Mapping[str, int]]({})
    """By table: rows of topics that were inserted anew with no deletion told: cdc/engine/missing_deletions.py."""
    fed_ms = Value(0)
    """When something was last taken from a topic, or it was seen that there is nothing."""
    foreign_keys = Value[Sequence[Mapping[str, str]] | None](None)
    """The shop's foreign keys that are followed: see cdc/engine/key_changes.py; None before the first start."""
    is_topic_whole = Value(False)
    """Whether what was read of the relay's topic is the whole store."""
    last_leader = Value[Sequence[Any] | None](None)
    """Of the members of one account, who led last: see cdc/members/records.py."""
    led_generation = Value(0)
    """In which generation this state led last."""
    asked_generation = Value(0)
    """The highest generation that this state may have published itself as the leader of."""
    topic_ids = Value[Mapping[str, str]]({})
    """Kafka's own ids of the topics that are read: a topic made anew has another one."""

    # ---------------------------------------------------------------------------------------------------- messages

    minimum_changed_at = Value(0)
    """No ``changed_at`` from now on is lower."""
    import_job = Value[Mapping[str, Any]]({})
    """The import that was asked for, and how far it has come: see cdc/engine/import_job.py."""
    is_import_paused = Value(False)
    """Whether no table is read and no history is sent, as an operator asked."""
    is_repair_asked = Value(False)
    """Whether all tables are to be read again, as an operator asked."""
    first_load = Value[Mapping[str, Any]]({})
    """How far the first load has come: see cdc/messages/first_load.py."""
    has_withheld = Value(False)
    """Whether ``history.send`` ever withheld an object."""
    relink_cursor = Value[tuple[str, int | str] | None](None, lambda held: tuple(held) if held else None)
    """Up to where the ledger was looked through for objects to be linked again: kind and id."""
    mapping_version = Value("")
    """The mapping that objects were last rendered with; "" before the first."""
    mapping_review = Value[Mapping[str, Any]]({})
    """The changed mapping that nothing is rendered with yet: see cdc/messages/mapping_review.py."""
    mapping_accepted = Value("")
    """The version of the changed mapping that an operator accepted."""

    restored_ms = Value(0)
    """When an older copy of the state was last put back: of changes committed before, all is sent, equal or not."""
    run_mark = Value[Any](None)
    """The newest run's mark: see cdc/state/run_mark.py; None before the first."""

    # ---------------------------------------------------------------------------------------------------- delivery

    quiet_until_ms = Value(0)
    """Until when the sink asked for silence: a restart is no reason to break it."""
    delete_breaker = Value[DeleteBreaker](NOT_TRIPPED)
    sync_errors_progress = Value("")
    """From where the receiver's later verdicts are read on, in the sink's own words."""
    sink_notes = Value[Mapping[str, str]]({})
    """What sinks keep between runs, by ``<sink>:<name>``."""

    # ----------------------------------------------------------------------------------------------------- members

    receipts_offset = Value[int | None](None)
    """Where the receipts topic is read on; None before the first."""
    _member_id = Value("")

    def member_id(self) -> str:
        """This state's own name among members, made at the first call."""
        held = self._member_id
        if not held:
            held = self._member_id = uuid4().hex
        return held

    # -------------------------------------------------------------------------------------------------------- relay

    relay_runs = Value[list[str]]([])
    """Names of the runs that may have written the topic's last mark."""
    relay_published = Value(0)
    """The highest piece that is known to be in the topic."""
    is_relay_rebuilding = Value(False)
    """Whether the state is being rebuilt from the topic: it is not whole yet."""
    relay_schemas = Value[Mapping[str, str]]({})
    """By table: the newest record of its columns in the topic."""
    published_rows = Value[Mapping[int, tuple[int, int]]]({}, _published_rows)
    """Of the source transaction that ends at this LSN so many rows are in the replica, in so many records."""

    def clear(self) -> None:
        """Forget all values."""
        self.db.execute("DELETE FROM meta")
