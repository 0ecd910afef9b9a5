"""The words every layer shares: positions, changes, transactions, objects, messages, receipts.

A leaf of the import graph: standard library only. ARCHITECTURE.md ("Glossary") explains each word.

The module is longer than 400 lines on purpose: every package uses these types together, so one place to look them up is
better than several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple

Value = None | int | float | str | bytes
"""One column's value, in the form SELECT shows it.

Integers, BIT and YEAR are ``int``; FLOAT and DOUBLE are ``float``; DECIMAL is plain decimal text with the
column's scale (``"59.9000"``), never a float. DATE, TIME and DATETIME are the server's own text, so that zero
and partly zero dates survive (``"0000-00-00"``). TIMESTAMP is the same text in UTC. ENUM is its label, SET its
labels joined by commas. Character columns are ``str``; BINARY, BLOB, GEOMETRY and VECTOR are ``bytes``.
"""


class Absent:
    """A column that the event did not carry (MINIMAL images, a column that the table no longer has)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()

Cells = tuple[Value | Absent, ...]
"""One row image: a cell per column of its ``TableSpec.columns``, in that order."""

Row = Mapping[str, Value]
"""One replica row by column name."""


# ------------------------------------------------------------------------------------------------ positions

LSN_OFFSET_BITS: Final = 38  # 256 GiB a file: far over max_binlog_size (1 GiB), room for a giant transaction
LSN_FILE_BITS: Final = 63 - LSN_OFFSET_BITS  # 33 million files over all epochs, within SQLite's INTEGER


@dataclass(frozen=True, slots=True, order=False)
class Position:
    """A resume point: the next transaction to read. Immutable.

    ``file`` and ``offset`` (bytes) name a position in one server's log. ``gtid`` is the executed set up to that
    position in the server's own notation ("" where the server has none). ``server`` is the server's identity (MySQL's
    server_uuid, MariaDB's server_id as text). ``born`` is when the file was begun, epoch seconds (0: not known yet):
    after a RESET another file has its name. It is no part of the position, so it is not compared.
    """

    file: str
    offset: int
    gtid: str = ""
    server: str = ""
    born: int = field(default=0, compare=False)

    @property
    def file_number(self) -> int:
        """The number at the end of the log file's name (``binlog.000123`` → 123)."""
        return int(self.file.rpartition(".")[2])

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"


