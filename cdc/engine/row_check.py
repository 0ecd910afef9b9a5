"""Compares the replica with rows as the server had them at a position in its log."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Final

from cdc.engine.engine import Engine
from cdc.engine.state_thread import StateThread
from cdc.errors import CdcError
from cdc.model import Absent, Cells, Position
from cdc.replica.rows import Stored, TableRows
from cdc.source.unlogged import SampledRow

ANSWER_S: Final = 60.0  # the state's thread may be applying one giant transaction


def differing(engine: Engine, sampled: Sequence[SampledRow], sampled_at: Position) -> list[SampledRow] | None:
    """The rows, read from the server before ``sampled_at``, that the replica has with other values, or not at all.

    None while that is not known: the log is not applied up to ``sampled_at``, or tables are being read from the server.
    Rows that the log has changed since are newer, and rows that wait to be read are known to be old; neither counts.
    """
    position = engine.positions.position
    if position is None or not engine.load.is_complete or engine.table_loads.required_positions:
        return None
    if sampled_at.server and position.server and sampled_at.server != position.server:
        return None
    lsn = engine.positions.lsn(sampled_at)
    if engine.positions.current() < lsn:
        return None
    return [row for row in sampled if _differs(engine, row, lsn)]


def compare_rows(state: StateThread, sampled: Sequence[SampledRow], sampled_at: Position) -> list[SampledRow] | None:
    """Run ``differing`` in the state thread, called from another thread. None when the daemon ends meanwhile."""
    try:
        return state.submit(lambda _: differing(state.engine, sampled, sampled_at)).result(ANSWER_S)
    except (TimeoutError, CancelledError, CdcError):
        return None


def _differs(engine: Engine, row: SampledRow, lsn: int) -> bool:
    table = engine.rows.tables.get(row.table)
    if table is None or engine.unread.holds(row.table, (row.key,)):
        return False
    stored = table.get((row.key,))
    if stored is None:
        return True
    return stored[-1] <= lsn and not _is_as(table, stored, row.cells)


def _is_as(table: TableRows, stored: Stored, cells: Cells) -> bool:
    """Whether the row is equal. Derived columns are made of other columns, and transient columns are not kept."""
    held = dict(zip(table.columns, stored, strict=False))
    for name, cell in zip(table.spec.columns, cells, strict=True):
        if name in held and not isinstance(cell, Absent) and held[name] != cell and str(held[name]) != str(cell):
            return False
    return True
