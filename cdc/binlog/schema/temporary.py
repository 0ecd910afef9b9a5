"""Temporary tables of the connections that write statements. A temporary table may have the name of a mapped table.
Pure.

Temporary tables are in the log only where statements are, under binlog_format STATEMENT or MIXED. Each belongs to one
connection, and hides the real table of its name from that connection alone. An event says whether its statement used
any temporary table (``FLAG_THREAD_SPECIFIC``). So a statement without that flag is certainly about real tables.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdc.binlog.schema.query import Kind, Statement, TableName

Session = tuple[int, int]
"""The server that ran the statement, and the connection there."""

_MOST_SESSIONS: Final = 4096  # connections that ended without a word (a crash) are forgotten, the oldest first


class TemporaryTables:
    """The temporary tables that the log has made since reading began."""

    def __init__(self) -> None:
        self._held: dict[Session, set[TableName]] = {}

    def clear(self) -> None:
        """The server was restarted: its connections, and their temporary tables, are gone."""
        self._held.clear()

    def resolve(self, statement: Statement, session: Session, *, uses_temporary: bool) -> Statement:
        """The part of the statement that is about real tables.

        UNCLEAR where the log does not say whether a temporary or a real table is meant: the statement used a temporary
        table, which may have been made before reading began.
        """
        if statement.is_temporary:
            self._define(statement, session)
            return Statement(Kind.OTHER)
        if not uses_temporary:
            return statement
        held = self._held.get(session, set())
        if statement.kind is Kind.ROWS:
            return replace(statement, tables=tuple(name for name in statement.tables if _key(name) not in held))
        if statement.kind is Kind.TRUNCATE:
            return self._about_one(statement, held)
        if statement.kind is Kind.DEFINITION and statement.tokens:
            verb = statement.tokens[0].word
            if verb in ("ALTER", "RENAME"):
                return self._moved(statement, held) if len(statement.tables) > 1 else self._about_one(statement, held)
            if verb == "CREATE" and any(token.word in ("LIKE", "SELECT") for token in statement.tokens):
                return _unclear(statement)  # its columns may be those of a temporary table
        return statement

    def _define(self, statement: Statement, session: Session) -> None:
        names = {_key(name) for name in statement.tables}
        if statement.tokens[0].word == "DROP":
            self._held.get(session, set()).difference_update(names)
            if not self._held.get(session):
                self._held.pop(session, None)
            return
        self._held[session] = self._held.pop(session, set()) | names
        if len(self._held) > _MOST_SESSIONS:
            self._held.pop(next(iter(self._held)))

    def _about_one(self, statement: Statement, held: set[TableName]) -> Statement:
        if statement.tables and _key(statement.tables[0]) in held:
            return Statement(Kind.OTHER)
        return _unclear(statement)

    def _moved(self, statement: Statement, held: set[TableName]) -> Statement:
        """ALTER TABLE … RENAME and RENAME TABLE: temporary tables get other names."""
        pairs = list(zip(statement.tables[::2], statement.tables[1::2], strict=False))
        if not pairs or any(_key(old) not in held for old, _ in pairs):
            return _unclear(statement)
        for old, new in pairs:
            held.discard(_key(old))
            held.add(_key(new))
        return Statement(Kind.OTHER)


def _unclear(statement: Statement) -> Statement:
    return Statement(Kind.UNCLEAR, statement.tables, changes_keys=True)


def _key(name: TableName) -> TableName:
    """The name without regard to case: no connection has two temporary tables whose names differ in case alone."""
    return name[0].lower(), name[1].lower()
