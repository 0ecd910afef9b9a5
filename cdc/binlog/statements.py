"""Carries out the statements of the log: for the transaction that is read, and for the mapped tables.

``schema/query.py`` finds out what a statement means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cdc.binlog.assembly import Assembly
from cdc.binlog.events import DONE, FLAG_THREAD_SPECIFIC, GO_ON
from cdc.binlog.reading_position import ReadingPosition
from cdc.binlog.rows.events import ADVICE_START, FROM_INSIDE, RowEvents
from cdc.binlog.rows.headers import Query, read_modes
from cdc.binlog.schema.query import Kind, Statement, TableName, read_statement
from cdc.binlog.schema.tables import MappedTables
from cdc.binlog.schema.temporary import TemporaryTables
from cdc.binlog.schema.tokens import Dialect
from cdc.binlog.values.charsets import charset_of
from cdc.errors import UnsupportedEventError
from cdc.model import Change, Op, StaleTable, Xa, XaStep

_BOUNDS: Final = frozenset({b"BEGIN", b"COMMIT"})
_NO_VARIABLES: Final = b""
_MOST_PLAIN: Final = 1000
_REASON_ROWS: Final = "a statement in the log instead of the rows it changed"
_REASON_UNCLEAR: Final = "a statement that is not understood may have changed its rows or columns"
_ADVICE_ROWS: Final = (
    "a session chose that for itself, whatever the server's default is: make the session's program write with"
    ' binlog_format = ROW; then start with source.on_statement = "repair", which reads the tables again, or import'
    " afresh"
)
_ADVICE_NO_GTID: Final = (
    'source.on_statement = "repair" cannot help, since the transaction has no GTID: import afresh, and have the'
    " statement's program write with binlog_format = ROW"
)


class Statements:
    """Carries statements out.

    ``repair``: tables that statements changed are read again, if a read can tell that it contains the change. Any other
    such statement stops the reader.
    """

    def __init__(
        self,
        tables: MappedTables,
        position: ReadingPosition,
        assembly: Assembly,
        rows: RowEvents,
        *,
        repair: bool = False,
    ) -> None:
        self._tables = tables
        self._position = position
        self._assembly = assembly
        self._rows = rows
        self._repair = repair
        self._plain: set[TableName] = set()  # names that are no views, until something else than rows is changed
        self.temporary = TemporaryTables()
        self.expects_gtid = False

    def on_query(self, query: Query, head: Sequence[int]) -> int:
        """Carry out one statement. Returns ``GO_ON`` or ``DONE`` (a resume point is behind the statement).

        Raises UnsupportedEventError for a statement that changed rows without rows events.
        """
        # Statement and columns stay as they are until COMMIT ALTER brings the same text again.
        if self._assembly.is_void:  # an ALTER TABLE that only begins, or is given up
            statement = Statement(Kind.OTHER)
        else:
            # BEGIN and COMMIT read the same in every dialect, and they are half of all statements.
            dialect = self._dialect(query.variables if query.text not in _BOUNDS else _NO_VARIABLES)
            statement = read_statement(query.database, query.text, dialect)
            # The flag is the connection's: only then can a name mean a temporary table.
            uses_temporary = bool(head[5] & FLAG_THREAD_SPECIFIC)
            statement = self.temporary.resolve(statement, (head[2], query.thread), uses_temporary=uses_temporary)
        self._bound(statement)
        self._change(statement, query)
        assembly = self._assembly
        # A statement outside BEGIN is a transaction of its own.
        if statement.kind in (Kind.COMMIT, Kind.ROLLBACK) or not assembly.has_begun:
            self._rows.end_transaction()
            return DONE
        return GO_ON

    def _dialect(self, variables: bytes) -> Dialect:
        sql_mode, collation = read_modes(variables)
        charset = charset_of(collation) if collation is not None else None
        return Dialect(sql_mode, charset, self._rows.format.is_mariadb)

    def _bound(self, statement: Statement) -> None:
        """Carry out a statement that begins or ends the transaction, or goes back to a savepoint."""
        assembly = self._assembly
        kind = statement.kind
        if not assembly.is_open:
            # With GTIDs each group starts with an event. A statement without it means that reading began behind
            # that event.
            if kind in (Kind.COMMIT, Kind.ROLLBACK) or (self.expects_gtid and kind is not Kind.OTHER):
                raise UnsupportedEventError(FROM_INSIDE, hint=ADVICE_START)
            assembly.open(has_begun=False)
        if kind in (Kind.BEGIN, Kind.DEFINITION_BEGIN):
            assembly.has_begun = True
        elif kind is Kind.SAVEPOINT:
            assembly.save(statement.savepoint)
        elif kind is Kind.ROLLBACK_TO:
            assembly.roll_back_to(statement.savepoint)
        elif kind is Kind.ROLLBACK:
            assembly.discard()
        if statement.xid and not assembly.has_begun:  # it was prepared before, in a transaction of its own
            step = XaStep.COMMIT if kind is Kind.COMMIT else XaStep.ROLLBACK
            assembly.xa = Xa(statement.xid, step, may_repair=self._may_repair())

    def _change(self, statement: Statement, query: Query) -> None:
        """Carry out a statement that changes mapped tables."""
        assembly, tables = self._assembly, self._tables
        kind = statement.kind
        # A definition may turn a name into a view, so what was learned about names is no longer certain.
        if kind not in (Kind.ROWS, Kind.BEGIN, Kind.COMMIT):
            self._plain.clear()
        if kind is Kind.ROWS:
            self._on_rows(statement, query)
        elif kind is Kind.TRUNCATE:
            named = tables.mapped(statement.tables)
            assembly.changes += [Change(name, Op.TRUNCATE, None, None) for name in named]
        elif kind in (Kind.DEFINITION, Kind.DEFINITION_BEGIN):
            # The columns are followed, and tables whose stored rows may differ now are read again.
            assembly.stale += tables.define(statement, is_mariadb=self._rows.format.is_mariadb)
        elif kind is Kind.UNCLEAR:
            # It may have changed rows as well, without the lock that a definition holds.
            named = tables.changed_by(statement, query.database)
            by_statement = self._can_tell()
            assembly.stale += [StaleTable(name, _REASON_UNCLEAR, by_statement) for name in named]
            tables.ask_again(named)
        if statement.changes_keys:
            assembly.keys_of.update(dict.fromkeys(tables.changed_by(statement, query.database)))

    def _on_rows(self, statement: Statement, query: Query) -> None:
        """Rows were changed by a statement: read their tables again, if the transaction's GTID allows it."""
        named = self._tables.changed_by(statement, query.database)
        # A view hides which tables it writes, and neither log nor session says.
        if not named and any(map(self._is_view, statement.tables)):
            statement = replace(statement, everything=True)  # the tables below a view are not ours to guess
            named = self._tables.changed_by(statement, query.database)
        if not named:
            return
        # Without a GTID a read cannot tell if it contains the statement; rows read too early would stay wrong
        # for ever.
        if not self._may_repair():
            what = "any table" if statement.everything else named[0]
            why = ", through a view or a function," if statement.everything else ""
            raise UnsupportedEventError(
                f"a statement of connection {query.thread} that may change {what}{why} is in the log instead of the"
                " rows it changed",
                hint=_ADVICE_NO_GTID if self._repair else _ADVICE_ROWS,
            )
        self._assembly.stale += [StaleTable(name, _REASON_ROWS, by_statement=True) for name in named]

    def _is_view(self, name: TableName) -> bool:
        # Looked up once per name: such statements come by the thousand.
        if name in self._plain:
            return False
        if self._tables.is_view(name):
            return True
        # Bounded, as names come from the log.
        if len(self._plain) < _MOST_PLAIN:
            self._plain.add(name)
        return False

    def _may_repair(self) -> bool:
        return self._repair and self._can_tell()

    def _can_tell(self) -> bool:
        """Whether a read can tell by this transaction's GTID that it contains it."""
        assembly = self._assembly
        # MySQL needs the whole executed set to compare with; a single GTID says nothing about those before it.
        return assembly.domain is not None or (assembly.source is not None and bool(self._position.resume.gtid))
