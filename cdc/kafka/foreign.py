"""Shared by the readers of other tools' messages: the change that a message
holds, and the error for a bad message. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from cdc.kafka.schema_changes import SchemaChange
from cdc.model import (
    ABSENT,
    LSN_FILE_BITS,
    LSN_OFFSET_BITS,
    Absent,
    Cells,
    Change,
    Position,
    TableSchema,
    TableSpec,
    Value,
)


class BadRecordError(Exception):
    """A record that cannot be read. The text names fields and columns, never values."""


class SourceChange(NamedTuple):
    """One row's change in another tool's message.

    ``position``: its position in the source's log; None where the message has none. ``commit_ms``: epoch milliseconds,
    0 if unknown. ``is_snapshot``: a snapshot taken at ``position`` read the row. ``is_created``: the message is an
    INSERT of the log, so the row did not exist before.
    """

    change: Change
    position: Position | None
    commit_ms: int
    is_snapshot: bool = False
    is_created: bool = False


Reader = Callable[[Any], "Value | Absent"]
"""Turns one column's JSON value into a value. Raises ValueError, TypeError or a subclass of these for a wrong value."""


Read = Callable[[str, "bytes | None", "bytes | None", Sequence[tuple[str, bytes]]], list[SourceChange]]
MOST_KEY: Final = 1 << 63
MOST_NAME: Final = 64
"""The longest name of a table or column, in characters."""
MOST_DIGITS: Final = 16
MOST_MS: Final = 1 << 52
"""Beyond the year 140,000: no real clock shows it, and SQLite can hold it."""

OnLack = Callable[[str, Sequence[str]], None]
"""Called with a table and the mapped columns that a row of the table lacks."""

OnKey = Callable[[str, str, Sequence[str]], None]
"""Called with a topic, a table and the columns of the record's key, if these are not the table's primary key."""

_NAME_PARTS: Final = re.compile(r"[.-]")
"""Signs between a table's name and the rest of a topic's name. No table of Magento has these signs in its name."""


