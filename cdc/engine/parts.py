"""The objects that the parts of the engine share: the open state of one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cdc.engine.journal import Journal
from cdc.engine.key_changes import KeyChanges
from cdc.messages.first_load import FirstLoad
from cdc.messages.mapping_review import MappingReview
from cdc.messages.renderer import Renderer
from cdc.model import ForeignKey
from cdc.protocols import Clock, Mapper
from cdc.replica.apply import Applier
from cdc.replica.cascades import Cascades, with_between
from cdc.replica.feeds import Feeds
from cdc.replica.load_state import LoadState
from cdc.replica.resync import Resync
from cdc.replica.rows import ReplicaRows
from cdc.replica.rows_ahead import RowsAhead
from cdc.replica.table_loads import TableLoads
from cdc.replica.unread import Unread
from cdc.state.positions import LogPositions
from cdc.state.store import Store


class Parts:
    """The open state and the objects that read and write it; each stays the same object for the engine's life.

    ``create``: make the tables; only the daemon may, because it knows the server's foreign keys. ``has_server``: rows
    can be read from a server. ``only_looks``: see ``Store``. Raises StateError or SetupError when the folder cannot be
    used.
    """

    def __init__(
        self,
        folder: Path,
        mapper: Mapper,
        keys: Sequence[ForeignKey],
        clock: Clock,
        *,
        exclusive: bool,
        create: bool,
        has_server: bool,
        only_looks: bool = False,
    ) -> None:
        self.mapper = mapper
        self.clock = clock
        self.tables = with_between(mapper.tables, keys)
        self.cascades = Cascades(self.tables, keys)
        indexes = self.cascades.indexes()
        self.store = Store(
            folder, self.tables, indexes=indexes, exclusive=exclusive, create=create, only_looks=only_looks
        )
        self.rows = ReplicaRows(self.store, self.tables, keeps=exclusive)
        self.positions = LogPositions(self.store)
        self.load = LoadState(self.store.meta)
        self.table_loads = TableLoads(self.store)
        if create:
            with self.store.transaction():
                self.table_loads.lay_out(self.tables)
        self.unread = Unread(self.store, can_read=has_server)
        self.key_changes = KeyChanges(self.store, self.cascades)
        self.applier = Applier(self.store, self.rows, mapper, self.cascades, self.load, self.unread)
        self.resync = Resync(self.rows, self.applier, mapper)
        self.feeds = Feeds(self.store)
        self.rows_ahead = RowsAhead(self.rows, mapper.rows_used)
        self.renderer = Renderer(self.store, self.rows_ahead, mapper, clock)
        self.first_load = FirstLoad(self.store)
        self.mapping_review = MappingReview(self.store, self.renderer)
        self.journal: Journal | None = None
        """The listener for every effective change (the relay)."""
        self.published_rows = self.store.meta.published_rows

    def reread(self) -> None:
        """A transaction was undone: read the values kept in memory again."""
        self.applier.reread()
        self.rows.forget_references()
        self.renderer.reread()
        self.mapping_review.reread()
        self.first_load.reread()
        self.positions.reread()
        self.feeds.reread()
        self.load.reread()
        self.table_loads.reread()
        self.unread.reread()
        self.key_changes.reread()
        self.published_rows = self.store.meta.published_rows
        if self.journal is not None:
            self.journal.clear()
