"""The seams between layers, each with its contract. A leaf of the import graph.

``Sink`` is implemented in ``sinks/``, ``Mapper`` in ``mappers/``, ``RowReader`` by the replica (and by a plain
dictionary in tests).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from cdc.model import (
    Answer,
    BulkInvalidation,
    CheckResult,
    FetchByKey,
    Message,
    ObjectRef,
    ObjectType,
    Rendered,
    Row,
    SyncError,
    SyncStatus,
    TableSpec,
    Value,
)

T = TypeVar("T")


class Clock(Protocol):
    """Wall time in epoch milliseconds and a monotonic clock in seconds; settable in tests."""

    def now_ms(self) -> int: ...

    def monotonic(self) -> float: ...


class RowReader(Protocol):
    """Reads the replica. Never blocks for long, never raises for a missing row."""

    def get(self, table: str, *key: Value) -> Row | None:
        """The row with this primary key."""
        ...

    def find(self, table: str, column: str, value: Value) -> Sequence[Row]:
        """The rows with this value, in primary-key order. ``column`` must lead one of the table's indexes."""
        ...

    def descending(self, table: str, column: str, value: Value, order: tuple[str, ...]) -> Iterator[Row]:
        """The rows with this value, highest ``order`` first, read lazily; (column, *order) must be an index."""
        ...

    def reference(self, name: str, build: Callable[[RowReader], T]) -> T:
        """What ``build`` makes of reference tables, kept until a row of any reference table changes."""
        ...


class Mapper(Protocol):
    """Turns replica rows into objects. Pure: everything it knows comes through its arguments and its settings."""

    tables: tuple[TableSpec, ...]
    version: str
    """Changes whenever settings or rules change what is rendered."""

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        """The values of the table's derived columns for this row.

        A transient column that the change did not carry is not in ``row``: leave out what is made from it, and it
        stays as it is held. So nothing may be made from a transient column and another one.
        """
        ...

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        """Whether the replica needs this row (EAV values of unmapped attributes are not kept)."""
        ...

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        """The objects that this row bears on, before and after. Called when ``rows`` already shows the new state.

        ``before`` may be an image from the log that holds no more than the key.
        """
        ...

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        """The object's complete state, or None when it does not exist. RenderError for rows that make no sense."""
        ...

    def everything(self) -> tuple[BulkInvalidation, ...]:
        """BulkInvalidations that together name every object that may exist."""
        ...

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        """The server rows the object is made of, as far as they can be named from the rows held now."""
        ...


class Sink(Protocol):
    """Takes messages. One instance per daemon; ``send`` may be called by several tasks at once."""

    name: str
    max_batch: int
    """Messages a request at most."""
    lines_need_product: bool
    """Whether a line item without a product is refused."""

    async def send(self, messages: Sequence[Message]) -> Answer:
        """One request with messages of one object type, at most one per object.

        Raises the SinkError kinds when there are no receipts. Safe to cancel; a cancelled request may have been
        taken. Never retries by itself.
        """
        ...

    async def sync_errors(self, since_ms: int) -> Sequence[SyncError]:
        """Verdicts given after acceptance, newer than ``since_ms``; empty for sinks that judge at once."""
        ...

    async def is_known(self, object_type: ObjectType, external_id: str) -> bool:
        """Whether the receiver has processed this object without error."""
        ...

    async def standing(self, object_type: ObjectType, external_id: str) -> SyncStatus | None:
        """What the receiver says of this object; None if it has processed none such, or cannot be asked."""
        ...

    async def check(self) -> Sequence[CheckResult]:
        """Whether messages would be taken now: reachable, key good, switched on. Sends nothing."""
        ...

    async def push_mapping(self, *, dry_run: bool) -> Sequence[str]:
        """Create or change what the receiver needs (install, settings); one line per thing done or to do."""
        ...

    async def close(self) -> None:
        """Close connections. May be called twice."""
        ...