@dataclass
class TopicNotes:
    """Facts from a topic's records so far that later records need, and how many records belonged to a mapped table.

    ``tables``: names of the tables in its records. ``tells_deletions``: deletions have records of their own, so a
    tombstone adds nothing. ``other``: database and table of the newest record whose table is not mapped.
    ``rows_gone``: by table what a statement did to its rows.
    """

    tables: set[str] = field(default_factory=set)
    tells_deletions: bool = False
    rows: int = 0
    outsiders: int = 0
    other: str = ""
    rows_gone: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """The mapped tables by the names in messages and topics, and the notes on each topic."""

    database: str
    prefix: str
    specs: Mapping[str, TableSpec]
    by_topic: Mapping[str, str] = field(default_factory=dict)
    on_lack: OnLack | None = None
    on_key: OnKey | None = None
    notes: dict[str, TopicNotes] = field(default_factory=lambda: defaultdict(TopicNotes))
    _unlooked: dict[str, frozenset[str]] = field(default_factory=dict)
    _keys_looked: set[tuple[str, str]] = field(default_factory=set)
    _schema_changes: list[SchemaChange] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        specs: Sequence[TableSpec],
        database: str,
        prefix: str,
        by_topic: Mapping[str, str] = MappingProxyType({}),
        *,
        on_lack: OnLack | None = None,
        on_key: OnKey | None = None,
    ) -> Tables:
        """``specs``: all mapped tables; names in messages include the store's prefix. ``by_topic``: the table of topics
        whose names do not end in the table's name. ``on_lack``: called once per table. ``on_key``: once per topic and
        table.

        Raises ValueError if ``by_topic`` names a table that is not mapped.
        """
        needed = {spec.name: frozenset(spec.columns) - spec.optional for spec in specs}
        known = {prefix + spec.name: spec for spec in specs}
        for table in by_topic.values():
            # Records of a table that nobody maps would be passed over silently.
            if table not in known:
                raise ValueError(f"{table!r} is no mapped table; the mapped ones are {', '.join(sorted(known))}")
        made = cls(database, prefix, known, dict(by_topic), on_lack, on_key)
        # Without a listener nothing needs to be looked at.
        if on_lack is not None:
            made._unlooked.update(needed)
        return made

    def look(self, spec: TableSpec, row: Mapping[str, Any]) -> None:
        """Check that a whole row has all mapped columns: its tool may be set up to leave some out."""
        needed = self._unlooked.get(spec.name)
        # Said once per table: every later row lacks the same columns.
        if needed is not None and self.on_lack is not None and not row.keys() >= needed:
            del self._unlooked[spec.name]
            self.on_lack(spec.name, [column for column in spec.columns if column in needed and column not in row])

    def is_key_unlooked(self, topic: str, spec: TableSpec) -> bool:
        """Whether no key of this topic and table was checked yet."""
        return (topic, spec.name) not in self._keys_looked

    def look_at_key(self, topic: str, spec: TableSpec, columns: Collection[str]) -> None:
        """Check that a record's key is its row's primary key: a topic that is compacted by other keys loses rows."""
        self._keys_looked.add((topic, spec.name))
        # Compaction would keep one row per key, and lose the others.
        if self.on_key is not None and not set(spec.key) <= set(columns):
            self.on_key(topic, spec.name, [column[:MOST_NAME] for column in sorted(columns)[:16]])

    def find(self, topic: str, database: str | None, table: str) -> TableSpec | None:
        """The table of a record of this topic; None if it is not mapped or belongs to another database."""
        notes = self.notes[topic]
        spec = self.specs.get(table) if database is None or database == self.database else None
        # Kept for the sentence that says why a topic brings nothing.
        if spec is None:
            notes.outsiders += 1
            notes.other = f"{str(database)[:MOST_NAME]}.{table[:MOST_NAME]}" if database else table[:MOST_NAME]
            return None
        notes.rows += 1
        notes.tables.add(table)
        return spec

    def of_topic(self, topic: str) -> str | None:
        """The table whose rows the topic holds, by the topic's name alone; None if the name contains no mapped table.

        Debezium's own names end in ``.<table>``; routed topics often end in ``-<table>``.
        """
        # The settings win over names.
        if topic in self.by_topic:
            return self.by_topic[topic]
        name = _NAME_PARTS.split(topic)[-1]
        return name if name in self.specs else None

    def named_by_topic(self, topic: str) -> str:
        """The table of a record that does not name its table. Raises
        BadRecordError if the topic does not name it either.
        """
        table = self.of_topic(topic)
        # The topic follows Debezium's pattern, and its table is not mapped: that is no error.
        if table is None and topic.rpartition(".")[0].endswith(f".{self.database}"):
            table = topic.rpartition(".")[2]  # Debezium's own name, of a table that is not mapped
        # A topic that named one table so far surely goes on with it.
        if table is None:
            named = self.notes[topic].tables
            table = next(iter(named)) if len(named) == 1 else None
        if table is None:
            raise BadRecordError(
                "neither a field nor the topic's name tells its table: let ExtractNewRecordState add it"
                " (add.fields=table,source.db), or set kafka.tables"
            )
        return table

    def is_mapped(self, database: str | None, table: str) -> bool:
        """Whether this is a mapped table of the store's database. ``database`` None: the record does not name it."""
        return table in self.specs and (database is None or database == self.database)

    def note_schema_changes(self, topic: str, changes: Sequence[SchemaChange]) -> None:
        """A statement changed these tables: keep the changes for the decoder, and lost rows for the
        operator's warning.
        """
        self._schema_changes.extend(changes)
        for one in changes:
            # No later record repeats it.
            if one.rows_gone:
                self.notes[topic].rows_gone[one.table] = one.rows_gone

    def take_schemas(self) -> tuple[TableSchema, ...]:
        """The tables that statements changed since the last call, in the state's form."""
        changes = [*self._schema_changes]
        self._schema_changes.clear()
        found = []
        for one in changes:
            # The record has no columns, so the known columns stay.
            if one.exists and one.columns is None:
                continue
            spec = self.specs[one.table]
            needed = [column for column in spec.columns if column not in spec.optional]
            lost = sorted(column for column in needed if column not in (one.columns or needed))
            found.append(TableSchema(one.table, spec.name, "", exists=one.exists, lost=tuple(lost)))
        return tuple(found)

    def rows_gone(self) -> list[str]:
        """A warning for each table that lost rows without a record of each row."""
        return [
            f"table {table} {what} in the shop (topic {topic}), and no record tells which of its rows went: those are"
            " still held and in HubSpot. Let the connector snapshot into new topics, and create the state folders again"
            for topic, notes in sorted(self.notes.items())
            for table, what in sorted(notes.rows_gone.items())
            if table in self.specs
        ]

    def outsiders(self) -> list[str]:
        """A sentence for each topic that had no record of a mapped table."""
        return [
            f"topic {topic}: none of its {notes.outsiders} records is of a mapped table of database {self.database}"
            f" (the last one is of {notes.other})"
            for topic, notes in sorted(self.notes.items())
            if notes.outsiders and not notes.rows
        ]

    def dump(self) -> dict[str, Any]:
        """The notes on all topics, in a form for JSON."""
        return {topic: {**asdict(notes), "tables": sorted(notes.tables)} for topic, notes in self.notes.items()}

    def restore(self, held: Mapping[str, Any]) -> None:
        """Use the notes that ``dump`` returned."""
        for topic, notes in held.items():
            self.notes[topic] = TopicNotes(**{**notes, "tables": set(notes["tables"])})


