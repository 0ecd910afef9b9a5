"""The real replica and the real mapping over changes given by hand or read from a log; every message is taken at once.

with replica_harness() as harness:
    harness.insert("sales_order", entity_id=1, customer_email="ann@example.com", customer_is_guest=1)
    harness.sent()                     # what would have gone to HubSpot since the last call
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cdc.engine.engine import Engine
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits, note_on_wire, ready
from cdc.model import (
    RANK,
    BulkInvalidation,
    Change,
    ForeignKey,
    Message,
    ObjectRef,
    ObjectType,
    Op,
    Outcome,
    Position,
    Row,
    Transaction,
    Urgency,
    Value,
)
from cdc.protocols import CART_CLOCK, RowReader
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.mapping import MappingSettings
from cdc.state.store import Store
from mappers.mapping import MagentoMapping
from sinks.jsonl import OPTIONAL_REFERENCES
from tests.kit.toy import FixedClock

NAMESPACE = "magento"
RANKS = sorted(set(RANK.values()))
FIRST = Position("binlog.000001", 4)


class CountingMapping(MagentoMapping):
    """The mapping, with how often a row bore on an object (or on many at once)."""

    affected_objects = 0

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        for found in super().affected(table, before, after, rows):
            self.affected_objects += 1
            yield found


class ReplicaHarness:
    """A replica with a mapping, complete from its start: nothing is ever asked of a server.

    Rows given by hand need not name every column: the others are NULL, or stay as they are in an update.
    """

    def __init__(
        self,
        folder: Path,
        settings: MappingSettings,
        keys: Sequence[ForeignKey] | None = None,
        *,
        contacts_by_email: bool = False,
    ) -> None:
        self.folder = folder
        self.mapper = CountingMapping(settings, contacts_by_email=contacts_by_email)
        self.engine = Engine(
            folder, self.mapper, core_foreign_keys() if keys is None else keys, FixedClock(0), has_server=False
        )
        self.engine.store.db.execute("PRAGMA synchronous = OFF")
        if self.engine.positions.position is None:
            with self.engine.store.transaction():
                self.engine.moves.begin(FIRST, Phase.COMPLETE)
        self._columns = {spec.name: spec.columns for spec in self.engine.tables}
        self._keys = {spec.name: spec.key for spec in self.engine.tables}
        held = self.engine.positions.position
        self._offset = max(1000, held.offset if held is not None else 0)  # a state that is opened again goes on
        self.now_ms = 1_700_000_000_000 + self._offset
        """When the last transaction was committed, epoch milliseconds; tests may let time pass."""
        self.messages = 0

    def counts(self) -> Counter[str]:
        """What was done since the start: changes applied, touches, objects rendered, messages sent."""
        return Counter(
            changes=self.engine.applier.changes_applied,
            affected_objects=self.mapper.affected_objects,
            rendered=self.engine.renderer.rendered,
            sent=self.messages,
        )

    # ------------------------------------------------------------------------------------------- rows by hand

    def change(
        self, table: str, op: Op, before: Mapping[str, Value] | None, after: Mapping[str, Value] | None
    ) -> Change:
        """A row change with complete images."""
        return Change(table, op, self._cells(table, before), self._cells(table, after))

    def commit(self, *changes: Change) -> None:
        """One transaction of the log."""
        self._offset += 1000
        self.now_ms += 1000
        self.apply([Transaction(changes, Position("binlog.000001", self._offset), self.now_ms, 0)])

    def insert(self, table: str, **values: Value) -> None:
        """A row comes, in a transaction of its own."""
        self.commit(self.change(table, Op.INSERT, None, values))

    def update(self, table: str, before: Mapping[str, Value], **values: Value) -> dict[str, Value]:
        """A row changes, in a transaction of its own; the row after it."""
        after = {**before, **values}
        self.commit(self.change(table, Op.UPDATE, before, after))
        return after

    def delete(self, table: str, row: Mapping[str, Value]) -> None:
        """A row goes, in a transaction of its own; what hangs on it goes silently."""
        self.commit(self.change(table, Op.DELETE, row, None))

    def _cells(self, table: str, row: Mapping[str, Value] | None) -> tuple[Value, ...] | None:
        if row is None:
            return None
        unknown = row.keys() - set(self._columns[table])
        assert not unknown, f"{table}: {sorted(unknown)} are not mapped"
        return tuple(row.get(column) for column in self._columns[table])

    # ------------------------------------------------------------------------------------ what comes of them

    def apply(self, group: Iterable[Transaction]) -> None:
        """Apply a group of transactions, and work off what waits to be rendered."""
        with self.engine.store.transaction():
            self.engine.apply_group(group)
        working = True
        while working:
            with self.engine.store.transaction():
                working = self.engine.work()

    def let_pass(self, until_ms: int) -> None:
        """Time passes in the shop until then, and carts that are left by then are noticed."""
        has_more = self.mapper.cart_rules is not None
        while has_more:
            with self.engine.store.transaction():
                has_more = self.engine.rendering.carts.abandon(until_ms)
        self.apply(())

    def cart_clocks(self) -> list[Row]:
        """The rows of ``cart_clock`` as renderers see them."""
        db = self.engine.store.db
        ids = [quote_id for (quote_id,) in db.execute("SELECT quote_id FROM cart_clock ORDER BY quote_id")]
        return [row for one in ids if (row := self.engine.rows.get(CART_CLOCK, one)) is not None]

    def sent(self) -> list[Message]:
        """The messages since the last call, in an order in which they may be sent; all are accepted."""
        found: list[Message] = []
        while batch := self._accepted():
            found += batch
        self.messages += len(found)
        left = self.engine.store.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        assert not left, f"{left} messages can never be sent"
        return found

    def _accepted(self) -> list[Message]:
        with self.engine.store.transaction():
            return accepted_batch(self.engine.store)

    def close(self) -> None:
        """Close the state."""
        self.engine.close()


def accepted_batch(store: Store) -> list[Message]:
    """What is ready of each type, marked as accepted. Use inside a store transaction."""
    found: list[Message] = []
    for rank in RANKS:
        for urgency in Urgency:
            limits = Limits(1000, 1 << 30, optional=OPTIONAL_REFERENCES)
            entries = ready(store, rank, 1 << 60, urgency, limits).entries
            for entry in entries:
                links: dict[ObjectType, tuple[str, ...]] = {}
                for ref in entry.refs:
                    links[ref.object_type] = (*links.get(ref.object_type, ()), ref.external_id(NAMESPACE))
                message = Message(
                    object_type=entry.ref.object_type, external_id=entry.ref.external_id(NAMESPACE),
                    action=entry.action, changed_at=entry.changed_at, associations=links,
                    properties=json.loads(entry.properties), position=entry.position,
                )  # fmt: skip
                found.append(message)
            note_on_wire(store, entries)
            settle(store, [Settlement(entry, Outcome.ACCEPTED) for entry in entries], 0)
    return found


@contextmanager
def replica_harness(
    *, keys: Sequence[ForeignKey] | None = None, contacts_by_email: bool = False, **mapping: object
) -> Iterator[ReplicaHarness]:
    """A harness with a fresh state and these settings of ``[mapping]``; ``keys``: core's foreign keys if not given."""
    with tempfile.TemporaryDirectory() as folder:
        settings = MappingSettings.model_validate(mapping)
        made = ReplicaHarness(Path(folder), settings, keys, contacts_by_email=contacts_by_email)
        try:
            yield made
        finally:
            made.close()
