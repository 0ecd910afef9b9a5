"""The state's single values, each with one name and one type. No other module knows how a value is stored.

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
    """One value as an attribute of ``Meta``. Its key is the attribute's name. ``default``: the result when there is no
    value.

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
    """The values of a state file that another process writes; None if there is no such file, or it cannot be read."""
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
    """The position up to which the source has been applied; None in a fresh state."""
    lsn_base = Value(0)
    """The number that is added to a log file's number in an LSN: see cdc/state/positions.py."""
    applied_lsn = Value(0)
    """The highest LSN ever applied."""

    # --------------------------------------------------------------------------------------------------- the replica

    load_state = Value[Mapping[str, Any]]({})
    """How far the replica is loaded: see cdc/replica/load_state.py."""
    has_partial_images = Value(False)
    """Whether the log ever had partial images."""
    topic_offsets = Value[Mapping[str, int]]({})
    """Where to read on, per ``topic/partition``."""
    row_order = Value[Mapping[str, Any] | None](None)
    """What is known of the source's logs, for rows in another order than the source's: see cdc/kafka/row_order.py."""
    caught_up = Value[Sequence[tuple[int, int]]]([])
    """How far the topics' rows had come, for each hour of the last day: epoch milliseconds and LSN."""
    topic_notes = Value[Mapping[str, Any]]({})
    """Facts from each topic's records so far that later records need: see cdc/kafka/foreign.py."""
    missing_deletions = Value[Mapping[str, int]]({})
    """Table → rows of topics that were inserted again without a deletion in between: see
    cdc/engine/missing_deletions.py.
    """
    fed_ms = Value(0)
    """When a record was last taken from a topic, or no record was waiting."""
    foreign_keys = Value[Sequence[Mapping[str, str]] | None](None)
    """The shop's foreign keys in use: see cdc/engine/key_changes.py; None before the first start."""
    is_topic_whole = Value(False)
    """Whether the records read from the relay's topic so far are the whole store."""
    last_leader = Value[Sequence[Any] | None](None)
    """The last leader among the members of one account: see cdc/members/records.py."""
    led_generation = Value(0)
    """The generation in which this state led last."""
    asked_generation = Value(0)
    """The highest generation in which this state may have published itself as the leader."""
    topic_ids = Value[Mapping[str, str]]({})
    """Kafka's own ids of the topics that are read. A new topic of the same name has another id."""

    # ---------------------------------------------------------------------------------------------------- messages

    minimum_changed_at = Value(0)
    """No later ``changed_at`` is below this time."""
    import_job = Value[Mapping[str, Any]]({})
    """The import that was asked for, and its progress: see cdc/engine/import_job.py."""
    is_import_paused = Value(False)
    """Whether an operator paused the import: no table is read and no history is sent."""
    repair_types = Value[Sequence[str]](())
    """The object types whose tables an operator asked to be read again; empty: no repair is asked for."""
    first_load = Value[Mapping[str, Any]]({})
    """The progress of the first load: see cdc/messages/first_load.py."""
    has_withheld = Value(False)
    """Whether ``history.send`` or ``import stop`` ever withheld an object."""
    is_history_stopped = Value(False)
    """Whether an operator stopped the first load: history that is rendered later is withheld."""
    history_stop = Value[Mapping[str, Any]]({})
    """How far waiting history is taken back after the stop: see cdc/messages/history_stop.py; empty: not under way."""
    relink_cursor = Value[tuple[str, int | str] | None](None, lambda held: tuple(held) if held else None)
    """The place in the ledger (kind and id) up to which objects to be linked again were searched."""
    mapping_version = Value("")
    """The mapping that objects were last rendered with; "" before the first."""
    mapping_review = Value[Mapping[str, Any]]({})
    """The changed mapping that is not used yet: see cdc/messages/mapping_review.py."""
    mapping_accepted = Value("")
    """The version of the changed mapping that an operator accepted."""

    restored_ms = Value(0)
    """When an older copy of the state was last restored. Changes committed before that are sent even if equal."""
    run_mark = Value[Any](None)
    """The newest run's mark: see cdc/state/run_mark.py; None before the first."""

    # ---------------------------------------------------------------------------------------------------- delivery

    quiet_until_ms = Value(0)
    """Until when the sink asked for silence; a restart must keep the silence too."""
    delete_breaker = Value[DeleteBreaker](NOT_TRIPPED)
    sync_errors_progress = Value("")
    """From where the receiver's sync errors are read on, in the sink's own form."""
    sink_notes = Value[Mapping[str, str]]({})
    """What sinks keep between runs, by ``<sink>:<name>``."""

    # ----------------------------------------------------------------------------------------------------- members

    receipts_offset = Value[int | None](None)
    """Where the receipts topic is read on; None before the first."""
    _member_id = Value("")

    def member_id(self) -> str:
        """This state's name among the members, made at the first call."""
        held = self._member_id
        if not held:
            held = self._member_id = uuid4().hex
        return held

    # -------------------------------------------------------------------------------------------------------- relay

    relay_runs = Value[list[str]]([])
    """Names of the runs that may have written the topic's last mark."""
    relay_published = Value(0)
    """The highest piece that is certainly in the topic."""
    is_relay_rebuilding = Value(False)
    """Whether the state is being rebuilt from the topic, so that it is not whole yet."""
    relay_schemas = Value[Mapping[str, str]]({})
    """Table → the newest record of its columns in the topic."""
    published_rows = Value[Mapping[int, tuple[int, int]]]({}, _published_rows)
    """How much of the source transaction that ends at this LSN is in the replica: how many rows, in how
    many records.
    """

    def clear(self) -> None:
        """Forget all values."""
        self.db.execute("DELETE FROM meta")