def parse_json(text: bytes | str, what: str) -> Any:
    """The parsed JSON. Raises BadRecordError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRecordError(f"its {what} is not JSON") from error


def cells_of(spec: TableSpec, row: Mapping[str, Any], readers: Callable[[str], Reader]) -> Cells:
    """The row's mapped columns, ABSENT where the message has none. Raises BadRecordError that names the column."""
    cells: list[Value | Absent] = []
    for column in spec.columns:
        # The tool leaves the column out, or the log did not hold it.
        if column not in row:
            cells.append(ABSENT)
            continue
        value = row[column]
        try:
            cells.append(None if value is None else readers(column)(value))
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            kind = type(value).__name__
            raise BadRecordError(f"{spec.name}.{column} holds a {kind} that does not fit its type") from error
    return tuple(cells)


def must_have_key(spec: TableSpec, cells: Cells) -> Cells:
    """The cells, if they include the primary key in a form that the state can look up; else BadRecordError."""
    key = cells[: len(spec.key)]
    # Without its key the row cannot be found in the replica.
    if any(cell is None or cell is ABSENT for cell in key):
        raise BadRecordError(f"it lacks the primary key of {spec.name} ({', '.join(spec.key)})")
    # SQLite's keys have 64 bits with a sign.
    if any(isinstance(cell, int) and not -MOST_KEY <= cell < MOST_KEY for cell in key):
        raise BadRecordError(f"the primary key of {spec.name} is beyond 64 bits")
    return cells


def understood(read: Read) -> Read:
    """Wrap a reader so that it raises only BadRecordError, whatever the record's form.

    A message may be any JSON: a list where an object should be must set one record aside, and not end the member at
    each start.
    """

    def guarded(
        topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> list[SourceChange]:
        try:
            return read(topic, key, value, headers)
        except BadRecordError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise BadRecordError(f"it does not have the form of such a message ({type(error).__name__})") from error

    return guarded


def quoted(value: object) -> str:
    """A record's word where one of a few words was expected, short enough for a log line."""
    return repr(value) if isinstance(value, str) and len(value) <= MOST_DIGITS else f"a {type(value).__name__}"


def position_of(file: object, offset: object, server: object, gtid: object = "") -> Position | None:
    """The source's position, None without one. Raises BadRecordError for a position that no server's log can have."""
    # Without file and offset rows are ordered by the record's time.
    if not isinstance(file, str) or not isinstance(offset, int) or not file.rpartition(".")[2].isdecimal():
        return None
    number = file.rpartition(".")[2]
    # Such a position would break the order of all others.
    if len(number) > MOST_DIGITS or int(number) >= 1 << LSN_FILE_BITS or not 0 <= offset < 1 << LSN_OFFSET_BITS:
        raise BadRecordError("its source's file or position is beyond any log")
    return Position(file, offset, gtid if isinstance(gtid, str) else "", str(server) if server is not None else "")


def milliseconds(value: object, *, per_s: int = 1000) -> int:
    """A commit time as epoch milliseconds, 0 for none. Raises BadRecordError for a value that is not a time.

    ``per_s``: how many of the value's units make a second.
    """
    if value is None:
        return 0
    # Some tools write times as text.
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_MS:
        raise BadRecordError("its commit time is no time")
    return value * 1000 // per_s
