"""The seams between layers, each with its contract. A leaf of the import graph.

``Sink`` and the optional protocols behind it are implemented in ``sinks/``, ``Mapper`` in ``mappers/``, ``RowReader``
by the replica (and by a plain dictionary in tests).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final, Protocol, TypeVar, runtime_checkable

from cdc.model import (
    Adoption,
    Answer,
    BulkInvalidation,
    CheckResult,
    Comparison,
    FetchByKey,
    Message,
    ObjectRef,
    ObjectType,
    Quota,
    Rendered,
    Row,
    SyncErrorPage,
    SyncStatus,
    TableSpec,
    Value,
)

T = TypeVar("T")

NO_NOTES: Final[Mapping[str, str]] = MappingProxyType({})
"""What a sink has kept in a state that is not there yet."""


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
        """Bulk invalidations that together name every object that may exist."""
        ...

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        """The server rows the object is made of, as far as they can be named from the rows held now."""
        ...

    def placed_ms(self, ref: ObjectRef, rows: RowReader) -> int | None:
        """When the order that the object belongs to was placed, epoch milliseconds; None for what belongs to none."""
        ...

    def parts(self, ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
        """The objects that are parts of this one: an order's lines."""
        ...

    def main_row(self, ref: ObjectRef, rows: RowReader) -> Row | None:
        """The row that the object is, first of all; None for objects that no single row stands for."""
        ...


# --------------------------------------------------------------------------------------------------------- sinks


class EmailChange(Enum):
    """What a sink does when a contact's email in the shop changes."""

    IN_PLACE = "in place"  # the receiver changes the email of the record, as it changes any other property
    LEAVE_OUT = "leave out"  # the receiver never changes an email: the message goes without the changed address
    SEND = "send"  # the receiver never changes an email: the address is sent all the same, and a warning says so


@dataclass(frozen=True, slots=True)
class CallFamily:
    """Calls that share one quota. ``per_10s``: calls in any ten seconds at most; the answers' headers may lower it.

    ``may_grow``: the answers' headers may raise it, too: nobody has set it.
    """

    per_10s: int
    may_grow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkTraits:
    """What delivery has to know of a sink. A sink declares it; nothing else in the project tells sinks apart.

    ``max_batch``: messages a send at most. ``object_types``: the types that the sink takes; objects of other types are
    never put into its outbox. ``optional_references``: type of a message → types of references that it may be sent
    without, if the object referred to will not come.

    ``families``: name → quota; empty: the sink has no quota at all. A send begins with a call of the first family:
    delivery reserves that call before it takes the messages out of the outbox.

    ``email_change``, ``email_property``: what happens to a changed email, and the neutral name of the property that the
    receiver takes for the contact's email. ``contacts_by_email``: the receiver holds one contact per address, so the
    mapper decides which customer or guest stands for an address. ``advice``: reason of a dead letter → what to do next.
    """

    name: str
    max_batch: int
    object_types: frozenset[ObjectType] = frozenset(ObjectType)
    optional_references: Mapping[ObjectType, frozenset[ObjectType]] = field(default_factory=dict)
    families: Mapping[str, CallFamily] = field(default_factory=dict)
    email_change: EmailChange = EmailChange.IN_PLACE
    email_property: str = "email"
    contacts_by_email: bool = False
    advice: Mapping[str, str] = field(default_factory=dict)


class Permit(Protocol):
    """The right to make one call."""

    def answered(self, quota: Quota) -> None:
        """Say what the headers of the call's answer said of the quota, whatever the answer's status was."""
        ...


