"""Looks for rows of the shop that are missing from its log, by a small sample of rows each minute.

A log can miss changes for reasons that nobody can list: a session with ``sql_log_bin = 0``, a definition that was not
logged, a filter set while the server runs, a table copied in below the server. So some rows of each main table are read
(the highest keys, the last changed rows, a few random rows). The position after that read is noted. Once the log is
applied up to that position, the replica must hold these rows as they were, or in a newer version. A row that differs
two times in succession is reported.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from cdc.errors import CdcError
from cdc.log_events import get_logger
from cdc.model import Cells, FetchByKey, Position, TableSpec
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, connect, mapped_errors, quoted, rows

log = get_logger(__name__)

HIGHEST_ROWS: Final = 5  # of each table, those with the highest keys
NEWEST_ROWS: Final = 5  # those changed last, where an index finds them
ANY_ROWS: Final = 3  # those behind a key drawn by lot
STRIKES: Final = 2  # looks in which a row must differ: it may have been deleted between the sample and its position
SHOWN_ROWS: Final = 3
_CHANGED_AT: Final = "updated_at"
_INDEXED: Final = (
    "SELECT DISTINCT table_name FROM information_schema.statistics"
    " WHERE table_schema = %s AND column_name = %s AND seq_in_index = 1"
)
_HINT: Final = (
    "find the program that writes with sql_log_bin = 0 or past the server's log; then remove the state folder to import"
    " afresh"
)


class SampledRow(NamedTuple):
    """A row as the server had it, with its primary key of one column."""

    table: str
    key: int
    cells: Cells


@dataclass
class Sample:
    """The rows of one read, and the end of the log after it."""

    rows: list[SampledRow] = field(default_factory=list)
    position: Position | None = None


class SampleReader(Protocol):
    """Reads rows by table and key in the replica's form, and returns the log position at which the rows were so.

    Raises CdcError kinds.
    """

    def read(self, fetches: Sequence[FetchByKey]) -> tuple[Sequence[tuple[str, Sequence[Cells]]], Position]: ...

    def close(self) -> None: ...


Compare = Callable[[Sequence[SampledRow], Position], Sequence[SampledRow] | None]
"""The rows that the replica should have and does not have. None while the log is not applied up to this position, or
while the replica is not complete.
"""


MAIN_TABLES: Final = frozenset({
    "customer_entity", "customer_address_entity", "catalog_product_entity", "sales_order", "sales_order_item",
})  # fmt: skip
"""Tables of which the replica keeps all rows, and whose primary key is one number."""


class UnloggedWatch(threading.Thread):
    """Compares a sample every ``source.unlogged_check_s`` seconds until ``stop`` is set. ``found``: its present result.

    No other thread waits for this thread, and its errors are only logged.
    """

    def __init__(
        self, settings: SourceSettings, tables: Sequence[TableSpec], reader: SampleReader, stop: threading.Event
    ) -> None:
        super().__init__(name="unlogged", daemon=True)
        self._settings = settings
        self._tables = [spec for spec in tables if spec.name in MAIN_TABLES]
        self._reader = reader
        self._halt = stop
        self._compare: Compare = lambda sampled, position: None
        self._sample = Sample()
        self._strikes: Counter[tuple[str, int]] = Counter()
        self.found: list[tuple[str, int]] = []
        """Table and key of rows that are missing from the log."""

    def begin(self, compare: Compare) -> None:
        """Start the thread."""
        self._compare = compare
        self.start()

    def run(self) -> None:
        """Wait, compare, wait again."""
        while not self._halt.wait(self._settings.unlogged_check_s):
            try:
                self.look()
            except CdcError as error:
                # The server may be away; the next round looks again.
                log.info("unlogged_check_failed", reason=error.message)
        self._reader.close()

    def look(self) -> None:
        """Compare the last sample once the log is applied past it, then take a new sample. Raises CdcError kinds."""
        sample = self._sample
        # The first round has nothing to compare.
        if sample.position is not None:
            differing = self._compare(sample.rows, sample.position)
            # Nothing can be said yet, and the same sample waits.
            if differing is None:
                return  # the reader is behind: that is reported elsewhere, and the sample keeps
            self._judge(differing)
        self._sample = self._take()

    @property
    def warning(self) -> str:
        """The text for ``/ready`` while rows are missing; else ""."""
        if not self.found:
            return ""
        shown = ", ".join(f"{table} {key}" for table, key in self.found[:SHOWN_ROWS])
        more = len(self.found) - SHOWN_ROWS
        return (
            f"source: the shop has rows that are missing from its log: {shown}{f' and {more} more' if more > 0 else ''}"
        )

    def _judge(self, differing: Sequence[SampledRow]) -> None:
        named = [(row.table, row.key) for row in differing]
        self._strikes = Counter({name: self._strikes[name] + 1 for name in named})
        before, self.found = self.found, [name for name in named if self._strikes[name] >= STRIKES]
        # Said when the list changes, not with every look.
        if self.found and self.found != before:
            shown = [f"{table} {key}" for table, key in self.found[:SHOWN_ROWS]]
            log.warning("rows_not_in_log", rows=len(self.found), first=shown, hint=_HINT)
        elif before and not self.found:
            log.info("rows_in_log_again")

    def _take(self) -> Sample:
        """A new sample, which includes the rows that differed in the last sample."""
        connection = connect(self._settings)
        try:
            with mapped_errors(self._settings):
                # The reads are small, so a silent server is noticed soon.
                connection._read_timeout = self._settings.connect_timeout_s  # type: ignore[attr-defined]  # all cheap
                keys = self._keys(connection)
        finally:
            if connection.open:
                connection.close()
        # A row that differed is looked at again: once may be a coincidence.
        for table, key in self._strikes:
            keys.setdefault(table, {})[key] = None
        specs = {spec.name: spec for spec in self._tables}
        fetches = [FetchByKey(table, specs[table].key[0], key) for table, held in keys.items() for key in held]
        read, position = self._reader.read(fetches)
        sampled = [SampledRow(table, int(str(cells[0])), cells) for table, found in read for cells in found]
        return Sample(sampled, position)

    def _keys(self, connection: Connection) -> dict[str, dict[int, None]]:
        database, prefix = self._settings.database, self._settings.table_prefix
        indexed = {str(table) for (table,) in rows(connection, _INDEXED, (database, _CHANGED_AT))}
        keys: dict[str, dict[int, None]] = {}
        for spec in self._tables:
            table, key = f"{quoted(database)}.{quoted(prefix + spec.name)}", quoted(spec.key[0])
            select = f"SELECT {key} FROM {table}"
            found = rows(connection, f"{select} ORDER BY {key} DESC LIMIT {HIGHEST_ROWS}")
            # An empty table has nothing to draw from.
            if found:
                least = rows(connection, f"SELECT MIN({key}) FROM {table}")[0][0]
                drawn = random.randint(int(least), int(found[0][0]))
                found += rows(connection, f"{select} WHERE {key} >= %s ORDER BY {key} LIMIT {ANY_ROWS}", (drawn,))
            # Without an index this would read the whole table.
            if prefix + spec.name in indexed:
                found += rows(connection, f"{select} ORDER BY {quoted(_CHANGED_AT)} DESC LIMIT {NEWEST_ROWS}")
            keys[spec.name] = {int(one): None for (one,) in found}
        return keys
