"""The engine: takes groups of transactions and gives outbox rows, all in one local transaction.

It is composed of parts that each do one thing; all parts work on the same open state. Runs in the state thread only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cdc.engine.group import GroupApplier
from cdc.engine.heartbeat import Heartbeat
from cdc.engine.journal import Journal, Reached
from cdc.engine.log_moves import LogMoves
from cdc.engine.parts import Parts
from cdc.engine.rendering import Rendering
from cdc.engine.snapshot_ingest import SnapshotIngest
from cdc.engine.stale_tables import StaleTables
from cdc.messages import history_stop
from cdc.model import ForeignKey, ObjectType, StaleTable, Transaction
from cdc.protocols import Clock, Mapper
from cdc.replica import prepared


class Engine:
    """Replica, ledger and outbox of one state folder.

    ``moves``: where the log begins and goes on. ``stale_tables``: the tables to read again. ``ingest``: takes the rows
    that are read from the server. ``rendering``: what is rendered, and when. The constructor raises StateError or
    SetupError when the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        mapper: Mapper,
        keys: Sequence[ForeignKey],
        clock: Clock,
        *,
        exclusive: bool = True,
        create: bool = True,
        has_server: bool = True,
        only_looks: bool = False,
    ) -> None:
        self.parts = self._parts = parts = Parts(
            folder,
            mapper,
            keys,
            clock,
            exclusive=exclusive,
            create=create,
            has_server=has_server,
            only_looks=only_looks,
        )
        self.tables = parts.tables
        self.mapper = parts.mapper
        self.store = parts.store
        self.rows = parts.rows
        self.positions = parts.positions
        self.load = parts.load
        self.table_loads = parts.table_loads
        self.unread = parts.unread
        self.key_changes = parts.key_changes
        self.applier = parts.applier
        self.feeds = parts.feeds
        self.renderer = parts.renderer
        self.first_load = parts.first_load
        self.rendering = Rendering(parts)
        self.stale_tables = StaleTables(parts, self.rendering)
        self.moves = LogMoves(parts, self.stale_tables)
        self.ingest = SnapshotIngest(parts, self.rendering)
        self.heartbeat = Heartbeat()
        self._groups = GroupApplier(parts, self.rendering, self.stale_tables, self.moves, self.ingest, self.heartbeat)
        self.progress = self._groups.progress

    def apply_group(self, group: Iterable[Transaction]) -> None:
        """Apply whole transactions and render what they affect, inside the caller's store transaction."""
        self._groups.apply(group)

    def work(self, *, is_short: bool = False) -> bool:
        """Render one slice of the waiting work, inside the caller's store transaction; False when nothing is ready.

        ``is_short``: a slice of few objects, as live messages wait for the end of this turn.
        """
        if self.store.meta.repair_types:
            self._repair()
        renderer, is_complete = self.renderer, self.load.is_complete
        if history_stop.work(self.store, renderer.withholding, self.first_load, fetch=not is_complete):
            return True
        return self.rendering.work(is_short=is_short)

    @property
    def is_asked_for_more(self) -> bool:
        """Whether an import that a command asked for is still running. A paused import does not count."""
        meta = self.store.meta
        if history_stop.is_under_way(self.store):
            return True
        return not meta.is_import_paused and (bool(meta.repair_types) or bool(meta.import_job.get("is_open")))

    def _repair(self) -> None:
        """``import --repair``: read the tables of the chosen types again, and render the objects that differ."""
        position = self.positions.position
        if position is None or not self.load.is_complete:
            return  # a load is under way, which reads everything anyway: after it, the request is taken up
        chosen = {ObjectType(kind) for kind in self.store.meta.repair_types}
        self.store.meta.repair_types = ()
        # A table whose types are not known is read in any case: it may bear on the chosen types.
        affected = {spec.name: self.mapper.types_affected_by(spec.name) for spec in self.tables}
        names = [name for name, types in affected.items() if not types or types & chosen]
        stale = [StaleTable(name, "asked for by `magento-cdc import --repair`") for name in names]
        self.stale_tables.read_again(stale, position)

    def reread(self) -> None:
        """A transaction was rolled back, or another process wrote the state: read the values kept in memory again."""
        self._parts.reread()

    def keep_journal(self, journal: Journal) -> None:
        """From now on, pass every effective change of a row to ``journal``."""
        self._parts.journal = journal
        self.rows.listen(journal)

    @property
    def journal(self) -> Journal | None:
        """The listener for every effective change."""
        return self._parts.journal

    def reached(self) -> Reached:
        """How far the state has come."""
        is_settled = not self.unread.any and not self.table_loads.required_positions and not prepared.is_any(self.store)
        return Reached(self.positions.position, self.positions.current(), self.load.is_complete, is_settled)

    def close(self) -> None:
        """Close the state file."""
        self.store.close()