class StartKind(StrEnum):
    """The kinds of start positions."""

    IMPORT = "import"
    EARLIEST = "earliest"
    LATEST = "latest"
    FILE_OFFSET = "file and offset"
    GTID = "gtid"


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: a keyword, a position, or a GTID set (then ``position.gtid`` holds it)."""

    kind: StartKind
    position: Position | None = None

    def __str__(self) -> str:
        if self.kind is StartKind.FILE_OFFSET:
            return str(self.position)
        if self.kind is StartKind.GTID:
            assert self.position is not None
            return f"gtid:{self.position.gtid}"
        return self.kind.value


_PLACE = re.compile(r"^(?P<file>[^:\s]+\.\d+):(?P<offset>\d+)$")


def parse_start(text: str, *, allow_import: bool = True) -> Start:
    """Read ``binlog.000123:4567``, ``gtid:<set>``, ``earliest``, ``latest`` or ``import``.

    Raises ValueError with a sentence that names the forms accepted.
    """
    text = text.strip()
    keywords = {k.value: k for k in (StartKind.EARLIEST, StartKind.LATEST)}
    if allow_import:
        keywords[StartKind.IMPORT.value] = StartKind.IMPORT
    if text in keywords:
        return Start(keywords[text])
    if text.startswith("gtid:") and len(text) > len("gtid:"):
        return Start(StartKind.GTID, Position("", 0, gtid=text.removeprefix("gtid:").replace("\n", "")))
    match = _PLACE.match(text)
    if match:
        return Start(StartKind.FILE_OFFSET, Position(match["file"], int(match["offset"])))
    forms = "binlog.000123:4567, gtid:<set>, " + ", ".join(keywords)
    raise ValueError(f"{text!r} is not a position; write one of: {forms}")


# --------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class RunningTotals:
    """Totals of a table's rows by group, which the state keeps up to date with every row that is written.

    ``group``: a derived column, the name of the row's group; a row with NULL counts nowhere. ``shared``: columns that
    are equal in all rows of a group. ``found_by``: the ones of these by which groups are looked up. ``amount``: a
    derived column with an integer; NULL: the row's amount is not readable. ``order``: which row is the first and which
    the last; (group, *order) must be an index, and the table's key one column.

    A total is read as a row with the columns ``group``, ``shared`` and ``COLUMNS``: the number of rows, the sum of the
    readable amounts, the number of rows without one, and the keys of the first and the last row.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("row_count", "amount", "unreadable", "first_key", "last_key")

    group: str
    shared: tuple[str, ...]
    found_by: tuple[str, ...]
    amount: str
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One mapped table: the columns that the source decodes and that the replica keeps.

    ``name`` is without the store's table prefix. ``columns`` is the allow-list (key columns first); other columns are
    never decoded. ``optional`` columns may be missing on the server (then their cells are ABSENT). ``required`` False:
    the whole table may be missing. ``derived`` columns are computed from the row when it is stored (never decoded).
    ``transient`` columns are decoded for that and not stored. ``indexes``: the columns by which renderers look up rows.
    ``reference``: a small table that many objects use (stores, groups, attributes); loaded before anything is rendered.
    ``keys_only``: kept only for cascades between two mapped tables. ``integer_key``: a key of one column holds integers
    (so it can be the rowid). ``kept_by``: all columns that ``Mapper.keep`` reads; empty: not known. ``selection``: the
    mapper's description of the rows that it keeps; the table is loaded again when this text changes. ``totals``: the
    totals of its rows that renderers need.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    derived: tuple[str, ...] = ()
    transient: frozenset[str] = frozenset()
    integer_key: bool = True
    optional: frozenset[str] = frozenset()
    required: bool = True
    reference: bool = False
    keys_only: bool = False
    selection: str = ""
    kept_by: frozenset[str] = frozenset()
    totals: RunningTotals | None = None


class DeleteRule(StrEnum):
    """A foreign key's ON DELETE rule, as far as it changes child rows."""

    CASCADE = "CASCADE"
    SET_NULL = "SET NULL"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """``child.child_column`` refers to ``parent.parent_column`` (names without prefix)."""

    child: str
    child_column: str
    parent: str
    parent_column: str
    rule: DeleteRule


# ------------------------------------------------------------------------------------------------- changes


class Op(IntEnum):
    """What happened to a row (TRUNCATE: to all rows of the table)."""

    INSERT = 1
    UPDATE = 2
    DELETE = 3
    TRUNCATE = 4


class Image(IntEnum):
    """How much of the new row a change carries (binlog_row_image, binlog_row_value_options)."""

    WHOLE = 0  # every mapped column that the table has
    PARTIAL = 1  # ABSENT columns are as they were; of a row that is not held the rest has to be read
    UNKNOWN = 2  # some ABSENT columns have new values that the log does not tell: the row has to be read


class Change(NamedTuple):  # made by the million: a tuple is made three times as fast as a frozen dataclass
    """One row's change, cells in the order of the table's ``TableSpec.columns``.

    INSERT has ``after``, DELETE has ``before``, UPDATE has both, TRUNCATE neither. ``cascades`` is False when the
    replica must not cascade: the event has the no-foreign-key-checks flag (0x02), or deletes rows whose children the
    server logs itself (0x10). ``image`` describes ``after``.
    """

    table: str
    op: Op
    before: Cells | None
    after: Cells | None
    cascades: bool = True
    image: Image = Image.WHOLE


