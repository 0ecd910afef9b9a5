"""The interfaces between layers, each with its contract. A leaf of the import graph.

``sinks/`` implements ``Sink`` and the optional protocols after it, ``mappers/`` implements ``Mapper``, and the replica
implements ``RowReader`` (in tests a plain dictionary does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from cdc.model import (
    Adoption,
    Answer,
    BulkInvalidation,
    CheckResult,
    Comparison,
    FetchByKey,
    Kind,
    Message,
    ObjectRef,
    ObjectType,
    Quota,
    Rendered,
    Row,
    RowsUsed,
    SyncErrorPage,
    SyncStatus,
    TableSpec,
    Value,
)

T = TypeVar("T")

CART_CLOCK: Final = "cart_clock"
"""The one table that ``RowReader`` shows and that is not the shop's (cdc/replica/cart_clock.py): ``quote_id``,
``changed_ms`` (the last change of what is sent), ``abandoned_ms`` (0: not since), ``is_shown`` (it was abandoned).
"""

NO_NOTES: Final[Mapping[str, str]] = MappingProxyType({})
"""A sink's notes while there is no state yet."""


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

    def totals(self, table: str, column: str, value: Value) -> Sequence[Row] | None:
        """The running totals of the table's groups with this value (``TableSpec.totals``), in the order of their names.

        ``column`` must be one of ``found_by``. None while the table may lack rows: then no total can be right.
        """
        ...

    def reference(self, name: str, build: Callable[[RowReader], T]) -> T:
        """The result of ``build`` over reference tables, kept until a row of any reference table changes."""
        ...


class CartContent(NamedTuple):
    """What counts in an open cart. ``digest``: of all of it. ``updated_ms``: its last save, epoch ms (0: not known)."""

    digest: bytes
    updated_ms: int


class CartRules(Protocol):
    """When a cart counts as abandoned: ``abandoned_after_ms`` after the last change of its content."""

    @property
    def abandoned_after_ms(self) -> int: ...
    def content(self, quote_id: int, rows: RowReader) -> CartContent | None:
        """What counts in the cart; None if the cart is not open."""
        ...

    def stays(self, quote_id: int, rows: RowReader) -> bool:
        """Whether a cart that is not open, and was abandoned before, is an object still: an order completed it."""
        ...


