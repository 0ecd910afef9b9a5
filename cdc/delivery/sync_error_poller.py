"""Verdicts that come after acceptance: the bridge takes whole batches and says later what was wrong with a message.

Polls ``sync_errors`` of the sink. A verdict counts only for the version last sent. A message refused because what it
refers to was not known yet waits (durably) and is rendered afresh once that is known; one refused for the account's
sake is sent again when that works; any other becomes a dead letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from cdc.delivery.context import Context
from cdc.delivery.permits import wait_for_slot
from cdc.delivery.quota import Traffic
from cdc.errors import SinkError
from cdc.messages.contact_emails import is_missed
from cdc.messages.late_rejections import (
    Orphan,
    can_do_without,
    is_current,
    let_wait,
    orphans,
    render_again,
    send_again,
    send_whole,
    set_aside,
)
from cdc.model import ObjectRef, SyncError, parse_external_id
from cdc.state.store import Store
from cdc.sync_errors import ACCOUNT_WIDE, ADVICE

log = structlog.get_logger(__name__)

ASSOCIATION_KINDS: Final = frozenset({"INVALID_ASSOCIATION_PROPERTY", "MISSING_ASSOCIATED_OBJECT"})
"""HubSpot's error types for a reference to something that it does not know (yet)."""

OVERLAP_MS: Final = 60_000
"""How far each poll goes back behind the last verdict seen: its receipt may not have been written down yet."""

ORPHANS_A_POLL: Final = 50
"""Each may cost two requests; at a poll every 15 s this stays under a tenth of the smallest account's quota."""

MAX_RESENDS: Final = 3
"""How often one object is sent again for an unknown reference although that is known: then something else is wrong."""


@dataclass(slots=True)
class SyncErrorPoller:
    """One sink's verdicts. ``poll`` raises nothing of the sink's; it is called again after every ``judge_poll_s``."""

    context: Context
    _resends: dict[ObjectRef, int] = field(default_factory=dict)

    async def poll(self) -> None:
        """Ask for verdicts once, and look whether anybody's parents have come."""
        context = self.context
        try:
            if not await self._read_verdicts() and context.health.judged(context.clock.monotonic()):
                context.wake_all()
            await self._look_after_orphans()
        except SinkError as error:
            context.health.polled(error)
        else:
            context.health.polled(None)

    async def _read_verdicts(self) -> bool:
        """Whether any of them was about the account."""
        context = self.context
        since_ms = await context.state.call(lambda store: store.meta.sync_errors_until_ms)
        permit = await wait_for_slot(context, Traffic.LIVE, lambda: True)
        assert permit is not None
        try:
            found = await context.sink.sync_errors(max(0, since_ms - OVERLAP_MS))
        finally:
            context.window.finish(permit, context.clock.monotonic())
        if not found:
            return False
        now_ms = context.clock.now_ms()
        refused = await context.state.call(lambda store: self._write(store, found, now_ms))
        account = Counter(orphan.reason for orphan, _ in refused if orphan.reason in ACCOUNT_WIDE)
        if account:
            kind, _ = account.most_common(1)[0]
            context.health.account_refused(f"{kind}: {ADVICE[kind]}", context.clock.monotonic())
        for orphan, is_waiting in refused:
            if orphan.reason in ACCOUNT_WIDE:
                continue
            if is_waiting:
                log.info("message_waits_for_parent", object=_name(orphan.ref), reason=orphan.reason)
            else:
                self._tell(orphan)
        if refused:
            context.wake_all()
        return bool(account)

    def _write(self, store: Store, found: Sequence[SyncError], now_ms: int) -> list[tuple[Orphan, bool]]:
        """Write down the verdicts that count; each with whether it waits (or else is a dead letter)."""
        written = []
        for sync_error in found:
            try:
                ref = parse_external_id(sync_error.external_id, self.context.namespace)
            except ValueError:
                continue  # somebody else's object in the same account
            if ref.external_id(self.context.namespace) != sync_error.external_id:
                continue
            if not is_current(store, ref, sync_error.changed_at):
                continue
            orphan = Orphan(ref, sync_error.changed_at, now_ms, sync_error.kind, sync_error.detail)
            if sync_error.kind in ACCOUNT_WIDE:
                send_again(store, orphan)
                written.append((orphan, True))
                continue
            if is_missed(store, ref, sync_error.kind):
                send_whole(store, orphan)
                continue
            waits = sync_error.kind in ASSOCIATION_KINDS and self._resends.get(ref, 0) < MAX_RESENDS
            if waits:
                let_wait(store, orphan)
            else:
                set_aside(store, orphan, now_ms)
            written.append((orphan, waits))
        meta = store.meta
        meta.sync_errors_until_ms = max(meta.sync_errors_until_ms, *(sync_error.errored_at for sync_error in found))
        return written

    async def _look_after_orphans(self) -> None:
        context = self.context
        waiting = await context.state.call(lambda store: orphans(store, ORPHANS_A_POLL))
        if not waiting:
            self._resends.clear()
            return
        known: dict[ObjectRef, bool] = {}
        ready, overdue = [], []
        for orphan in waiting:
            if await self._has_parents(orphan, known):
                ready.append(orphan.ref)
            elif context.clock.now_ms() - orphan.since_ms > context.settings.sink.judge_timeout_s * 1000:
                overdue.append(orphan)
        now_ms = context.clock.now_ms()

        def write(store: Store) -> None:
            render_again(store, ready)
            for orphan in overdue:
                set_aside(store, orphan, now_ms)

        await context.state.call(write)
        for ref in ready:
            self._resends[ref] = self._resends.get(ref, 0) + 1
        for orphan in overdue:
            self._tell(orphan)

    async def _has_parents(self, orphan: Orphan, known: dict[ObjectRef, bool]) -> bool:
        context = self.context
        for parent in orphan.parents:
            if await context.state.call(lambda store, p=parent: can_do_without(store, orphan.ref, p)):  # type: ignore[misc]  # a lambda's default has no type
                continue
            if parent not in known:
                permit = await wait_for_slot(context, Traffic.LIVE, lambda: True)
                assert permit is not None
                try:
                    external_id = parent.external_id(context.namespace)
                    known[parent] = await context.sink.is_known(parent.object_type, external_id)
                finally:
                    context.window.finish(permit, context.clock.monotonic())
            if not known[parent]:
                return False
        return True

    def _tell(self, orphan: Orphan) -> None:
        self.context.tally.dead_letters += 1
        self.context.observer.dead_lettered(orphan.reason)
        log.error("dead_letter", object=_name(orphan.ref), reason=orphan.reason)


def _name(ref: ObjectRef) -> str:
    return f"{ref.kind.value}-{ref.id}"