class XaStep(StrEnum):
    """What a transaction of the log does with an XA transaction."""

    PREPARE = "prepare"  # its changes happen only if a COMMIT follows, perhaps days and restarts later
    COMMIT = "commit"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Xa:
    """A step of two-phase commit. ``xid`` is the server's text for it: ``X'<gtrid>',X'<bqual>',<format>``.

    ``may_repair``: if a COMMIT's changes are not known, tables may be read again, and a read can tell that it contains
    it.
    """

    xid: str
    step: XaStep
    may_repair: bool = False


class StaleTable(NamedTuple):
    """A mapped table whose rows may have changed without row events, and why.

    ``by_statement``: a statement of the log changed its rows, and those of tables that refer to it, without the lock
    that a definition has. ``by_rows``: its rows events could not be read, so rows of tables that refer to it may have
    changed with them.
    """

    table: str
    reason: str
    by_statement: bool = False
    by_rows: bool = False


class TableSchema(NamedTuple):
    """A table's columns from one position in the log on, in the form of ``cdc.binlog.schema.history``.

    ``name`` includes the store's prefix; ``table`` is the mapped table or "". ``columns`` is "" where they are not
    known. ``until``: they were read from the server, and are assumed until the log has passed this position. ``lost``:
    mapped columns that the table should have and does not. ``change``: the kind of statement that changed it (``ALTER
    TABLE``), "" if no statement was read. ``other``: the earlier name of a renamed table, or its new name if it is gone
    under this one.
    """

    name: str
    table: str
    columns: str
    until: Position | None = None
    exists: bool = True
    lost: tuple[str, ...] = ()
    change: str = ""
    other: str = ""


class BadRecord(NamedTuple):
    """A record of a topic that cannot be read. ``reason`` names fields, never values."""

    topic: str
    partition: int
    offset: int
    reason: str

    @property
    def name(self) -> str:
        """The record's name in commands."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class NewestRow(NamedTuple):
    """The newest record of a key: the row, or None if it was deleted. ``key``: the primary key's values."""

    table: str
    key: tuple[Value, ...]
    cells: Cells | None


class ReportedPosition(NamedTuple):
    """The position of a row in the source's log, as a record of another tool's topic reports it.

    ``partition``: ``topic/partition`` of the record. ``position``: the position in the log of the server that the tool
    reads, with the transaction's own GTID and the server that the event began on; None if the record has none.
    ``at_ms``: commit time in epoch milliseconds, 0 if unknown. ``is_snapshot``: ``position`` is that of a snapshot.
    ``written_ms``: when the record was written to its topic. ``cdc.kafka.row_order`` decides which record is newer.
    ``is_created``: the record is an INSERT, so the row did not exist before.
    """

    partition: str
    position: Position | None
    at_ms: int = 0
    is_snapshot: bool = False
    written_ms: int = 0
    is_created: bool = False


