"""The daemon's status: the view behind /live, /ready and /status."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cdc.clock import iso_s
from cdc.engine import import_job, load_progress
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.logs import dropped_lines
from cdc.messages import dead_letters, outbox, render_queue, sent_versions
from cdc.messages.dead_letters import DeadLetter
from cdc.operator.operations import StateOperations
from cdc.output import Output
from cdc.replica import table_schemas
from cdc.replica.feeds import count_bad
from cdc.settings.config import Settings
from cdc.settings.ends import sink_of, source_of
from cdc.state.copies import disk_use
from cdc.state.store import Store
from cdc.web.metrics import Metrics

if TYPE_CHECKING:
    from cdc.snapshot.loader import Loader
    from cdc.source.retention import RetentionWatch
    from cdc.source.unlogged import UnloggedWatch

SHOWN_LETTERS = 5
"""Dead letters that the status lists; `deadletter list` has all of them."""

RENDER_WAIT_S = 60.0  # a live object that waited longer to be rendered is reported: nothing normal takes so long
SLOW_S = 10.0  # from here on a step of the state thread is reported; on a disk that works it takes a second at most
NEARLY_FULL = 256 << 20
"""Bytes: less free space on the state's disk is a reason in ``/ready``. A full disk ends the daemon."""

HUNG_S = 60.0  # a thread that has not turned for this long hangs; far over the longest commit on a slow disk


@dataclass
class SourceState:
    """The reader's last report on the connection."""

    name: str = "starting"
    details: Mapping[str, object] = field(default_factory=dict)
    read_lag_s: float = 0.0
    is_finished: bool = False


