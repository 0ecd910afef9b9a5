"""The records of the topic ``<prefix>.changes``: the contract between the relay and the readers of the topic. Pure.

One partition, read with ``isolation_level = read_committed``: the records are the store's history in commit order, and
the last records of all keys are the store's present rows. There are three kinds of records, and the key shows the kind:

**A row's change**, key ``<table>/<primary key>`` (``cdc.kafka.cells``). Every change is effective (the row was
different before) and complete (``after`` has every published column, whatever the log's row image was). InnoDB's
cascaded changes of a deleted row's children follow as changes of their own, so a reader must not cascade. A TRUNCATE is
a deletion of every row. A changed primary key is a deletion followed by an insert. The value is JSON shaped as
Debezium's::

    {"before": {…} | null, "after": {…}, "op": "c" | "u" | "r", "ts_ms": 1700000000000,
     "source": {"connector": "magento-cdc", "table": "sales_order", "server": "<server_uuid>", "file": "binlog.000123",
                "pos": 4567, "gtid": "<executed set>", "lsn": 33776997205282775, "row": 3, "ts_ms": …,
                "snapshot": false}}

``c`` is an insert, ``u`` an update, ``r`` a row that was read from the server (history, or a row that the log holds in
part). A deletion is a tombstone: no value; its header ``source`` is the JSON of ``source``. ``file`` and ``pos`` are
the position behind the source transaction, ``gtid`` its executed set there, ``ts_ms`` its commit time (0 if not known).
``lsn`` orders all changes of all servers that were ever followed: of two versions of a row, the version with the higher
number is newer, or both are of one transaction. Columns that the replica derives (``TableSpec.derived``) are published,
transient columns are not.

Headers of each change: ``tx`` names the source transaction (``<server>:<file>:<pos>``; ``read:<hex>`` for rows read
from the server), ``row`` is the change's number in it from 1, ``last`` is ``1`` on its last change, else ``0``. One
source transaction may be split over several Kafka transactions; ``tx`` and ``row`` then go on.

**A table**, key ``#schema/<table>``: the published columns, before the first row and whenever they change; and each
definition (DDL), in its order among the changes, before the rows that it affects::

    {"table": "sales_order", "name": "m2_sales_order", "key": ["entity_id"], "columns": ["entity_id", …],
     "change": "ALTER TABLE", "other": "", "exists": true, "lost": ["coupon_code"],
     "definition": {"charset": "utf8mb4", "columns": [{"name": "entity_id", "column_type": "int unsigned", …}, …]},
     "assumed_until": null | {"file": …, "offset": …, …},
     "source": {"connector": "magento-cdc", "table": "sales_order", "file": …, "pos": …, …} | null}

``name`` is the table's in the shop, with its prefix. ``change`` is the kind of statement: ``CREATE``, ``ALTER``,
``RENAME``, ``DROP`` or ``TRUNCATE TABLE``, ``DROP DATABASE``, or "" where no statement was read. ``other`` is the
earlier name of a renamed table. If ``exists`` is false, ``other`` is the new name: the table does not exist any more,
and its rows stay as they were. ``lost`` are mapped columns that the table no longer has; rows keep their last values.
``definition`` holds all columns of the table in order, null where they are not known. It has defaults of published
columns only, and never the statement's text. With ``assumed_until`` the server was asked for the columns later; they
are valid from that position on at the latest. A definition's effects on rows follow as changes of their own: a TRUNCATE
as deletions at once, any other effect once the relay has read the table again.

**The position**, key ``#position``, the last record of each Kafka transaction: ``Mark`` as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple

import orjson

from cdc.errors import CdcError
from cdc.kafka.cells import from_json, key_parts, key_text, plain
from cdc.model import Position, Row, Value

POSITION_KEY: Final = b"#position"
SCHEMA_KEY: Final = b"#schema/"
_OPS: Final = ("c", "u", "r", "d")
_PLACE: Final = {"file": "file", "offset": "pos", "gtid": "gtid", "server": "server"}
_MOST: Final = 1 << 63
"""The largest integer that the state can hold: a larger number would end the member or relay that keeps it."""


class BadRecordError(CdcError):
    """A record that the relay cannot have written. The text says what is wrong, without the record's values."""


