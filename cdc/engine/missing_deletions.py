"""Notices deletions that another tool's topics leave out: a row is inserted whose key the replica still has.

Debezium's ``skipped.operations`` leaves TRUNCATE out by default, and may leave DELETE out. A transformation may drop
tombstones. No record shows such a setting. The next INSERT of the same key shows it: after a TRUNCATE, keys begin at 1
again. Rows whose keys never come again stay unnoticed, as docs/kafka.md says.

Three cases look alike and are not signs of a missing deletion:

* a record that comes again (its position is not behind that of the row, or its values are the same);
* a deletion that compaction removed from the topic before it was read: only records written lately are checked, as
  compaction leaves a topic's newest segment alone;
* records without a position in the log, which are ordered by the time of writing, so a repetition looks newer.
"""

from __future__ import annotations

from typing import Final

from cdc.engine.parts import Parts
from cdc.log_events import get_logger
from cdc.model import ABSENT, Change, Op, Transaction
from cdc.replica.affected import When

log = get_logger(__name__)

LATELY_MS: Final = 10 * 60 * 1000


class MissingDeletions:
    """Checks each transaction of a topic before it is applied. Use inside a store transaction."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def look(self, transaction: Transaction, when: When) -> None:
        """Note the rows that are inserted although the replica holds an older version of them."""
        reported = transaction.feed.rows_at if transaction.feed is not None else None
        if reported is None or not reported.is_created or reported.position is None:
            return
        if reported.written_ms < self._parts.clock.now_ms() - LATELY_MS:
            return
        for change in transaction.changes:
            if change.op is Op.INSERT and self._replaces(change, when):
                count = self._parts.feeds.note_missing_deletion(change.table)
                log.warning(
                    "deletion_not_recorded",
                    limit=change.table,
                    table=change.table,
                    rows=count,
                    topic=reported.partition,
                    reason="a row was inserted that the topics had not deleted: set the connector's skipped.operations"
                    " to none, and let no transformation drop tombstones",
                )

    def _replaces(self, change: Change, when: When) -> bool:
        """Whether the replica's row is older and has other values."""
        table = self._parts.rows.tables[change.table]
        after = change.after
        assert after is not None
        held = table.get(after[: table.key_width])  # type: ignore[arg-type]  # key columns come first, always there
        if held is None or when.is_in(held):
            return False
        row = table.as_row(held)
        pairs = zip(table.spec.columns, after, strict=True)
        return any(column in row and cell is not ABSENT and row[column] != cell for column, cell in pairs)
