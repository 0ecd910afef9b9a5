"""Decides what is rendered, and when. Use inside a store transaction.

* A live change of an object whose rows are complete is rendered in the same group.
* Before the replica is complete, the object's rows are fetched by key first. The object is rendered once the log has
  passed the position noted after the fetch.
* A replayed change is rendered once the log has passed the highest position ever applied.
* Bulk invalidations and history are rendered from the render queue, in slices, when no live work waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from cdc.engine.carts import CARTS, Carts
from cdc.engine.import_job import ImportJob
from cdc.engine.parts import Parts
from cdc.messages import ledger, relinks, render_queue, sent_versions
from cdc.messages.bulk_members import LEDGER
from cdc.messages.ever_set import OF_CARTS_ONLY
from cdc.messages.mapping_review import Step
from cdc.messages.render_queue import QueuedObject
from cdc.messages.renderer import RenderRequest
from cdc.model import BulkInvalidation, Kind, ObjectRef, Urgency
from cdc.replica.affected import AffectedObjects

RENDER_AT_ONCE = 2000  # objects of a group rendered in its own commit; a larger fan-out goes through the render queue
SLICE_OBJECTS = 400  # about 20 ms of rendering: what a live change may have to wait behind
SHORT_SLICE_OBJECTS = 40  # the same while live messages are on their way, which takes several turns
SLICE_ROWS = 5000  # rows that a bulk invalidation looks at in one slice


class Rendering:
    """Renders objects at once, or leaves them to the render queue."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._load = parts.load
        self.review = parts.mapping_review
        self.carts = Carts(parts)
        self._import_job = ImportJob(parts, self.render_history)

    # --------------------------------------------------------------------------------------------------- later

    def defer(self, not_before: int, affected: AffectedObjects) -> None:
        """Leave these objects to the render queue. They are rendered once the
        log has passed ``not_before`` (an LSN).
        """
        fetch = not self._load.is_complete
        for ref, commit_ms in affected.objects.items():
            render_queue.mark(self._store, ref, commit_ms=commit_ms, fetch=fetch, not_before=not_before)
        self.defer_invalidations(not_before, affected)

    def defer_invalidations(self, not_before: int, affected: AffectedObjects) -> None:
        """Queue the bulk invalidations, unless the end of the load renders every object anyway."""
        if self._load.renders_all_at_end:
            return
        for invalidation in affected.invalidations:
            render_queue.add_invalidation(self._store, invalidation, urgency=Urgency.HISTORY, not_before=not_before)

    def render_all_again(self) -> None:
        """Render every object again, behind live work."""
        if self._load.is_complete:
            self.invalidate_everything(0)
        elif self._load.reads_whole_tables:
            self._load.render_all_at_end()
        else:  # no table is held whole, so only the ledger knows which objects there are
            render_queue.fetch_whatever_was_rendered(self._store)

    def invalidate_everything(self, not_before: int) -> None:
        """Render every object that has rows, behind live work, once the log has passed ``not_before`` (an LSN)."""
        named = self._parts.mapper.everything()
        for invalidation in (*named, *self._known_only_to_the_ledger(named)):
            render_queue.add_invalidation(self._store, invalidation, urgency=Urgency.HISTORY, not_before=not_before)

    def _known_only_to_the_ledger(self, named: Iterable[BulkInvalidation]) -> Iterator[BulkInvalidation]:
        """The objects that an earlier mapping sent, and that no row names by the present mapping."""
        kinds = {kind for kind in Kind if kind not in {one.kind for one in named}}
        # Carts made contacts, and are not sent any more.
        if self._parts.mapper.cart_rules is None and self._parts.renderer.ledger.bits.held((OF_CARTS_ONLY,)):
            kinds.add(Kind.GUEST)
        for kind in sorted(kinds & sent_versions.kinds(self._store)):
            yield BulkInvalidation(kind, LEDGER, "id")

    def resume_mapping(self) -> bool:
        """Render every object again if mapping or renderers changed since the last run. True if they did.

        A changed mapping is reviewed first, if HubSpot holds objects (``cdc/messages/mapping_review.py``).
        """
        held, version = self._store.meta.mapping_version, self.mapping_version
        if held == version:
            self.review.end()
            return False
        if held and self._is_reviewed(held, version):
            self.review.begin(version)
        else:
            self._take_mapping()
        return bool(held)

    def _is_reviewed(self, held: str, version: str) -> bool:
        """Whether the mapping needs a review. New renderers of a new program version are not a change of the settings.

        Where rows are only fetched by key, an object's rows may be missing, so nothing could be counted.
        """
        is_by_settings = held.partition("-")[2] != version.partition("-")[2]
        return is_by_settings and not self._load.fetches_only and self.review.has_to_ask

    def _take_mapping(self) -> None:
        """Render by the mapping in the settings from now on."""
        meta = self._store.meta
        is_first = not meta.mapping_version
        meta.mapping_version = self.mapping_version
        self.review.end()
        self.carts.forget_if_not_sent()
        if not is_first:
            self.render_all_again()

    def _work_review(self) -> bool:
        """Count one slice, or check whether the mapping was accepted. False when only an operator can go on."""
        if not self._load.is_complete:
            return False  # columns that the mapping newly asks for are being read
        if self.review.step is Step.COUNTING and not self.review.count():
            return True
        if not self.review.is_accepted():
            return False
        self._take_mapping()
        return True

    @property
    def mapping_version(self) -> str:
        """A text that changes whenever objects are rendered in another way."""
        return self._parts.mapper.version

    def resend_everything(self) -> None:
        """Send every object once more, even if equal (``run --resend``), behind live work."""
        ledger.forget_hashes(self._store)
        self.render_all_again()

    # ----------------------------------------------------------------------------------------------------- now

    def render_live(self, affected: AffectedObjects, read_at: Mapping[int, int]) -> None:
        """Render the objects that a group of live changes affects. ``read_at``:
        commit time → time of reading, both in ms.
        """
        applied = self._parts.positions.current()
        if not self._load.is_complete or applied < self._load.settled_lsn or self.review.is_open:
            self._defer_live(affected, self._load.settled_lsn if applied < self._load.settled_lsn else 0)
            return
        has_queued = render_queue.is_any(self._store)
        position = str(self._parts.positions.position or "")
        now = iter(affected.objects.items())
        at_once = islice(now, RENDER_AT_ONCE)
        while part := [*islice(at_once, SLICE_OBJECTS)]:
            with self._reading_ahead([ref for ref, _ in part]):
                for ref, commit_ms in part:
                    request = RenderRequest(
                        position, commit_ms, Urgency.LIVE, lsn=applied, read_ms=read_at.get(commit_ms, 0)
                    )
                    self._render_changed(ref, request, has_queued=has_queued)
        for ref, commit_ms in now:
            render_queue.mark(self._store, ref, commit_ms=commit_ms)

    def _render_changed(self, ref: ObjectRef, request: RenderRequest, *, has_queued: bool) -> None:
        asked = render_queue.get(self._store, ref) if has_queued else None
        if asked is None:
            self._render(ref, request)
        elif asked.waits(request.lsn):  # its rows are ahead of the log: rendering waits for it
            render_queue.mark(self._store, ref, commit_ms=request.commit_ms)
        else:
            self._render(ref, request._replace(force=asked.force, links=asked.links))
            render_queue.done(self._store, [ref])

    @contextmanager
    def _reading_ahead(self, refs: Sequence[ObjectRef]) -> Iterator[None]:
        """Within the block the rows and the ledger's lines of these objects are at hand: a few statements for all."""
        ledger_lines = self._parts.renderer.ledger
        ledger_lines.read_ahead(refs)
        with self._parts.rows_ahead.reading(refs):
            yield
        ledger_lines.read_ahead(())

    def _defer_live(self, affected: AffectedObjects, not_before: int) -> None:
        fetch = not self._load.is_complete
        for ref, commit_ms in affected.objects.items():
            render_queue.mark(self._store, ref, commit_ms=commit_ms, fetch=fetch, not_before=not_before)

    def work(self, *, is_short: bool = False) -> bool:
        """Render one slice of the waiting work; False when nothing is ready. ``is_short``: see ``Engine.work``."""
        slice_objects = SHORT_SLICE_OBJECTS if is_short else SLICE_OBJECTS
        positions = self._parts.positions
        applied = positions.current()
        if not self._load.are_references_loaded or applied < max(positions.high, self._load.settled_lsn):
            return False  # during a replay, and while the log is behind what was loaded, rows are of several moments
        if self.review.is_open:
            return self._work_review()
        ready = render_queue.ready(self._store, applied, slice_objects)
        render_queue.done(self._store, [item.ref for item in ready])
        self._render_slice(ready, applied)
        has_worked = bool(ready)
        # The slice is not full: what bulk invalidations name comes behind it.
        if len(ready) < slice_objects:
            has_worked |= self._work_invalidations(applied, slice_objects - len(ready))
        self._parts.first_load.count(*self._parts.renderer.first.take())
        # links lead nowhere until they are made again, but nothing else may wait behind that
        return has_worked or relinks.work(self._store) or self._import_job.work()

    def _work_invalidations(self, applied: int, most: int) -> bool:
        """Work off one slice of the oldest bulk invalidation; False when none is ready."""
        # Rows may be missing before the load is complete, so they are fetched before the objects are rendered.
        if not self._load.is_complete:
            return render_queue.work_invalidation(self._store, applied, SLICE_ROWS, fetch=True)
        invalidated = render_queue.take_invalidated(self._store, applied, SLICE_ROWS, most)
        self._render_slice(invalidated or (), applied)
        return invalidated is not None

    def _render_slice(self, objects: Sequence[QueuedObject], applied: int) -> None:
        position = str(self._parts.positions.position or "")
        with self._reading_ahead([item.ref for item in objects]):
            for ref, urgency, commit_ms, force, links in objects:
                self._render(ref, RenderRequest(position, commit_ms, urgency, force, applied, links=links))

    def render_history(self, ref: ObjectRef, force: bool) -> None:
        """Render an object that an operator asked for: it is sent although it
        was withheld. ``force``: even if equal.
        """
        self._render(ref, self._request(Urgency.HISTORY, 0)._replace(force=force, release=True))

    def _request(self, urgency: Urgency, commit_ms: int) -> RenderRequest:
        """The request at the position reached."""
        positions = self._parts.positions
        return RenderRequest(str(positions.position or ""), commit_ms, urgency, lsn=positions.current())

    def _render(self, ref: ObjectRef, request: RenderRequest) -> None:
        """Render an object, and the objects that it refers to if they were never rendered: its links need them."""
        missing = self._render_one(ref, request)
        # Nearly always the objects that it refers to were rendered long ago.
        if not missing:
            return
        seen = {ref, *missing}
        todo = [*dict.fromkeys(missing)]
        further = request._replace(force=False, links=False, release=True)
        is_history = request.urgency is Urgency.HISTORY
        while todo:
            current = todo.pop()
            # Rows may be missing before the load is complete, so they are fetched first.
            if not self._load.is_complete:
                is_released = is_history or self._parts.renderer.withholding.is_withheld(current)
                render_queue.mark(
                    self._store,
                    current,
                    commit_ms=request.commit_ms,
                    urgency=request.urgency,
                    fetch=True,
                    force=is_released,
                )
                continue
            others = [other for other in self._render_one(current, further) if other not in seen]
            seen.update(others)
            todo += others

    def _render_one(self, ref: ObjectRef, request: RenderRequest) -> list[ObjectRef]:
        if ref.kind in CARTS:
            self.carts.look(ref, request.commit_ms, request.urgency)
        return self._parts.renderer.render(ref, request)
