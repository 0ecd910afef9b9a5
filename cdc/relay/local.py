"""The relay's state at start: brought level with the topic, or rebuilt from it.

The topic decides. Its last mark names the run that wrote it and the last piece in the topic. If this state knows that
run, the pieces up to there are removed and the rest is published next. If not, the topic was not made from this state
(a lost disk, an old copy, another relay since). Then the replica is rebuilt from the topic, and the log is read on from
the mark's position. Used before the state thread starts.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Final

from cdc.engine.engine import Engine
from cdc.errors import SetupError
from cdc.kafka.record import KafkaRecord, Mark, RowChange, TableRecord, decode
from cdc.log_events import get_logger
from cdc.model import StaleTable
from cdc.relay import journal
from cdc.relay.published_schemas import PublishedSchemas, as_schema
from cdc.relay.rows import RowsOnly
from cdc.replica import table_schemas
from cdc.replica.load_state import Phase
from cdc.state.schema import stored_columns

log = get_logger(__name__)

_NAMES_KEPT: Final = 5  # the last run and those that ended before their first word reached the topic
_ROWS_A_COMMIT: Final = 20_000


def prepare(engine: Engine, mark: Mark | None, topic: Iterable[KafkaRecord]) -> str:
    """Bring the state level with the topic. Returns the name of this run.
    ``topic``: its records, read only if needed.
    """
    store = engine.store
    meta = store.meta
    names = meta.relay_runs
    is_rebuilt = False
    if mark is None:
        # This state has published, and the topic knows nothing of it: going on would skip all that was
        # published.
        if meta.relay_published:
            raise SetupError(
                "the topic holds no position, and this state has published into it before: the topic was emptied,"
                " removed, or is another cluster's",
                hint="point kafka.brokers at the right cluster, or remove the state folder to publish the whole store",
            )
    elif mark.relay not in names or mark.sequence > journal.last_sequence(store) or meta.is_relay_rebuilding:
        # The topic was written by a run that this state does not know, or further than this state remembers.
        _rebuild(engine, mark, topic)
        is_rebuilt = True
    name = secrets.token_hex(8)
    with store.transaction():
        # What the topic holds need not be published again.
        if mark is not None:
            journal.forget(store, mark.sequence)
        kept = [] if is_rebuilt else [one for one in names if mark is not None and one == mark.relay]
        meta.relay_runs = [*kept, name] if mark is not None else [*names, name][-_NAMES_KEPT:]
        kept_by = journal.Journal(store, engine.reached)
        engine.keep_journal(kept_by)
        kept_by.blind = _blind(engine, kept_by.schemas.tables())
        kept_by.publish(engine.tables)
    return name


def published(engine: Engine, sequence: int) -> None:
    """The topic holds the pieces up to this one. Inside a store transaction."""
    journal.forget(engine.store, sequence)
    engine.store.meta.relay_published = sequence


def _blind(engine: Engine, published: Container[str]) -> set[str]:
    """Tables that were published and are empty now, because the mapping asks for other columns of them."""
    return {table for table, load in engine.table_loads.states().items() if not load.done and table in published}


# ---------------------------------------------------------------------------------------------- from the topic


def _rebuild(engine: Engine, mark: Mark, topic: Iterable[KafkaRecord]) -> None:
    log.warning("state_rebuilt_from_topic", sequence=mark.sequence, position=str(mark.position))
    _empty(engine)
    loaded = _Loaded(engine)
    records = iter(topic)
    while chunk := list(islice(records, _ROWS_A_COMMIT)):
        with engine.store.transaction():
            loaded.take(decode(record) for record in chunk)
    with engine.store.transaction():
        _take_up(engine, mark, loaded)


def _empty(engine: Engine) -> None:
    store = engine.store
    with store.transaction():
        store.start_over()
        engine.table_loads.lay_out(engine.tables)
        store.meta.is_relay_rebuilding = True
    engine.reread()


class _Loaded:
    """Writes the topic's records into the replica's tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._specs = {spec.name: spec for spec in engine.tables}
        self.schemas: dict[str, TableRecord] = {}

    def take(self, items: Iterator[RowChange | TableRecord | Mark | None]) -> None:
        """Apply the next record."""
        for item in items:
            if isinstance(item, TableRecord):
                self.schemas[item.table] = item
            elif isinstance(item, RowChange) and item.table in self._specs:
                table = self._engine.rows.tables[item.table]
                # A tombstone: the row is gone.
                if item.after is None:
                    table.delete(item.key)
                else:
                    table.put([item.after.get(column) for column in table.columns], item.origin.lsn)

    def is_whole(self, table: str) -> bool:
        """Whether the topic has every column of this table that the replica keeps."""
        schema = self.schemas.get(table)
        return schema is not None and set(schema.columns) >= set(stored_columns(self._specs[table]))


def _take_up(engine: Engine, mark: Mark, loaded: _Loaded) -> None:
    """Set the state to the position of the mark."""
    store = engine.store
    journal.go_on_from(store, mark.sequence)
    store.meta.relay_published = mark.sequence
    PublishedSchemas(store).replace(loaded.schemas.values())
    store.meta.is_relay_rebuilding = False
    if not mark.position.file:  # written before the log was looked at
        engine.reread()
        return
    engine.positions.restore(mark.position, mark.lsn)
    known = [as_schema(record) for record in loaded.schemas.values()]
    table_schemas.keep(store, [schema for schema in known if schema is not None], mark.lsn)
    engine.load.begin(Phase.COMPLETE if mark.is_complete else Phase.LOADING_REFERENCES)
    store.meta.mapping_version = RowsOnly.version
    # A transaction was published in part: its first rows must not be published again.
    if mark.rows:
        store.meta.published_rows = {mark.ends_at: (mark.rows, mark.row)}
    if mark.is_complete:
        engine.table_loads.set_done(spec.name for spec in engine.tables if loaded.is_whole(spec.name))
    engine.reread()  # what other parts hold of it
    # The rows that were still to be read are not known any more.
    if not mark.is_settled:
        reason = "the relay lost its disk while rows waited to be read"
        engine.stale_tables.read_again([StaleTable(spec.name, reason) for spec in engine.tables], mark.position)
