"""The columns of tables as they were at the reader's position in the log.

They come from the state (as an earlier run had them at this position), from CREATE and ALTER statements in the log, or
from the server. The server answers with the columns of now, and the reader may be far behind. So its answer is
*assumed* until the reader has passed the position that was noted with the answer. Unmapped tables are followed too
while they may still become a mapped table: gh-ost and pt-osc build a copy under another name and then rename it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from cdc.binlog.reading_position import ReadingPosition
from cdc.binlog.schema.columns import Column, DatedLookup, ForgettingLookup, SchemaLookup
from cdc.binlog.schema.ddl import Altered, Table, alter, create, keeps_versions, without_wait
from cdc.binlog.schema.query import Statement, TableName
from cdc.binlog.schema.tokens import Token
from cdc.binlog.schema.words import NotUnderstood, Words, split
from cdc.errors import UnsupportedEventError
from cdc.model import Position, StaleTable, TableSchema, TableSpec

_MOST_OTHERS: Final = 64  # tables that are not mapped; the oldest goes
_SUBJECTS: Final = frozenset({"TABLE", "TABLES", "INDEX", "DATABASE", "SCHEMA"})
_BEFORE_NAME: Final = frozenset({"IF", "NOT", "EXISTS", "WAIT", "NOWAIT"})


class SchemaHistory:
    """Columns by table, as of the reader's position (a ``SchemaLookup``).

    ``news``: the columns that became known in the current transaction. The code that ends the transaction takes them.
    """

    def __init__(
        self,
        schemas: SchemaLookup | None,
        *,
        database: str,
        specs: Mapping[str, TableSpec],
        known: Iterable[TableSchema] = (),
        case_sensitive: bool = False,
    ) -> None:
        self._schemas = schemas
        self._fold: Callable[[str], str] = str if case_sensitive else str.lower
        self._asked_database = database
        self._database = self._fold(database)
        self._specs = {self._fold(name): spec for name, spec in specs.items()}
        self._tables: dict[str, Table] = {}
        self._until: dict[str, Position] = {}
        self._versioned: set[str] = set()
        self._gone: set[str] = set()  # dropped or renamed away: the replica keeps their last rows
        self.news: dict[str, TableSchema] = {}
        self._change = self._other = ""  # the statement being followed, and the name that it moves a table from or to
        for schema in known:
            if schema.columns:
                self._tables[self._fold(schema.name)] = load_table(schema.columns)
            if not schema.exists:
                self._gone.add(self._fold(schema.name))
            if schema.until is not None:
                self._until[self._fold(schema.name)] = schema.until

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        """The table's columns; the server is asked when they are not known. See ``SchemaLookup``."""
        # The daemon follows one database. A table of the same name elsewhere is another table.
        if self._fold(database) != self._database:
            return None
        table = self._fold(table)
        if table not in self._tables:
            self._ask(table)
        held = self._tables.get(table)
        return held.columns if held is not None else None

    def refresh(self, table: str) -> None:
        """Ask the server again: the columns that are held do not fit the log, or may be out of date."""
        table = self._fold(table)
        self._tables.pop(table, None)
        self._ask(table)

    def is_assumed(self, table: str, at: ReadingPosition) -> bool:
        """Whether the table's columns are an answer of the server for a later position than ``at``."""
        until = self._until.get(self._fold(table))
        return until is not None and at.is_before(until)

    def ask_for_unknown(self) -> list[TableSchema]:
        """Ask for every mapped table that is not known yet. Returns all news so far."""
        for name in self._specs:
            if name not in self._tables:
                self._ask(name)
        taken = list(self.news.values())
        self.news.clear()
        return taken

    # ------------------------------------------------------------------------------------------ definitions

    def define(self, statement: Statement, *, is_mariadb: bool) -> list[StaleTable]:
        """Follow a CREATE, ALTER, RENAME or DROP. Returns the mapped tables whose rows it may have changed, each with
        the reason.

        Raises UnsupportedEventError when a mapped table gets system versioning.
        """
        try:
            stale_tables = self._follow(statement, is_mariadb=is_mariadb)
        finally:
            self._change = self._other = ""
        # System versioning keeps rows of the past in the same table, and the log does not tell them apart.
        for name in self._versioned & self._specs.keys():
            raise versions_refused(name)
        return stale_tables

    def _follow(self, statement: Statement, *, is_mariadb: bool) -> list[StaleTable]:
        # Every table of the database is gone.
        if any(self._fold(name) == self._database for name in statement.databases):
            self._change = "DROP DATABASE"
            for name in [*self._specs, *self._tables]:
                self._drop(name)
            return []
        verb, flags, rest = _head(statement.tokens)
        names = [self._ours(name) for name in statement.tables]
        # Indexes, databases' options and temporary tables change no columns of stored rows.
        if ("TABLE" not in flags and "TABLES" not in flags) or "TEMPORARY" in flags:
            return []
        self._change = f"{verb} TABLE"
        if names and verb in ("CREATE", "ALTER") and keeps_versions(rest):
            self._versioned.add(names[0])
        if verb == "DROP":
            for name in names:
                self._drop(name)
            return []
        if verb == "RENAME":
            return [d for old, new in zip(names[::2], names[1::2], strict=False) for d in self._move(old, new)]
        if verb == "CREATE":
            return self._create(names[0] if names else "", flags, rest, is_mariadb=is_mariadb)
        return self._alter(names, flags, rest, is_mariadb=is_mariadb)

    def _alter(self, names: Sequence[str], flags: set[str], rest: list[Token], *, is_mariadb: bool) -> list[StaleTable]:
        name = names[0] if names else ""
        held = self._tables.get(name)
        try:
            # Reached with a table that was never asked for: the server answers for it.
            if held is None:
                raise NotUnderstood("a table that is not known")
            altered = alter(rest, held, is_mariadb=is_mariadb)
        except NotUnderstood:
            # The exact effect is not known: the columns are asked for, and every mapped column counts as
            # changed.
            altered = Altered(None, everything=True)
        if "IGNORE" in flags:
            altered.everything = True  # rows that a new key does not allow go without a trace
        stale_tables = self._stale_tables(name, altered, "ALTER TABLE")
        if altered.table is not None:
            self._put(name, altered.table)
        else:
            self._forget(name)
        firsts = [[token.word for token in part[:2]] for part in split(without_wait(rest))]
        # A renaming ALTER moves what is known to the new name.
        if any(first[:1] == ["RENAME"] and first[1:] not in (["COLUMN"], ["INDEX"], ["KEY"]) for first in firsts):
            stale_tables = self._move(name, names[1] if len(names) > 1 else "")
        # EXCHANGE PARTITION swaps rows with another table, which is stale as well.
        if any(first[:1] == ["EXCHANGE"] for first in firsts) and len(names) > 1:
            stale_tables += self._stale_tables(names[-1], Altered(None, everything=True), "EXCHANGE PARTITION")
        return stale_tables

    def _create(self, name: str, flags: set[str], rest: list[Token], *, is_mariadb: bool) -> list[StaleTable]:
        # CREATE TABLE IF NOT EXISTS for a table that exists does nothing.
        if "EXISTS" in flags and name in self._tables:
            return []
        is_first = self._schemas is None and name not in self._tables and name not in self._gone
        table: Table | None
        try:
            other = _liked(rest)
            if other is not None:
                table = self._tables.get(self._ours((other[0] or self._asked_database, other[1])))
            else:
                table = create(rest, is_mariadb=is_mariadb)
        except NotUnderstood:
            table = None
        # The server's answer was about the table of before.
        self._until.pop(name, None)
        if table is not None:
            self._put(name, table)
        else:
            self._forget(name)
        if is_first:  # files from the shop's first day on: nothing is held of a table that never was
            return []
        return self._stale_tables(name, Altered(None, everything=True), "CREATE TABLE")

    def _move(self, old: str, new: str) -> list[StaleTable]:
        if old in self._versioned:
            self._versioned.add(new)
        table, until = self._tables.get(old), self._until.get(old)
        self._other = new
        self._drop(old)
        self._other = old
        self._until.pop(new, None)
        # What was assumed of the old name is assumed of the new one too.
        if until is not None and new:
            self._until[new] = until
        if table is not None:
            self._put(new, table)
        else:
            self._forget(new)
        return self._stale_tables(new, Altered(None, everything=True), "RENAME TABLE")

    def _stale_tables(self, name: str, altered: Altered, how: str) -> list[StaleTable]:
        spec = self._specs.get(name)
        # Nobody maps this table; its columns are followed, and its rows are not.
        if spec is None:
            return []
        mapped = [column for column in spec.columns if altered.everything or column.lower() in altered.affected]
        return [StaleTable(spec.name, f"{how} may have changed {', '.join(mapped)}")] if mapped else []

    # ------------------------------------------------------------------------------------------ what is held

    def _ours(self, name: TableName) -> str:
        """The table's name; "" for a table of another database."""
        return self._fold(name[1]) if self._fold(name[0]) == self._database else ""

    def _put(self, name: str, table: Table) -> None:
        # A table of another database has the name "".
        if not name:
            return
        # Put last again: the oldest of the others goes first.
        self._tables.pop(name, None)
        self._tables[name] = table
        self._tell(name)
        others = [held for held in self._tables if held not in self._specs]
        # A shop with many scratch tables must not fill the memory.
        if len(others) > _MOST_OTHERS:
            self._drop(others[0])

    def _forget(self, name: str) -> None:
        """The table's columns are not known any more. The server is asked for those of a mapped table at once."""
        known = self._tables.pop(name, None)
        # Mapped tables are needed with their next row; asking later would give columns of a later time.
        if name in self._specs:
            self._ask(name)
        elif known is not None:
            self._tell(name)

    def _drop(self, name: str) -> None:
        # A table that is not followed needs no note that it is gone.
        if self._tables.pop(name, None) is not None or name in self._specs:
            self._until.pop(name, None)
            self._gone.add(name)
            self._tell(name, exists=False)

    def _ask(self, name: str) -> None:
        # The server's answer holds from a known position on, and is assumed until the log has passed that.
        if isinstance(self._schemas, DatedLookup):
            found = self._schemas.look(self._asked_database, name)
            if found is not None:
                self._tables[name] = Table(found.columns, found.charset)
                self._until[name] = found.position
        elif self._schemas is not None:
            # The look-up may have kept an older answer.
            if isinstance(self._schemas, ForgettingLookup):
                self._schemas.forget(self._asked_database, name)
            columns = self._schemas.columns(self._asked_database, name)
            if columns is not None:
                self._tables[name] = Table(columns, None)
        self._tell(name)

    def _tell(self, name: str, *, exists: bool = True) -> None:
        spec, table = self._specs.get(name), self._tables.get(name)
        held = dump_table(table) if table is not None else ""
        lost = tuple(sorted(self._lost(spec, table))) if spec is not None else ()
        mapped = spec.name if spec is not None else ""
        self.news[name] = TableSchema(
            name, mapped, held, self._until.get(name), exists, lost, self._change, self._other
        )

    @staticmethod
    def _lost(spec: TableSpec, table: Table | None) -> set[str]:
        """Mapped columns that the table should have and does not have."""
        # The whole table is unknown, which is not the same as columns that are missing.
        if table is None:
            return set()
        held = {column.name.lower() for column in table.columns}
        return {column for column in spec.columns if column.lower() not in held} - spec.optional