class Feed(NamedTuple):
    """The part of a Kafka transaction beside its changes.

    ``rows_at``: the source's position of its rows, where they do not arrive in the source's order: the newest position
    wins. ``offsets``: where to read on per ``topic/partition``, kept in the same local commit; None: unchanged.
    ``topics``: facts from each topic's records that later records need; None: unchanged. ``bad``: records set aside.
    ``is_loaded``: with this transaction, every record that the topics held at the start is applied. ``is_whole``:
    whether the relay marks the records so far as the whole store; None: unchanged. ``sample``: the newest rows of some
    keys, once everything up to here is read. ``is_caught_up``: with this transaction, every record that the topics held
    some time ago is applied.
    """

    rows_at: ReportedPosition | None = None
    offsets: Mapping[str, int] | None = None
    bad: tuple[BadRecord, ...] = ()
    is_loaded: bool = False
    is_whole: bool | None = None
    topics: Mapping[str, object] | None = None
    sample: tuple[NewestRow, ...] = ()
    is_caught_up: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """One whole source transaction. One without changes only moves the position (rotation, heartbeat, other tables).

    ``end`` is the resume point after it. ``commit_ms``: the commit time in epoch milliseconds (0 if unknown). ``size``:
    roughly its bytes in memory, for bounding queues. ``stale``: mapped tables whose rows may have changed here without
    row events. ``xa``: with PREPARE the changes have not happened yet; with COMMIT those of its PREPARE happen here.
    ``is_new_log``: the log between the last transaction and this one is lost, and positions of the two cannot be
    compared. ``schemas``: columns of tables that became known here. ``keys_of``: mapped tables whose foreign keys may
    have changed here. ``foreign_keys``: then all keys, as the server has them. ``read_ms``: when it was read, epoch
    milliseconds (0 if unknown). ``count``: how many of the source's transactions it represents.
    """

    changes: Sequence[Change]
    end: Position
    commit_ms: int
    size: int = 0
    stale: tuple[StaleTable, ...] = ()
    xa: Xa | None = None
    is_new_log: bool = False
    schemas: tuple[TableSchema, ...] = ()
    keys_of: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] | None = None
    read_ms: int = 0
    feed: Feed | None = None
    count: int = 1

    @property
    def is_only_position(self) -> bool:
        """Whether it only moves the position."""
        is_plain = self.xa is None and self.feed is None and self.foreign_keys is None and not self.is_new_log
        return is_plain and not (self.changes or self.stale or self.schemas or self.keys_of)


# ------------------------------------------------------------------------------------------------- objects


class ObjectType(StrEnum):
    """HubSpot's object types, spelled as the bridge spells its own."""

    CONTACT = "CONTACT"
    PRODUCT = "PRODUCT"
    DEAL = "DEAL"
    LINE_ITEM = "LINE_ITEM"
    CART = "CART"  # only HubSpot's CRM API knows it


class Kind(StrEnum):
    """The kinds of objects we make; each is rendered on its own and has its own external ids."""

    CUSTOMER = "customer"
    GUEST = "guest"
    PRODUCT = "product"
    ORDER = "order"
    ITEM = "item"
    CART = "cart"  # a cart as a deal
    CART_OBJECT = "cart_object"  # a cart as HubSpot's own object for carts
    CART_ITEM = "cart_item"


KIND_NAMES: Final[Mapping[Kind, str]] = {kind: kind.value for kind in Kind}
"""For names that are made for each message: ``Kind.value`` takes three times as long."""

KINDS: Final[Mapping[str, Kind]] = {kind.value: kind for kind in Kind}
"""By name: for the kinds in our own tables, where calling ``Kind`` for each of them takes ten times as long."""


class ValueType(StrEnum):
    """The type of a property's text.

    A number is plain decimal text, a bool ``true`` or ``false``, a date ``YYYY-MM-DD``, a datetime epoch milliseconds
    in UTC. An enumeration is one of a few texts that are known beforehand.
    """

    STRING = "string"
    NUMBER = "number"
    BOOL = "bool"
    DATE = "date"
    DATETIME = "datetime"
    ENUMERATION = "enumeration"


class ObjectFacts(NamedTuple):
    """The facts on a kind of object that every package needs, without knowing the shop.

    ``references``: the kinds that its objects may refer to. ``has_hash_id``: its ids are 24 hex digits, not numbers.
    ``is_of_carts``: the shop deletes its objects by the thousand every night, and nothing is wrong.
    """

    object_type: ObjectType
    references: tuple[Kind, ...] = ()
    has_hash_id: bool = False
    is_of_carts: bool = False


