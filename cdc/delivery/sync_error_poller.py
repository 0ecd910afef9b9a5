"""Reads sync errors: the bridge accepts whole batches, and reports afterwards which messages it refused.

The poller asks page by page. The errors of a page and the position of the next page are written in one transaction. So
a poll that fails loses nothing that was read, and the next poll goes on with the first unread page.

An error counts only for the version that was sent last. A message that was refused because the receiver did not know an
object that it refers to waits (durably), and is rendered again once that object is known. A message that was refused
because of the account is sent again when the account works. Any other message becomes a dead letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cdc.delivery import silence
from cdc.delivery.context import Context
from cdc.delivery.quota import Traffic
from cdc.errors import SendingStoppedError, SinkError
from cdc.log_events import get_logger
from cdc.messages import sent_versions, waiting_for_parent
from cdc.messages.contact_emails import is_missed
from cdc.messages.late_rejections import (
    can_do_without,
    let_wait,
    render_again,
    send_again,
    send_whole,
    set_aside,
)
from cdc.messages.waiting_for_parent import LateRejection
from cdc.model import ObjectRef, Scope, SyncError, SyncErrorPage, parse_external_id
from cdc.protocols import LaterVerdicts
from cdc.state.store import Store

log = get_logger(__name__)

PAGES_A_POLL: Final = 25
"""The most pages that one poll reads: 5,000 errors with 200 on a page, and a quarter of the smallest quota."""

WAITING_A_POLL: Final = 50
"""The most waiting objects that one poll looks up. Each may cost two calls; at a poll every 15 s this stays under a
tenth of the smallest account's quota.
"""

MAX_RESENDS: Final = 3
"""How often one object is sent again for an unknown reference although the
reference is known. Then the fault is another.
"""


@dataclass(frozen=True, slots=True)
class _Written:
    """A sync error that counted. ``waits``: the object waits for a parent or the account; else it is a dead letter."""

    rejection: LateRejection
    scope: Scope
    waits: bool


@dataclass(slots=True)
class SyncErrorPoller:
    """Reads the sync errors of one sink. ``poll`` raises none of the sink's
    errors; it is called every ``judge_poll_s``.
    """

    context: Context
    sink: LaterVerdicts
    _resends: dict[ObjectRef, int] = field(default_factory=dict)

    async def poll(self) -> None:
        """Read the new sync errors, and check which missing parents have become known."""
        context = self.context
        quiet_s = context.health.quiet_s
        try:
            if not await self._read_pages() and context.health.verdicts_read(context.clock.monotonic()):
                context.hub.wake()
            await self._look_after_waiting()
        except SendingStoppedError:
            return  # another member asks from now on
        except SinkError as error:
            context.health.polled(error, context.clock.monotonic())
            await silence.keep(context, quiet_s)
        else:
            context.health.polled(None, context.clock.monotonic())

    async def _read_pages(self) -> bool:
        """Whether any error was about the account, or some pages are still unread."""
        is_about_account = False
        for _ in range(PAGES_A_POLL):
            page = await self._page()
            written = await self._write_down(page)
            is_about_account |= any(one.scope is Scope.ACCOUNT for one in written)
            if page.is_last:
                return is_about_account
        return True

    async def _page(self) -> SyncErrorPage:
        context = self.context
        progress = await context.state.call(lambda store: store.meta.sync_errors_progress)
        with context.permits.requests(Traffic.LIVE) as requests:
            return await self.sink.sync_errors(progress, requests)

    async def _write_down(self, page: SyncErrorPage) -> Sequence[_Written]:
        """Write one page's errors and progress, then log them and check the circuit breaker."""
        context = self.context
        now_ms = context.clock.now_ms()

        def write(store: Store) -> tuple[list[_Written], dict[str, str]]:
            written = self._write(store, page.errors, now_ms)
            store.meta.sync_errors_progress = page.progress
            return written, context.circuit_breaker.reasons(store, now_ms)

        written, reasons = await context.state.call(write)
        for name, reason in reasons.items():
            context.health.set_breaker(name, reason)
        account = Counter(one.rejection.reason for one in written if one.scope is Scope.ACCOUNT)
        if account:
            kind, _ = account.most_common(1)[0]
            advice = context.sink.traits.advice.get(kind, "")
            context.health.account_refused(f"{kind}: {advice}" if advice else kind, context.clock.monotonic())
        for one in written:
            if one.scope is Scope.ACCOUNT:
                continue
            if one.waits:
                log.info("message_waits_for_parent", object=str(one.rejection.ref), reason=one.rejection.reason)
            else:
                self._tell(one.rejection)
        if written:
            context.hub.wake()
        return written

    def _write(self, store: Store, errors: Sequence[SyncError], now_ms: int) -> list[_Written]:
        """Write down the errors that count (state thread)."""
        written = []
        for error in errors:
            ref = self._ours(error)
            if ref is None or not sent_versions.is_current(store, ref, error.changed_at):
                continue
            rejection = LateRejection(
                ref, error.changed_at, now_ms, error.kind, error.detail, is_without_record=error.is_without_record
            )
            if error.scope is Scope.ACCOUNT:
                send_again(store, rejection)
                written.append(_Written(rejection, error.scope, True))
                continue
            if error.is_without_record and is_missed(store, ref):
                # the address was left out because the receiver was taken to hold another one, and it holds none
                send_whole(store, rejection)
                continue
            waits = error.scope is Scope.PARENT and self._resends.get(ref, 0) < MAX_RESENDS
            if waits:
                let_wait(store, rejection)
            else:
                set_aside(store, rejection, now_ms)
            written.append(_Written(rejection, error.scope, waits))
        return written

    def _ours(self, error: SyncError) -> ObjectRef | None:
        """The object that an error is about; None for the object of another application in the same account."""
        try:
            ref = parse_external_id(error.external_id, self.context.namespace)
        except ValueError:
            return None
        return ref if ref.external_id(self.context.namespace) == error.external_id else None

    async def _look_after_waiting(self) -> None:
        context = self.context
        waiting = await context.state.call(lambda store: waiting_for_parent.oldest(store, WAITING_A_POLL))
        if not waiting:
            self._resends.clear()
            return
        known: dict[ObjectRef, bool] = {}
        ready, overdue = [], []
        for rejection in waiting:
            if await self._has_parents(rejection, known):
                ready.append(rejection.ref)
            elif context.clock.now_ms() - rejection.since_ms > context.settings.sink.judge_timeout_s * 1000:
                overdue.append(rejection)
        now_ms = context.clock.now_ms()

        def write(store: Store) -> None:
            render_again(store, ready)
            for rejection in overdue:
                set_aside(store, rejection, now_ms)

        await context.state.call(write)
        for ref in ready:
            self._resends[ref] = self._resends.get(ref, 0) + 1
        for rejection in overdue:
            self._tell(rejection)

    async def _has_parents(self, rejection: LateRejection, known: dict[ObjectRef, bool]) -> bool:
        context = self.context
        optional = context.sink.traits.optional_references
        for parent in rejection.parents:
            if await context.state.call(lambda store, p=parent: can_do_without(store, rejection.ref, p, optional)):  # type: ignore[misc]  # a lambda's default has no type
                continue
            if parent not in known:
                external_id = parent.external_id(context.namespace)
                with context.permits.requests(Traffic.LIVE) as requests:
                    known[parent] = await self.sink.is_known(parent.object_type, external_id, requests)
            if not known[parent]:
                return False
        return True

    def _tell(self, rejection: LateRejection) -> None:
        self.context.report.dead_lettered(rejection.reason)
        log.error("dead_letter", object=str(rejection.ref), reason=rejection.reason)