def _head(tokens: Sequence[Token]) -> tuple[str, set[str], list[Token]]:
    """The verb, the words between it and the first name, and the tokens behind that name."""
    words = Words(tokens)
    verb = words.next().word
    flags = set()
    while not words.is_done and words.word not in _SUBJECTS:
        flags.add(words.next().word)
    if not words.is_done:
        flags.add(words.next().word)
    while words.word in _BEFORE_NAME:
        flags.add(words.next().word)
    if not words.is_done:
        words.next()
        if words.accept_sign("."):
            words.next()
    return verb, flags, words.rest()


def _liked(rest: Sequence[Token]) -> TableName | None:
    """The table that CREATE TABLE … LIKE names; its database is "" when the statement names none."""
    words = Words(rest)
    if words.sign == "(" and not words.accept("LIKE"):
        inner = Words(words.inside())
        words = inner if inner.word == "LIKE" else Words(())
    if not words.accept("LIKE"):
        return None
    name = words.name()
    return (name, words.name()) if words.accept_sign(".") else ("", name)


def versions_refused(table: str) -> UnsupportedEventError:
    """The error text for a mapped table with MariaDB's system versioning."""
    return UnsupportedEventError(
        f"table {table} has system versioning: the log writes its rows of the past like those of the present, which"
        " magento-cdc does not support",
        hint=f"ALTER TABLE {table} DROP SYSTEM VERSIONING on the server, then import afresh",
    )


def dump_table(table: Table) -> str:
    """The table as text for the state."""
    return json.dumps({"charset": table.charset, "columns": [asdict(column) for column in table.columns]})


def load_table(text: str) -> Table:
    """The table from the text that ``dump_table`` wrote."""
    held = json.loads(text)
    return Table(tuple(Column(**column) for column in held["columns"]), held["charset"])