OBJECTS: Final[Mapping[Kind, ObjectFacts]] = {
    Kind.CUSTOMER: ObjectFacts(ObjectType.CONTACT),
    Kind.GUEST: ObjectFacts(ObjectType.CONTACT, has_hash_id=True),
    Kind.PRODUCT: ObjectFacts(ObjectType.PRODUCT),
    Kind.ORDER: ObjectFacts(ObjectType.DEAL, references=(Kind.CUSTOMER, Kind.GUEST)),
    Kind.ITEM: ObjectFacts(ObjectType.LINE_ITEM, references=(Kind.ORDER, Kind.PRODUCT)),
    Kind.CART: ObjectFacts(ObjectType.DEAL, references=(Kind.CUSTOMER, Kind.GUEST), is_of_carts=True),
    Kind.CART_OBJECT: ObjectFacts(
        ObjectType.CART, references=(Kind.CUSTOMER, Kind.GUEST, Kind.CART, Kind.ORDER), is_of_carts=True
    ),
    Kind.CART_ITEM: ObjectFacts(ObjectType.LINE_ITEM, references=(Kind.CART_OBJECT, Kind.PRODUCT), is_of_carts=True),
}
"""The one table of kinds. All other facts of a kind are in its descriptor (``mappers/objects``); a test
compares the two.
"""

OBJECT_TYPE: Final[Mapping[Kind, ObjectType]] = {kind: facts.object_type for kind, facts in OBJECTS.items()}

OF_CARTS: Final = frozenset(kind for kind, facts in OBJECTS.items() if facts.is_of_carts)
"""The kinds of objects that carts are made of."""

REFERRERS: Final[Mapping[Kind, tuple[Kind, ...]]] = {
    kind: tuple(other for other, facts in OBJECTS.items() if kind in facts.references) for kind in OBJECTS
}
"""Which kinds of objects may refer to a kind: only those are searched before a DELETE."""


def _rank(object_type: ObjectType) -> int:
    """0 for a type that refers to no type, else one more than the highest rank that it may refer to."""
    kinds = [other for facts in OBJECTS.values() if facts.object_type is object_type for other in facts.references]
    return max((1 + _rank(OBJECT_TYPE[other]) for other in kinds), default=0)


RANK: Final[Mapping[ObjectType, int]] = {object_type: _rank(object_type) for object_type in ObjectType}
"""The sending order of UPSERTs. DELETEs go in the opposite order."""


class ObjectRef(NamedTuple):
    """Names one object: kind and id (an int, or 24 hex digits where the kind ``has_hash_id``)."""

    kind: Kind
    id: int | str

    @property
    def object_type(self) -> ObjectType:
        return OBJECT_TYPE[self.kind]

    def __str__(self) -> str:
        """``<kind>-<id>``, for logs and people."""
        return f"{self.kind.value}-{self.id}"

    def external_id(self, namespace: str) -> str:
        """``<namespace>-<kind>-<id>``: ASCII, at most 100 characters."""
        return f"{namespace}-{KIND_NAMES[self.kind]}-{self.id}"


def parse_external_id(text: str, namespace: str) -> ObjectRef:
    """The object that ``<namespace>-<kind>-<id>`` (or ``<kind>-<id>``) names. ValueError if it names no object."""
    kind_text, _, id_text = text.removeprefix(f"{namespace}-").partition("-")
    try:
        kind = Kind(kind_text)
    except ValueError:
        kinds = ", ".join(k.value for k in Kind)
        raise ValueError(f"{text!r} names no object; write {namespace}-<kind>-<id> with kind one of {kinds}") from None
    try:
        return ObjectRef(kind, parse_object_id(kind, id_text))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def parse_object_id(kind: Kind, text: str) -> int | str:
    """An id of this kind in ``ObjectRef``'s form. ValueError if the text is not such an id."""
    if OBJECTS[kind].has_hash_id:
        if not re.fullmatch(r"[0-9a-f]{24}", text):
            raise ValueError(f"a {kind.value}'s id is 24 hex digits")
        return text
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"a {kind.value}'s id is a number")
    return int(text)


