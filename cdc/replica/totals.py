"""Reads the running totals of a mapped table (``cdc/state/running_totals.py``)."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.model import Row, RunningTotals, TableSpec, Value
from cdc.replica.load_state import LoadState
from cdc.state.running_totals import totals_columns, totals_name
from cdc.state.schema import quoted
from cdc.state.store import Store


class Totals:
    """The running totals of one table."""

    def __init__(self, store: Store, spec: TableSpec, totals: RunningTotals) -> None:
        self._store = store
        self._columns = totals_columns(totals)
        columns = ", ".join(quoted(column) for column in self._columns)
        self._find = f"SELECT {columns} FROM {totals_name(spec.name)} WHERE {{column}} = ? ORDER BY 1"

    def find(self, column: str, value: Value) -> Sequence[Row] | None:
        """The totals of the groups with this value; None while the table may lack rows, as every total is wrong then.

        The state is asked each time: commands read it while a daemon goes on with it.
        """
        if not LoadState(self._store.meta).holds_all_rows:
            return None
        found = self._store.db.execute(self._find.format(column=quoted(column)), (value,)).fetchall()
        return [dict(zip(self._columns, row, strict=True)) for row in found]
