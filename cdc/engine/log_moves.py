"""Where the log begins, and what happens when it goes on elsewhere: on another server, or at another position."""

from __future__ import annotations

from collections.abc import Iterable

from cdc.engine.parts import Parts
from cdc.engine.stale_tables import StaleTables
from cdc.errors import PositionLostError, StateError
from cdc.log_events import get_logger
from cdc.model import Position, StaleTable
from cdc.replica import table_schemas
from cdc.replica.load_state import NO_LSN, Phase
from cdc.state import run_mark

log = get_logger(__name__)


class LogMoves:
    """Begins, rewinds and changes logs. Use inside a store transaction."""

    def __init__(self, parts: Parts, stale_tables: StaleTables) -> None:
        self._parts = parts
        self._stale_tables = stale_tables

    def begin(self, position: Position, phase: Phase, covered: Position | None = None) -> None:
        """A fresh state starts here, with this phase of its load (``LoadState.begin``).

        ``covered``: the end of the load renders the changes up to there, so they are not rendered one by one.
        """
        parts = self._parts
        if parts.positions.position is None:
            parts.positions.advance(position)
        else:
            self.begin_epoch(position)
        parts.load.begin(phase, parts.positions.lsn(covered) if covered else NO_LSN)
        if phase is Phase.COMPLETE:
            parts.table_loads.set_done(spec.name for spec in parts.tables)
        parts.renderer.raise_minimum_changed_at(parts.clock.now_ms())

    def begin_anew(self, position: Position, stale_tables: Iterable[StaleTable]) -> None:
        """Go on at a position of another log than so far, and read these tables again."""
        self.begin_log(position)
        self._stale_tables.read_again(stale_tables, position)

    def begin_log(self, position: Position) -> None:
        """The log was interrupted: the earlier positions and columns of tables say nothing about the new log."""
        self.begin_epoch(position)
        table_schemas.forget(self._parts.store)

    def rewind(self, position: Position, *, is_new_log: bool = False, by_gtid: bool = False) -> None:
        """Go on from another position: an earlier position replays changes, a later position skips changes.

        ``is_new_log``: positions of this log cannot be compared with the earlier ones (the log was begun anew, or the
        server no longer has the position reached); those of another server never can. ``by_gtid``: from the position
        on, the server leaves out what the position's GTID set has. Raises StateError for an empty state.
        """
        positions = self._parts.positions
        held = positions.position
        if held is None:
            raise StateError("there is no state to replay into", hint="run once without --start first")
        is_elsewhere = is_new_log or (held.server and position.server and held.server != position.server)
        if is_elsewhere or by_gtid or positions.lsn(position) > positions.high:
            table_schemas.forget(self._parts.store)  # definitions in what is skipped are never read
        if is_elsewhere:
            self.begin_epoch(position)
        else:
            positions.advance(position)

    def follow_server(self, end: Position) -> None:
        """A failover: the source made sure that the new server has all that was
        read. The new server has other positions.
        """
        held = self._parts.positions.position
        if held is None or not held.server or not end.server or held.server == end.server:
            return
        self.must_not_be_loading(end.server)
        log.warning("server_changed", old=held.server, new=end.server, position=str(end))
        self.begin_epoch(end)

    def take_up(self) -> None:
        """A run begins. If the state is an older copy, it does not know what was sent since the copy was made.

        The log is read once more from the copy's position. Every change goes to HubSpot, even if it equals the copy's
        ledger, also objects that came and went. The messages get times above all times that were sent.
        """
        parts = self._parts
        position, why = parts.positions.position, run_mark.why_restored(parts.store)
        if why and position is not None:
            if parts.load.is_complete:
                self.begin_epoch(position)
            now_ms = parts.clock.now_ms()
            parts.renderer.raise_minimum_changed_at(now_ms)
            parts.renderer.note_restored(now_ms)
            log.error(
                "state_restored",
                reason=why,
                position=str(position),
                action="every object that the log changes from here on is sent, even if its message is unchanged",
                hint="objects that changed without the log are found by `magento-cdc verify --all --repair`",
            )
        run_mark.renew(parts.store)

    def must_not_be_loading(self, server: str) -> None:
        """Raises PositionLostError if whole tables are being read from a server other than ``server``.

        The loaded rows may be ahead of the log that was read, so nobody can tell whether ``server`` has all of them.
        """
        held = self._parts.positions.position
        if held is None or held.server in ("", server) or not self._parts.load.reads_whole_tables:
            return
        raise PositionLostError(
            f"the first load began on server {held.server} and is not finished; this is server {server}",
            hint="remove the state folder to import afresh, or point source.host at the server it began on",
        )

    def begin_epoch(self, position: Position) -> None:
        """From here on the log is another one: all new LSNs, and times of messages, are above all earlier ones."""
        parts = self._parts
        parts.positions.begin_epoch(position)
        parts.table_loads.follow(position)
        parts.renderer.raise_minimum_changed_at(parts.clock.now_ms())
