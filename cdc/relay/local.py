"""The relay's state at start: brought level with the topic, or rebuilt from it.

The topic decides. Its last mark names the run that wrote it and the last piece it holds. If this state knows that run,
the pieces up to there are forgotten and the rest is published next. If not, the state is not what the topic was made
of (a lost disk, an old copy, another relay since): the replica is rebuilt from the topic, and the log is read on from
the mark's position. Used before the state thread starts.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Final

import structlog

from cdc.engine.engine import Replica
from cdc.errors import SetupError
from cdc.kafka.record import KafkaRecord, Mark, RowChange, TableRecord, decode
from cdc.model import LSN_OFFSET_BITS, StaleTable
from cdc.relay import journal
from cdc.relay.published_schemas import Told, as_schema
from cdc.replica import table_schemas
from cdc.state.positions import LogPositions
from cdc.state.schema import FIXED, stored_columns, table_name

log = structlog.get_logger(__name__)

_NAMES: Final = "relay_names"
_PUBLISHED: Final = "relay_published"
_REBUILDING: Final = "relay_rebuilding"
_NAMES_KEPT: Final = 5  # the last run and those that ended before their first word reached the topic
_ROWS_A_COMMIT: Final = 20_000


def prepare(replica: Replica, mark: Mark | None, topic: Iterable[KafkaRecord]) -> str:
    """Bring the state level with the topic; the name of this run. ``topic``: its records, read only if needed."""
    store = replica.store
    names: list[str] = store.meta(_NAMES, [])
    is_rebuilt = False
    if mark is None:
        if store.meta(_PUBLISHED, 0):
            raise SetupError(
                "the topic holds no position, and this state has published into it before: the topic was emptied,"
                " removed, or is another cluster's",
                hint="point kafka.brokers at the right cluster, or remove the state folder to publish the whole store",
            )
    elif mark.relay not in names or mark.sequence > journal.last_sequence(store) or store.meta(_REBUILDING, False):
        _rebuild(replica, mark, topic)
        is_rebuilt = True
    name = secrets.token_hex(8)
    with store.transaction():
        if mark is not None:
            journal.forget(store, mark.sequence)
        kept = [] if is_rebuilt else [one for one in names if mark is not None and one == mark.relay]
        store.set_meta(_NAMES, [*kept, name] if mark is not None else [*names, name][-_NAMES_KEPT:])
        kept_by = replica.keep_journal()
        kept_by.blind = _blind(replica, kept_by.told.tables())
        kept_by.publish(replica.tables)
    return name


def published(replica: Replica, sequence: int) -> None:
    """The topic holds the pieces up to this one. Inside a store transaction."""
    journal.forget(replica.store, sequence)
    replica.store.set_meta(_PUBLISHED, sequence)


def _blind(replica: Replica, told: Container[str]) -> set[str]:
    """Tables that were published and are empty now: the mapping asks for other columns of them."""
    return {table for table, load in replica.load_state().items() if not load.done and table in told}


# ---------------------------------------------------------------------------------------------- from the topic


def _rebuild(replica: Replica, mark: Mark, topic: Iterable[KafkaRecord]) -> None:
    log.warning("state_rebuilt_from_topic", sequence=mark.sequence, position=str(mark.position))
    _empty(replica)
    loaded = _Loaded(replica)
    records = iter(topic)
    while chunk := list(islice(records, _ROWS_A_COMMIT)):
        with replica.store.transaction():
            loaded.take(decode(record) for record in chunk)
    with replica.store.transaction():
        _take_up(replica, mark, loaded)


def _empty(replica: Replica) -> None:
    store = replica.store
    with store.transaction():
        for spec in replica.tables:
            store.db.execute(f"DELETE FROM {table_name(spec.name)}")
        for statement in FIXED.split(";\n"):
            words = statement.split()
            if words[:2] == ["CREATE", "TABLE"] and words[5] not in ("meta", "load", "relay_queue"):
                store.db.execute(f"DELETE FROM {words[5]}")
        store.db.execute("UPDATE load SET cursor = NULL, done = 0, rows = 0")
        store.db.execute("DELETE FROM meta")
        store.set_meta(_REBUILDING, True)
        journal.go_on_from(store, 0)
    replica.undo()


class _Loaded:
    """Folds the topic into the replica's tables."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._specs = {spec.name: spec for spec in replica.tables}
        self.told: dict[str, TableRecord] = {}

    def take(self, items: Iterator[RowChange | TableRecord | Mark | None]) -> None:
        """Apply what follows."""
        for item in items:
            if isinstance(item, TableRecord):
                self.told[item.table] = item
            elif isinstance(item, RowChange) and item.table in self._specs:
                table = self._replica.rows.tables[item.table]
                if item.after is None:
                    table.delete(item.key)
                else:
                    table.put([item.after.get(column) for column in table.columns], item.origin.lsn)

    def is_whole(self, table: str) -> bool:
        """Whether the topic has every column of this table that we keep."""
        told = self.told.get(table)
        return told is not None and set(told.columns) >= set(stored_columns(self._specs[table]))


def _take_up(replica: Replica, mark: Mark, loaded: _Loaded) -> None:
    """The state as it was when the mark was written."""
    store = replica.store
    journal.go_on_from(store, mark.sequence)
    store.set_meta(_PUBLISHED, mark.sequence)
    Told(store).replace(loaded.told.values())
    store.set_meta(_REBUILDING, False)
    if not mark.position.file:  # written before the log was looked at
        replica.undo()
        return
    store.set_meta("lsn_base", (mark.lsn >> LSN_OFFSET_BITS) - mark.position.file_number)
    replica.places = LogPositions(store)
    replica.places.advance(mark.position)
    known = [as_schema(record) for record in loaded.told.values()]
    table_schemas.keep(store, [schema for schema in known if schema is not None], mark.lsn)
    store.set_meta("load_everything", True)
    store.set_meta("complete", mark.is_complete)
    store.set_meta("references_loaded", mark.is_complete)
    store.set_meta("mapping_version", "relay")
    if mark.rows:
        store.set_meta("published_rows", {str(mark.ends_at): [mark.rows, mark.row]})
    if mark.is_complete:
        for spec in replica.tables:
            if loaded.is_whole(spec.name):
                store.db.execute("UPDATE load SET done = 1 WHERE tbl = ?", (spec.name,))
    replica.undo()  # take the flags from the state
    if not mark.is_settled:
        reason = "the relay lost its disk while rows waited to be read"
        replica.reload([StaleTable(spec.name, reason) for spec in replica.tables], mark.position)