class KafkaRecord(NamedTuple):
    """One record, as a producer takes it and a consumer gives it. ``timestamp_ms`` 0: the time of writing."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0

    @property
    def size(self) -> int:
        """Roughly the bytes of the record in a batch (without compression)."""
        headers = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return len(self.key) + len(self.value or b"") + headers + 20


@dataclass(frozen=True, slots=True)
class Origin:
    """The source transaction of a change. ``lsn``: see the module. ``is_read``: read from the server, not the log."""

    position: Position
    lsn: int
    commit_ms: int
    is_read: bool = False


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row's effective change: ``before`` and ``after`` are whole rows, None where there is no row.

    ``before`` of a deletion is not in the record: it is None after reading. ``row`` counts from 1 within ``tx``.
    """

    table: str
    key: tuple[Value, ...]
    before: Row | None
    after: Row | None
    origin: Origin
    tx: str
    row: int
    is_last: bool

    @property
    def op(self) -> str:
        """Debezium's letter."""
        # A tombstone cannot carry a letter, so its op follows from the missing row.
        if self.after is None:
            return "d"
        if self.origin.is_read:
            return "r"
        return "c" if self.before is None else "u"


@dataclass(frozen=True, slots=True)
class TableRecord:
    """A published table; the module's docstring has the details. ``definition`` has the form of
    ``cdc.binlog.schema.history``.
    """

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    name: str = ""
    change: str = ""
    other: str = ""
    exists: bool = True
    lost: tuple[str, ...] = ()
    definition: Mapping[str, Any] | None = None
    assumed_until: Position | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """The topic's position at the end of its Kafka transaction.

    ``sequence`` counts the relay's pieces of work and rises by the number of pieces in the Kafka transaction. ``relay``
    names the run of the relay that wrote it. ``position``: where to go on reading the log; ``lsn``: its LSN. ``rows``:
    if not 0, the transaction behind ``position``, which ends at the LSN ``ends_at``, is published up to and including
    its source row of this number, in ``row`` records. ``is_complete``: the topic holds the whole store; before that,
    history is still missing. ``is_settled``: a relay needs nothing else to go on from here; if false, a relay that lost
    its disk reads all tables again.
    """

    sequence: int
    relay: str
    position: Position
    lsn: int
    rows: int = 0
    row: int = 0
    ends_at: int = 0
    is_complete: bool = False
    is_settled: bool = True
    at_ms: int = 0


Item = RowChange | TableRecord | Mark


def encode(item: Item) -> KafkaRecord:
    """The record of a change, a table or a position."""
    match item:
        case RowChange():
            return _encode_change(item)
        case TableRecord():
            return _encode_table(item)
        case Mark():
            return KafkaRecord(POSITION_KEY, mark_text(item), timestamp_ms=item.at_ms)


def as_last(record: KafkaRecord) -> KafkaRecord:
    """The record of a change, marked as its transaction's last change."""
    headers = tuple((name, b"1" if name == "last" else value) for name, value in record.headers)
    return record._replace(headers=headers)


def mark_text(mark: Mark) -> bytes:
    """A position as JSON; ``read_mark`` reads it."""
    position = mark.position  # written out: dataclasses.asdict copies deeply, and takes ten times as long
    as_json = {
        "file": position.file, "offset": position.offset, "gtid": position.gtid, "server": position.server,
        "born": position.born,
    }  # fmt: skip
    return orjson.dumps({
        "sequence": mark.sequence, "relay": mark.relay, "position": as_json, "lsn": mark.lsn, "rows": mark.rows,
        "row": mark.row, "ends_at": mark.ends_at, "is_complete": mark.is_complete, "is_settled": mark.is_settled,
        "at_ms": mark.at_ms,
    })  # fmt: skip


def read_mark(text: bytes | str) -> Mark:
    """The position that ``mark_text`` wrote. KeyError, TypeError or ValueError for any other text."""
    held = _object(orjson.loads(text))
    mark = Mark(**{**held, "position": _position(_object(held["position"]))})
    for number in (mark.sequence, mark.lsn, mark.rows, mark.row, mark.ends_at, mark.at_ms):
        _number(number)
    _text(mark.relay)
    return mark