class Requests(Protocol):
    """Handed to everything that calls the receiver. Each call is made under a permit of its own."""

    def permit(self, family: str) -> AbstractAsyncContextManager[Permit]:
        """The right to make one call of this family; the call is made inside the ``async with`` block.

        Entering waits until the quota of the family has room, asks whether this process still may send, and counts the
        call. Leaving says that the call has ended. Keep the block short: one HTTP request, and no second permit inside.

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
        """Send messages of one object type, at most one per object; one receipt per message, in the order given.

        May make several calls, each under a permit of ``requests``. Raises the SinkError kinds when there are no
        receipts. A sink that had results before a later call failed returns receipts for all messages (RETRY or WRITTEN
        for the unfinished ones) and does not raise. Safe to cancel; a cancelled call may have been taken. Never retries
        by itself.
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
    """For sinks that must learn something of the account before the first message."""

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
        """Read the keys again; whether they are others than before."""
        ...


@runtime_checkable
class LaterVerdicts(Protocol):
    """For sinks whose receiver accepts first and says later what was wrong with a message."""

    async def sync_errors(self, progress: str, requests: Requests) -> SyncErrorPage:
        """One page of the verdicts that were given after acceptance: at most one call.

        ``progress``: what the page before said, also in an earlier run; "" at the very first call. The caller keeps the
        page's progress in the same transaction as its verdicts, so a verdict may come twice and is never passed over.
        """
        ...

    async def is_known(self, object_type: ObjectType, external_id: str, requests: Requests) -> bool:
        """Whether the receiver holds a record for this object."""
        ...

    async def sync_status(self, object_type: ObjectType, external_id: str, requests: Requests) -> SyncStatus | None:
        """What the receiver says of this object; None if it has processed none such."""
        ...


@runtime_checkable
class BoundsBodies(Protocol):
    """For sinks whose calls hold more than the messages: they cut them by the bytes that go out."""

    def bound_bodies(self, max_bytes: int) -> None:
        """No body of a call may be larger from now on, but for that of a single message."""
        ...


@runtime_checkable
class SinkReader(Protocol):
    """For sinks whose receiver can be read back."""

    async def compare(self, messages: Sequence[Message], requests: Requests) -> Sequence[Comparison]:
        """Hold what the receiver has of these objects (of one type) against the messages, one verdict for each."""
        ...

    async def keys(
        self, object_type: ObjectType, after: str, requests: Requests
    ) -> tuple[Sequence[tuple[str, str]], str]:
        """A page of the records that have a key of ours and do not count as deleted: external id and record id.

        ``after``: what the page before gave, "" for the first; "" after the last page.
        """
        ...

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """The address of a record's page for people; "" while the account is not known, or without a record."""
        ...


@runtime_checkable
class SinkWitness(Protocol):
    """For sinks whose receiver tells which records are the newest: it knows what a restored state has forgotten."""

    async def newest(self, object_type: ObjectType, requests: Requests) -> Sequence[tuple[str, str]]:
        """External id and record id of the records with a key of ours that were made last, the newest first.

        At most a hundred, those that count as deleted among them.
        """
        ...


@runtime_checkable
class SinkAdopter(Protocol):
    """For sinks whose receiver may hold records that others made of the shop's objects."""

    async def adopt(
        self,
        object_type: ObjectType,
        keys: Mapping[str, Sequence[str]],
        requests: Requests,
        *,
        order_property: str,
        dry_run: bool,
    ) -> Adoption:
        """Write our keys onto such records. ``keys``: address, SKU or order number → our external ids that have it."""
        ...


@runtime_checkable
class SinkSetup(Protocol):
    """For sinks whose receiver has to be set up before it takes messages."""

    async def check(self, requests: Requests, notes: Mapping[str, str] = NO_NOTES) -> Sequence[CheckResult]:
        """Whether messages would be taken now: reachable, key good, switched on. Sends nothing, raises nothing.

        ``notes``: what this sink kept in the state (``SinkNotes``); empty without a state.
        """
        ...

    async def push_mapping(self, requests: Requests, *, dry_run: bool) -> Sequence[str]:
        """Create or change what the receiver needs; one line per thing done or to do. Raises the SinkError kinds."""
        ...
