"""Compares a sample of rows, taken from the newest records of topics, with the replica. Use inside a store transaction.

A wrong guess about the order of records makes a member drop changes as older, without any other sign. This comparison
shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cdc.engine.parts import Parts
from cdc.log_events import get_logger
from cdc.model import ABSENT, DeleteRule, NewestRow
from cdc.replica.feeds import WrongRows

log = get_logger(__name__)


class NewestRows:
    """Compares the sample, and notes per table how many rows the replica lacks, and how many it has too many."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def compare(self, newest: Sequence[NewestRow]) -> None:
        """``newest``: rows of which every record so far is applied."""
        sampled = Counter(row.table for row in newest)
        lacking = Counter(row.table for row in newest if row.cells is not None and self._lacks(row))
        extra = Counter(row.table for row in newest if row.cells is None and self._is_held(row))
        found = {table: WrongRows(sampled[table], lacking[table], extra[table]) for table in sorted({*lacking, *extra})}
        feeds = self._parts.feeds
        for table, wrong in found.items():
            # Once per finding, not once a minute.
            if feeds.wrong_rows.get(table) != wrong:
                log.error(
                    "rows_not_as_topics_tell",
                    table=table,
                    sampled=wrong.sampled,
                    lacking=wrong.lacking,
                    extra=wrong.extra,
                    hint="remove the state folder: it is filled from the topics again; and please report this",
                )
        feeds.wrong_rows = found

    def _is_held(self, row: NewestRow) -> bool:
        return self._parts.rows.tables[row.table].get(row.key) is not None

    def _lacks(self, row: NewestRow) -> bool:
        """Whether the replica lacks the row. A row that the mapping leaves out, or that was deleted with its parent, is
        not missing.
        """
        # As it should be.
        if self._is_held(row):
            return False
        cells = row.cells
        # What the record does not tell may be what decides.
        if cells is None or ABSENT in cells or self._parts.unread.holds(row.table, row.key):
            return False
        parts, spec = self._parts, self._parts.rows.tables[row.table].spec
        values = dict(zip(spec.columns, cells, strict=True))
        # A parent's deletion takes its children along, and no record tells of them.
        for foreign in parts.cascades.of_child.get(spec.name, ()):
            value = values.get(foreign.child_column)
            # Other rules leave the child where it is.
            if foreign.rule is not DeleteRule.CASCADE or value is None:
                continue
            if not parts.rows.tables[foreign.parent].find(foreign.parent_column, value):  # type: ignore[arg-type]
                return False
        # All rows of such a table are kept.
        if spec.keys_only:
            return True
        values.update(parts.mapper.derive(spec.name, values))  # type: ignore[arg-type]  # no cell is ABSENT
        return parts.mapper.keep(spec.name, values, parts.rows)  # type: ignore[arg-type]