@dataclass(slots=True)  # not frozen: some for each second's objects, and a frozen one takes twice as long to make
class Rendered:
    """The mapper's result for one existing object.

    ``properties``: neutral name → text; "" means the shop has no value. HubSpot's value of a missing name stays (its
    source is not loaded). ``references``: the objects that it is associated with. ``address``: the contact's
    lower-cased email address, where there is one contact per address; personal data, so only its hash may be kept.
    ``journey``: the cart that a purchase began with; the cart itself and the order made of it have the same, and share
    one record. ``is_of_carts``: a contact that only carts make, which ends with them.
    """

    properties: Mapping[str, str]
    references: tuple[ObjectRef, ...] = ()
    warnings: tuple[str, ...] = ()
    address: str = ""
    journey: ObjectRef | None = None
    is_of_carts: bool = False


# ------------------------------------------------------------------------------------------------ messages


class Action(StrEnum):
    """What the receiver is asked to do with the object."""

    UPSERT = "UPSERT"
    DELETE = "DELETE"


class Reference(NamedTuple):  # some for each message: a tuple is made three times as fast as a frozen dataclass
    """An object that a message refers to. ``record_id``: the receiver's own id of its record, "" if it is not known."""

    object_type: ObjectType
    external_id: str
    record_id: str = ""


@dataclass(slots=True, kw_only=True)  # not frozen: that would make each message cost three times as much
class Message:
    """One object's complete desired state, or its deletion, as a sink sends it.

    ``changed_at``: epoch milliseconds, strictly rising per object except for repeats of the identical message.
    ``associations``: object type → external ids. ``position``: text of the log position it was rendered at.

    For receivers that name records themselves: ``record_id`` is the object's record, "" if it is not known.
    ``was_accepted``: a version of the object was accepted before. ``references``: the objects of ``associations`` with
    their records. ``linked``: the objects that the last accepted version was linked to, with their present records.
    ``linked_records``: records (by type) to which the object's record is certainly linked; there may be others.
    ``only_links``: the properties were written before; only links are to be made. ``is_backfill``: the message comes
    from the snapshot, not from a live change. ``may_repeat``: an earlier attempt's outcome is unknown, so the object
    may exist already. ``predecessor``: the object whose record becomes this object's record, while this object has none
    (an order's cart).
    """

    object_type: ObjectType
    external_id: str
    action: Action
    changed_at: int
    properties: Mapping[str, str] = field(default_factory=dict)
    associations: Mapping[ObjectType, tuple[str, ...]] = field(default_factory=dict)
    position: str = ""
    record_id: str = ""
    was_accepted: bool = False
    references: tuple[Reference, ...] = ()
    linked: tuple[Reference, ...] = ()
    linked_records: frozenset[tuple[ObjectType, str]] = frozenset()
    only_links: bool = False
    is_backfill: bool = False
    may_repeat: bool = False
    predecessor: Reference | None = None