class DaemonView:
    """Answers from the last ``refresh``, so that a probe never waits for the database."""

    def __init__(self, queue: TransactionQueue, source: SourceState, output: Output) -> None:
        self._queue = queue
        self._source = source
        self._state: StateThread | None = None
        self._output = output
        began_s = time.monotonic()
        self.heard_s: Callable[[], float] = lambda: began_s
        """When the source last gave a sign of life, in monotonic seconds; before it is open, the time of the start."""
        self.loader: Loader | None = None
        self.retention: RetentionWatch | None = None
        self.unlogged: UnloggedWatch | None = None
        self.is_stopping = False
        """Whether a stop signal came. Then the daemon is not ready, so that no traffic is directed to it."""
        self._version = version("magento-cdc")
        self._ends: Mapping[str, str] = {}
        self._operations: StateOperations | None = None
        self._began_ms = int(time.time() * 1000)
        self.source_reasons: Callable[[], Sequence[str]] = tuple
        self._held: dict[str, Any] = {}
        self.look_s = 0.0
        """How long the last ``refresh`` took in the state thread: it counts everything that waits."""

    def attach(self, state: StateThread, settings: Settings, *, is_relay: bool) -> None:
        """The state is open."""
        self._state = state
        self._ends = {"source": source_of(settings), "sink": sink_of(settings, is_relay=is_relay)}
        # A relay has no messages, so there is nothing to look up or to send again.
        if not is_relay:
            self._operations = StateOperations(settings, state, self._output.record_link, self.role)

    def operations(self) -> StateOperations | None:
        """See ``View``."""
        return self._operations

    def live(self) -> tuple[bool, list[str]]:
        """Whether the threads have worked lately (the event loop answers, so it works)."""
        reasons = []
        if self._step_s > HUNG_S:
            reasons.append(f"the state thread has not turned for {HUNG_S:.0f} s")
        return not reasons, reasons

    def ready(self) -> tuple[bool, list[str]]:
        """Source connected, state writable, sink accepting. A ready daemon may have reasons too: somebody
        should look.
        """
        reasons = []
        if self.is_stopping:
            reasons.append("stopping: a signal came; the daemon finishes the work under way")
        # Files end, and then nothing is wrong with the source.
        if self._source.name not in ("connected", "finished"):
            why = self._source.details.get("reason", "")
            reasons.append(f"source: {self._source.name}" + (f": {why}" if why else ""))
        if self._state is None or not self._state.is_alive():
            reasons.append("state: not open")
        if not self._output.is_accepting:
            reasons.append(f"sink: {self._output.reason}")
        if why := self._held.get("mapping", {}).get("reason"):
            reasons.append(f"mapping: {why}")
        # Warnings do not make the daemon unready: it works, and restarting it would not help.
        warnings = [f"shop: {what}, its last values stay" for what in self._held.get("missing", ())]
        if self.retention is not None and self.retention.warning:
            warnings.append(self.retention.warning)
        if self.unlogged is not None and self.unlogged.warning:
            warnings.append(self.unlogged.warning)
        if self._step_s > SLOW_S:
            warnings.append(
                f"state: one step of the state thread has taken {self._step_s:.0f} s so far; the disk of state.dir is"
                f" slow or hangs (see magento_cdc_state_commit_seconds); after {HUNG_S:.0f} s /live answers 503"
            )
        if self._waited_s > RENDER_WAIT_S:
            warnings.append(
                f"rendering: changed objects have waited to be rendered for {self._waited_s:.0f} s; nothing to do while"
                " a replay or a first load runs, else look at magento_cdc_state_commit_seconds (a slow disk) and"
                " magento_cdc_fetches_pending"
            )
        free = self._held.get("disk", {}).get("free_bytes")
        if free is not None and free < NEARLY_FULL:
            warnings.append(
                f"state: only {free / 1e6:.0f} MB are free on the disk of state.dir; a full disk ends the daemon with"
                " exit code 1 (nothing is lost): free some space, or give state.dir a bigger volume"
            )
        warnings += self.source_reasons()
        return not reasons, [*reasons, *warnings]

    @property
    def _step_s(self) -> float:
        """How long the state thread has been at its present step of work, 0 if no state is open."""
        return time.monotonic() - self._state.engine.heartbeat.at if self._state is not None else 0.0

    @property
    def _waited_s(self) -> float:
        """How long the oldest live object in the render queue has waited, at the last ``refresh``."""
        return float(self._held.get("oldest_render_s", 0.0))

    def role(self) -> str:
        """See ``Output.role``."""
        return self._output.role

    def applied_file(self) -> str:
        """The log file of the applied position; "" before the first ``refresh``."""
        return str(self._held.get("position", "")).rpartition(":")[0]

    def status(self) -> dict[str, object]:
        """Everything ``magento-cdc status`` prints."""
        ready, reasons = self.ready()
        silence_s = max(0.0, time.monotonic() - self.heard_s())
        is_there = self._source.name in ("connected", "finished")
        return {
            "version": self._version,
            "started_at": iso_s(self._began_ms),
            "ends": self._ends,
            "ready": ready,
            "reasons": reasons,
            "source": {
                "state": self._source.name,
                "silence_s": round(silence_s, 3),
                # a source that is away cannot tell how much it has to say: the lag grows with its silence
                "read_lag_s": round(self._source.read_lag_s + (0.0 if is_there else silence_s), 3),
                "retention_left_h": self.retention.hours if self.retention else None,
                "rows_not_in_log": len(self.unlogged.found) if self.unlogged else 0,
            },
            "queue": {"transactions": len(self._queue), "bytes": self._queue.bytes},
            "log": {"dropped_lines": dropped_lines()},
            "load": self._load(),
            "member": self._output.member(),
            "delivery": self._output.status(),
            **self._held,
        }

    def _load(self) -> dict[str, object]:
        if self._state is None:
            return {"state": "not started"}
        if self.loader is None:
            return {"state": "done"}
        state = "done" if self.loader.is_done else "loading"
        return {
            "state": state,
            "table": self.loader.table,
            "rows": self.loader.rows,
            "waits_for": self.loader.waits_for,
        }

    async def refresh(self, metrics: Metrics) -> None:
        """Read the state once and update the gauges."""
        if self._state is None or not self._state.is_alive():
            return
        self._held = await self._state.call(self._look)
        metrics.refresh(self.status())

    def _letter(self, store: Store, letter: DeadLetter) -> dict[str, str]:
        """A dead letter for people: without its detail, which may quote values; with the record's page if HubSpot has a
        record.
        """
        record_id = sent_versions.sent_side(store, letter.ref).record_id
        return {
            "object": f"{letter.ref.kind.value}-{letter.ref.id}",
            "since": letter.at,
            "reason": letter.reason,
            "record": self._output.record_link(letter.ref.object_type, record_id) or record_id,
        }

    def _look(self, store: Store) -> dict[str, Any]:
        assert self._state is not None
        started = time.monotonic()
        engine = self._state.engine
        stale = engine.table_loads.reasons()
        waiting, pending = render_queue.counts(store), outbox.counts(store)
        found = {
            "position": str(engine.positions.position or ""),
            "gtid": engine.positions.position.gtid if engine.positions.position else "",
            "transactions": engine.progress.transactions,
            "changes": engine.progress.changes,
            "rendered": engine.renderer.rendered,
            "enqueued": engine.renderer.enqueued,
            "unchanged": engine.renderer.unchanged,
            "waiting": waiting,
            "oldest_render_s": round(render_queue.oldest_live_s(store), 1),
            "stale": {"tables": len(stale), "reasons": stale},
            "missing": table_schemas.missing(store),
            "import": import_job.status(store),
            "first_load": load_progress.progress(engine, waiting, pending),
            "mapping": engine.rendering.review.status(),
            "outbox": _with_age(pending),
            "disk": _disk(store),
            "dead_letters": dead_letters.count(store),
            "newest_dead_letters": [
                self._letter(store, letter) for letter in dead_letters.newest(store, SHOWN_LETTERS)
            ],
            "bad_records": count_bad(store),
        }
        self.look_s = time.monotonic() - started
        return found


def _with_age(counts: dict[str, object]) -> dict[str, object]:
    """How long the oldest change in the outbox has waited since its commit, in seconds; 0 if none waits."""
    oldest_ms = counts["oldest_commit_ms"]
    age_s = max(0.0, time.time() - oldest_ms / 1000) if isinstance(oldest_ms, int) and oldest_ms else 0.0
    return counts | {"age_s": round(age_s, 3)}


def _disk(store: Store) -> dict[str, int]:
    try:
        return disk_use(store.folder)._asdict()
    except OSError:  # the folder is gone or unreadable: the next commit says so, and the figures stay as they were
        return {}
