"""How far the replica is loaded, as one state with named transitions. Kept in the state file, so a restart goes on.

============================ ============================================================= ======================
phase                        what is read from the server                                  rendered at its end
============================ ============================================================= ======================
NEW                          nothing yet
LOADING_REFERENCES, LOADING  reference tables, then all others                             everything
READING_REFERENCES_AGAIN,    stale tables, which keep their rows meanwhile                 what the read changed
READING_AGAIN
FETCHING_REFERENCES,         reference tables, then only rows by key (``start = "latest"``)  nothing: there is no end
FETCHING
COMPLETE                     nothing: the log brings everything
============================ ============================================================= ======================

Before COMPLETE an object's rows are fetched by key before the object is rendered.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from cdc.state.meta import Meta

NO_LSN: Final = -1


class Phase(StrEnum):
    """The phases in the module's table."""

    NEW = "new"
    LOADING_REFERENCES = "loading_references"
    LOADING = "loading"
    READING_REFERENCES_AGAIN = "reading_references_again"
    READING_AGAIN = "reading_again"
    FETCHING_REFERENCES = "fetching_references"
    FETCHING = "fetching"
    COMPLETE = "complete"


_AFTER_REFERENCES: Final = {
    Phase.LOADING_REFERENCES: Phase.LOADING,
    Phase.READING_REFERENCES_AGAIN: Phase.READING_AGAIN,
    Phase.FETCHING_REFERENCES: Phase.FETCHING,
}
_BEFORE_REFERENCES: Final = {after: before for before, after in _AFTER_REFERENCES.items()}
_RENDERS_ALL: Final = {
    Phase.READING_REFERENCES_AGAIN: Phase.LOADING_REFERENCES,
    Phase.READING_AGAIN: Phase.LOADING,
}


class LoadState:
    """The phase, and two positions in the log as LSNs. Use inside a store transaction. Call ``reread`` after an undo.

    ``covered_lsn``: changes up to there are not rendered one by one, because the end of the load renders every object.
    ``settled_lsn``: nothing is rendered before the log has passed it, since rows read from the server, or columns
    assumed from it, may be ahead of the log. -1: there is no such position.
    """

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        self.phase = Phase.NEW
        self.is_complete = False
        """Whether the replica holds all rows that it needs."""
        self.covered_lsn = NO_LSN
        self.settled_lsn = NO_LSN
        self.is_topic_read_again = False
        """Whether a topic is read from its beginning again. Then rows that it does not bring no longer exist."""
        self.reread()

    def reread(self) -> None:
        """The transaction that changed the state was undone: read the state from the file."""
        held = self._meta.load_state
        self._set(Phase(held.get("phase", Phase.NEW)))
        self.covered_lsn = int(held.get("covered_lsn", NO_LSN))
        self.settled_lsn = int(held.get("settled_lsn", NO_LSN))
        self.is_topic_read_again = bool(held.get("is_topic_read_again", False))

    # -------------------------------------------------------------------------------------------------- questions

    @property
    def are_references_loaded(self) -> bool:
        """Whether all reference tables are loaded. Before that, nothing is fetched or rendered."""
        return self.phase is not Phase.NEW and self.phase not in _AFTER_REFERENCES

    @property
    def reads_whole_tables(self) -> bool:
        """Whether tables other than reference tables are read as a whole too."""
        return self.phase not in (Phase.NEW, Phase.FETCHING_REFERENCES, Phase.FETCHING, Phase.COMPLETE)

    @property
    def renders_all_at_end(self) -> bool:
        """Whether the end of the load renders every object; then a bulk invalidation before that is not needed."""
        return self.phase in (Phase.LOADING_REFERENCES, Phase.LOADING)

    @property
    def is_loaded(self) -> bool:
        """Whether every table is read that has to be read as a whole."""
        return self.phase in (Phase.FETCHING, Phase.COMPLETE)

    @property
    def fetches_only(self) -> bool:
        """Whether only reference tables are ever read as a whole, so that objects' rows may be missing."""
        return self.phase in (Phase.FETCHING_REFERENCES, Phase.FETCHING)

    @property
    def holds_all_rows(self) -> bool:
        """Whether every table holds all of its rows. Rows of a stale table may be old while it is read again."""
        return self.phase in (Phase.COMPLETE, Phase.READING_REFERENCES_AGAIN, Phase.READING_AGAIN)

    def covers(self, lsn: int) -> bool:
        """Whether the end of the load renders a change at this LSN."""
        return lsn <= self.covered_lsn and not self.is_complete

    # ------------------------------------------------------------------------------------------------ transitions

    def begin(self, phase: Phase, covered_lsn: int = NO_LSN) -> None:
        """A fresh state starts, with LOADING_REFERENCES, FETCHING_REFERENCES, or COMPLETE if there is
        nothing to load.
        """
        self.covered_lsn = covered_lsn
        self._keep(phase)

    def references_read(self) -> None:
        """All reference tables are loaded."""
        self._keep(_AFTER_REFERENCES.get(self.phase, self.phase))

    def columns_changed(self, *, with_references: bool) -> None:
        """The mapping asks for other columns of some tables: they are loaded again, then every object is rendered."""
        self._keep(Phase.LOADING_REFERENCES if with_references else Phase.LOADING)

    def tables_stale(self, *, with_references: bool) -> None:
        """Some tables are to be read again; a running load reads them too."""
        phase = Phase.READING_AGAIN if self.is_complete else self.phase
        self._keep(_BEFORE_REFERENCES.get(phase, phase) if with_references else phase)

    def render_all_at_end(self) -> None:
        """The end of the running read renders every object, not only objects that the read changed."""
        self._keep(_RENDERS_ALL.get(self.phase, self.phase))

    def topic_begun_again(self) -> None:
        """A topic is read again from its beginning: it holds all rows, and every object is rendered after them."""
        self.is_topic_read_again = True
        self.render_all_at_end()

    def topic_read(self) -> None:
        """All rows of the topic were read."""
        self.is_topic_read_again = False
        self._keep(self.phase)

    def cover(self, lsn: int) -> None:
        """Changes up to this LSN are rendered by the end of the load."""
        self.covered_lsn = lsn
        self._keep(self.phase)

    def settle_at(self, lsn: int) -> None:
        """Render nothing before the log has passed this LSN."""
        self.settled_lsn = max(self.settled_lsn, lsn)
        self._keep(self.phase)

    def completed(self, lsn: int) -> None:
        """All tables are read. The rows may be ahead of the log, up to this LSN."""
        self.covered_lsn, self.settled_lsn = NO_LSN, lsn
        self._keep(Phase.COMPLETE)

    # ----------------------------------------------------------------------------------------------------- inside

    def _set(self, phase: Phase) -> None:
        self.phase = phase
        self.is_complete = phase is Phase.COMPLETE

    def _keep(self, phase: Phase) -> None:
        self._set(phase)
        self._meta.load_state = {
            "phase": phase.value,
            "covered_lsn": self.covered_lsn,
            "settled_lsn": self.settled_lsn,
            "is_topic_read_again": self.is_topic_read_again,
        }