class Outcome(Enum):
    """The outcome of one message of a batch."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # this message is at fault and never will be taken: dead letter
    RETRY = "retry"  # not taken, or unknown; send the identical message again
    WRITTEN = "written"  # the properties were taken, the links were not: repeat the linking alone


@dataclass(slots=True)  # not frozen: that would make each receipt cost three times as much
class Receipt:
    """The outcome of one message. ``reason`` and ``detail`` hold no secrets and no property values.

    ``record_id``: the object's record from now on; "" if the receiver names none. ``is_record_gone``: the object's
    earlier record no longer exists (archived, say), so its id is to be forgotten. ``gone``: external ids of references
    whose records do not exist; these objects are to be sent again. ``retry_after_s``: with ``RETRY``, the shortest wait
    that the receiver asks for.
    """

    external_id: str
    changed_at: int
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    record_id: str = ""
    is_record_gone: bool = False
    gone: tuple[str, ...] = ()
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BulkInvalidation:
    """Many objects at once: the objects of ``kind`` whose ids are in ``id_column`` of ``table``'s rows.

    Only rows where ``column`` equals ``value``; an empty ``column`` means all rows. ``unless`` (table, column): without
    the ids in this column of another table, as another bulk invalidation over that table names them.
    """

    kind: Kind
    table: str
    id_column: str
    column: str = ""
    value: Value = None
    unless: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class FetchByKey:
    """Rows of ``table`` where ``column`` equals ``value``, to be read from the server by key."""

    table: str
    column: str
    value: Value


class RowsUsed(NamedTuple):
    """Rows that rendering an object looks up: those of ``table`` where ``column`` has the object's id.

    ``named_in``: a table and its column that has the value in place of the object's id; the rows of that table are rows
    used themselves.
    """

    table: str
    column: str
    named_in: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """The request quota in an answer's headers; None where the headers do not say it."""

    limit: int | None = None
    remaining: int | None = None
    interval_ms: int | None = None
    daily_limit: int | None = None
    daily_remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one send: a receipt per message, in the order sent."""

    receipts: tuple[Receipt, ...]


class Scope(Enum):
    """Where the cause of a sync error is."""

    MESSAGE = "message"  # the message itself
    PARENT = "parent"  # something that the message refers to, which the receiver does not know (yet)
    ACCOUNT = "account"  # the account or its settings: every message is refused like this one


@dataclass(frozen=True, slots=True)
class SyncError:
    """A refusal after acceptance (the bridge's sync-errors). Times are epoch milliseconds.

    ``kind`` is the receiver's error type, from the sink's closed list. ``scope``: where the cause is.
    ``is_without_record``: the receiver holds no record of the object, so it knows no email of it either.
    """

    object_type: ObjectType
    external_id: str
    changed_at: int
    errored_at: int
    kind: str
    detail: str = ""
    scope: Scope = Scope.MESSAGE
    is_without_record: bool = False


@dataclass(frozen=True, slots=True)
class SyncErrorPage:
    """Some sync errors. ``progress``: from where the next page goes on. ``is_last``: there is no further page now."""

    errors: tuple[SyncError, ...]
    progress: str
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """The receiver's answer about one object. Times are epoch milliseconds, 0 where it names none.

    ``hubspot_id`` "": it has no record. ``failed``: whether the last attempt failed; None where the receiver does not
    say.
    """

    hubspot_id: str = ""
    processed_at: int = 0
    failed: bool | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of ``check``: what was checked, the result, the fix. ``warning``: it works, and somebody should look."""

    name: str
    ok: bool
    text: str
    fix: str = ""
    warning: bool = False


class Drift(StrEnum):
    """How a record that was read back differs from the message. EXTRA: it has our key, and the shop has no such object.

    MERGED: people merged it with another record of ours.
    """

    EQUAL = "equal"
    MISSING = "missing"
    DIFFERING = "differing"
    LINK_MISSING = "link_missing"
    MERGED = "merged"
    EXTRA = "extra"


class Comparison(NamedTuple):
    """One object's record compared with the shop. ``values``: property → our value and the record's, where
    they differ.
    """

    external_id: str
    drift: Drift
    values: Mapping[str, tuple[str, str]] = MappingProxyType({})
    record_id: str = ""


class Adoption(NamedTuple):
    """What was done with existing records of the shop's objects of one type, which others had made.

    ``found``: our values that lead to a record. ``adopted``: records that got our key (or would get it). ``ours``:
    records that had our key already. ``taken``: records with another key. ``ambiguous``: values that lead to several
    records or are of several objects. ``failed``: keys that the receiver did not accept.
    """

    object_type: ObjectType
    found: int
    adopted: int
    ours: int
    taken: int
    ambiguous: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class Latency(NamedTuple):
    """How long one accepted message took since the source's commit, in seconds per stage.

    ``read`` and ``rendered`` are None for messages that were not rendered from a change just read (rows fetched by key
    first, or a bulk invalidation).
    """

    read: float | None  # commit → read from the log
    rendered: float | None  # read → rendered
    sent: float  # rendered → sent
    accepted: float  # sent → accepted
    total: float  # commit → accepted


class Urgency(IntEnum):
    """Sending class: live changes go before history."""

    LIVE = 0
    HISTORY = 1