def decode(record: KafkaRecord) -> Item | None:
    """The object that ``encode`` was given; None for the tombstone of a table that is no longer published. Raises
    BadRecordError.
    """
    try:
        if record.key == POSITION_KEY:
            return _decode_mark(record)
        if record.key.startswith(SCHEMA_KEY):
            return _decode_table(record)
        return _decode_change(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # orjson's own is a ValueError
        what = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise BadRecordError(f"a record of the topic is none that magento-cdc relay wrote ({what})") from None


def _encode_change(change: RowChange) -> KafkaRecord:
    origin = change.origin
    headers = [("tx", change.tx.encode()), ("row", b"%d" % change.row), ("last", b"1" if change.is_last else b"0")]
    source = {**_source(change.table, origin), "row": change.row}
    key = key_text(change.table, change.key).encode()
    # Compaction removes a key only by a record without a value; what else is to be said goes into headers.
    if change.after is None:
        headers.append(("source", orjson.dumps(source)))
        return KafkaRecord(key, None, tuple(headers), origin.commit_ms)
    value = {
        "before": change.before,
        "after": change.after,
        "op": change.op,
        "ts_ms": origin.commit_ms,
        "source": source,
    }
    return KafkaRecord(key, orjson.dumps(value, default=plain), tuple(headers), origin.commit_ms)


def _source(table: str, origin: Origin) -> dict[str, Any]:
    return {
        "connector": "magento-cdc",
        "table": table,
        "server": origin.position.server,
        "file": origin.position.file,
        "pos": origin.position.offset,
        "gtid": origin.position.gtid,
        "lsn": origin.lsn,
        "ts_ms": origin.commit_ms,
        "snapshot": origin.is_read,
    }


def _origin(source: Mapping[str, Any]) -> Origin:
    position = _position({name: source[at] for name, at in _PLACE.items()})
    return Origin(position, _number(source["lsn"]), _number(source["ts_ms"]), bool(source["snapshot"]))


def _encode_table(table: TableRecord) -> KafkaRecord:
    origin = table.origin
    value = asdict(table)
    del value["origin"]
    value["source"] = _source(table.table, origin) if origin is not None else None
    return KafkaRecord(
        SCHEMA_KEY + table.table.encode(), orjson.dumps(value), timestamp_ms=origin.commit_ms if origin else 0
    )


def _decode_change(record: KafkaRecord) -> RowChange:
    table, key = key_parts(record.key.decode())
    headers = dict(record.headers)
    before = after = None
    # A deletion: its origin is in the header.
    if record.value is None:
        source = _object(orjson.loads(headers["source"]))
    else:
        value = _object(orjson.loads(record.value))
        # A letter that is not known would be taken for an update.
        if value["op"] not in _OPS:
            raise ValueError(f"op {value['op']!r} is not known")
        source = _object(value["source"])
        after = from_json(_object(value["after"]))
        before = from_json(_object(value["before"])) if value["before"] is not None else None
    tx, row, is_last = headers["tx"].decode(), _number(int(headers["row"])), headers["last"] == b"1"
    return RowChange(table, key, before, after, _origin(source), tx, row, is_last)


def _decode_table(record: KafkaRecord) -> TableRecord | None:
    # The table is published no more.
    if record.value is None:
        return None
    held = {**_object(orjson.loads(record.value))}
    source, until = held.pop("source", None), held.get("assumed_until")
    table = TableRecord(**held)
    for text in (table.table, table.name, table.change, table.other):
        _text(text)
    if table.exists not in (True, False):
        raise ValueError("whether the table exists was expected")
    return replace(
        table,
        key=_names(table.key),
        columns=_names(table.columns),
        lost=_names(table.lost),
        definition=_object(table.definition) if table.definition else None,
        assumed_until=_position(_object(until)) if until is not None else None,
        origin=_origin(_object(source)) if source is not None else None,
    )


def _decode_mark(record: KafkaRecord) -> Mark:
    # The position must never be deleted: without it nothing tells where the topic ends.
    if record.value is None:
        raise ValueError("the position was deleted")
    return read_mark(record.value)


def _position(held: Mapping[str, Any]) -> Position:
    position = Position(**held)
    _number(position.offset)
    for text in (position.file, position.gtid, position.server):
        _text(text)
    return position


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value < _MOST:
        raise ValueError("a number that the state can hold was expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text was expected")
    return value


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object was expected")
    return value


def _names(values: Sequence[str]) -> tuple[str, ...]:
    # A text is a sequence too, and each of its letters would become a column.
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise ValueError("a list of names was expected")
    return tuple(values)