class Mapper(Protocol):
    """Turns replica rows into objects. Pure: everything it knows comes through its arguments and its settings."""

    tables: tuple[TableSpec, ...]
    version: str
    """A text that changes whenever settings or rules change the rendered objects."""
    cart_rules: CartRules | None
    """None where carts are not sent."""

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        """The values of the table's derived columns for this row.

        A transient column that the change did not carry is not in ``row``. Then leave out the derived columns that need
        it, and they keep their stored values. So no derived column may need a transient column and another column.
        """
        ...

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        """Whether the replica needs this row (EAV values of unmapped attributes are not kept)."""
        ...

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        """The objects that this row affects, before and after. When it is called, ``rows`` already shows the new state.

        ``before`` may be an image from the log that holds no more than the key.
        """
        ...

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        """The object's complete state, or None if it does not exist. RenderError for rows that make no sense."""
        ...

    def everything(self) -> tuple[BulkInvalidation, ...]:
        """Bulk invalidations that together name every object that may exist."""
        ...

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        """The server rows of which the object is made, as far as they are known from the present rows."""
        ...

    def rows_used(self, kind: Kind) -> tuple[RowsUsed, ...]:
        """The rows that rendering an object of this kind looks up, as far as reading them together saves time."""
        ...

    def placed_ms(self, ref: ObjectRef, rows: RowReader) -> int | None:
        """When the object's order was placed, epoch milliseconds; None for objects without an order."""
        ...

    def parts(self, ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
        """The parts of this object: an order's lines."""
        ...

    def main_row(self, ref: ObjectRef, rows: RowReader) -> Row | None:
        """The object's main row; None for objects without one."""
        ...

    def types_affected_by(self, table: str) -> frozenset[ObjectType]:
        """The types of the objects that rows of the table may affect; empty if not all are known."""
        ...


# --------------------------------------------------------------------------------------------------------- sinks


class EmailChange(Enum):
    """What a sink does when a contact's email changes in the shop."""

    IN_PLACE = "in place"  # the receiver changes the email of the record, as it changes any other property
    LEAVE_OUT = "leave out"  # the receiver never changes an email: the message goes without the changed address
    SEND = "send"  # the receiver never changes an email: the address is sent all the same, and a warning says so


@dataclass(frozen=True, slots=True)
class CallFamily:
    """Calls that share one quota. ``per_10s``: the most calls in any ten seconds; the answers' headers may lower it.
    ``may_grow``: the answers' headers may raise it too, as no setting limits it.
    """

    per_10s: int
    may_grow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkTraits:
    """What delivery has to know about a sink. The sink declares its traits; no other code tells sinks apart.

    ``max_batch``: the most messages in one send. ``object_types``: the types that the sink accepts; objects of other
    types never get into its outbox. ``optional_references``: type of a message → types of references without which the
    message may be sent, if the object referred to will never come.

    ``families``: name → quota; empty: the sink has no quota at all. A send begins with a call of the first family.
    Delivery reserves that call before it takes the messages out of the outbox.

    What a first load costs, for its plan: ``start_calls`` before the first message; ``calls_per_batch``: object type →
    calls for a batch of new objects (1 for a type that is not named), all of the first family; ``poll_s``: one call
    each so many seconds for later verdicts, 0: none.

    ``email_change``, ``email_property``: what happens to a changed email, and the neutral name of the property that
    becomes the contact's email. ``contacts_by_email``: the receiver has one contact per address, so the mapper decides
    which customer or guest is that contact. ``advice``: reason of a dead letter → what to do next.
    """

    name: str
    max_batch: int
    object_types: frozenset[ObjectType] = frozenset(ObjectType)
    optional_references: Mapping[ObjectType, frozenset[ObjectType]] = field(default_factory=dict)
    families: Mapping[str, CallFamily] = field(default_factory=dict)
    start_calls: int = 0
    calls_per_batch: Mapping[ObjectType, int] = field(default_factory=dict)
    poll_s: float = 0.0
    email_change: EmailChange = EmailChange.IN_PLACE
    email_property: str = "email"
    contacts_by_email: bool = False
    advice: Mapping[str, str] = field(default_factory=dict)


class Permit(Protocol):
    """The right to make one call."""

    def answered(self, quota: Quota) -> None:
        """Pass on the quota in the headers of the call's answer, whatever the answer's status was."""
        ...


class Requests(Protocol):
    """The object that grants calls to the receiver. Each call has a permit of its own."""

    def permit(self, family: str) -> AbstractAsyncContextManager[Permit]:
        """The right to make one call of this family. Make the call inside the ``async with`` block.

        Entering the block waits until the quota of the family has room, checks that this process may still send, and
        counts the call. Leaving the block ends the call. Keep the block short: one HTTP request, and no second permit
        inside.

        Raises SendingStoppedError, before anything is sent, if this process may not send any more (another member
        leads, or delivery closes); KeyError for a family that the sink's traits do not name (a sink without families
        may use any name).
        """
        ...


class Sink(Protocol):
    """Takes messages. One instance per daemon; ``send`` may be called by several tasks at once."""

    @property
    def traits(self) -> SinkTraits:
        """Constant for the life of the sink; known before any connection is made."""
        ...

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """Send messages of one object type, at most one per object. Returns one receipt per message, in the given
        order.

        May make several calls, each under a permit of ``requests``. Raises the SinkError kinds when there are no
        receipts. If a call fails after earlier calls had results, it returns receipts for all messages (RETRY or
        WRITTEN for the unfinished ones) and does not raise. Safe to cancel; a cancelled call may have been accepted.
        Never retries by itself.
        """
        ...

    async def close(self) -> None:
        """Close connections. May be called twice."""
        ...


class SinkNotes(Protocol):
    """Small texts that a sink keeps in the state file between runs, such as the id of the account first seen."""

    async def get(self, name: str) -> str:
        """The text last put under this name; "" if there is none."""
        ...

    async def put(self, name: str, text: str) -> None:
        """Keep a text of at most a few kilobytes; returns when it is on disk."""
        ...


@runtime_checkable
class SinkStart(Protocol):
    """For sinks that must learn about the account before the first message."""

    async def start(self, requests: Requests, notes: SinkNotes) -> None:
        """Called by delivery before the first send, and again after a SinkError until it succeeds.

        Raises the SinkError kinds if the receiver cannot be asked now; SetupError, which ends the run with exit code
        2, if the account is not set up for this sink.
        """
        ...


@runtime_checkable
class RenewsKeys(Protocol):
    """For sinks whose keys can be replaced while they are used."""

    def renew_keys(self) -> bool:
        """Read the keys again. Returns whether they have changed."""
        ...


@runtime_checkable
class LaterVerdicts(Protocol):
    """For sinks whose receiver accepts a message first and reports afterwards what was wrong with it."""

    async def sync_errors(self, progress: str, requests: Requests) -> SyncErrorPage:
        """One page of the refusals after acceptance: at most one call.

        ``progress``: the text that the last page gave, also in an earlier run; "" at the very first call. The caller
        keeps the page's progress in the same transaction as its errors, so an error may come twice and is never missed.
        """
        ...

    async def is_known(self, object_type: ObjectType, external_id: str, requests: Requests) -> bool:
        """Whether the receiver has a record of this object."""
        ...

    async def sync_status(self, object_type: ObjectType, external_id: str, requests: Requests) -> SyncStatus | None:
        """The receiver's answer about this object; None if it has never processed it."""
        ...


@runtime_checkable
class BoundsBodies(Protocol):
    """For sinks whose calls hold more than the messages: they cut calls by the bytes of their bodies."""

    def bound_bodies(self, max_bytes: int) -> None:
        """From now on, limit the body of a call to this many bytes; only a single message may be larger."""
        ...


@runtime_checkable
class SinkReader(Protocol):
    """For sinks whose receiver can be read back."""

    async def compare(self, messages: Sequence[Message], requests: Requests) -> Sequence[Comparison]:
        """Compare the receiver's records of these objects (of one type) with the messages. One result per message."""
        ...

    async def keys(
        self, object_type: ObjectType, after: str, requests: Requests
    ) -> tuple[Sequence[tuple[str, str]], str]:
        """A page of the records that have our key and do not count as deleted: external id and record id.

        ``after``: the text that the last page gave, "" for the first page; the result is "" after the last page.
        """
        ...

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """The address of a record's page for people; "" while the account is not known, or without a record."""
        ...


@runtime_checkable
class SinkWitness(Protocol):
    """For sinks whose receiver lists its newest records: it knows objects that a restored state has forgotten."""

    async def newest(self, object_type: ObjectType, requests: Requests) -> Sequence[tuple[str, str]]:
        """External id and record id of the last created records with our key, the newest first.

        At most a hundred, also records that count as deleted.
        """
        ...


@runtime_checkable
class SinkAdopter(Protocol):
    """For sinks whose receiver may have records of the shop's objects that others made."""

    async def adopt(
        self,
        object_type: ObjectType,
        keys: Mapping[str, Sequence[str]],
        requests: Requests,
        *,
        order_property: str,
        dry_run: bool,
    ) -> Adoption:
        """Write our keys onto such records. ``keys``: email address, SKU or order number → the external ids of its
        objects.
        """
        ...


@runtime_checkable
class SinkSetup(Protocol):
    """For sinks whose receiver has to be set up before it takes messages."""

    async def check(self, requests: Requests, notes: Mapping[str, str] = NO_NOTES) -> Sequence[CheckResult]:
        """Whether messages would be accepted now: reachable, key valid, switched on. Sends nothing, raises nothing.

        ``notes``: the sink's notes in the state (``SinkNotes``); empty without a state.
        """
        ...

    async def push_mapping(self, requests: Requests, *, dry_run: bool) -> Sequence[str]:
        """Create or change what the receiver needs. One line per step done or to do. Raises the SinkError kinds."""
        ...
