"""Takes a batch out of the outbox: one call in the state thread that looks, decides, and marks the entries to send."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Final

from cdc.delivery import batch
from cdc.delivery.context import Context
from cdc.messages import history_stop, outbox, selection
from cdc.messages.outbox import Entry
from cdc.messages.selection import Limits
from cdc.model import ObjectRef, Urgency
from cdc.state.store import Store

LONG_LOOK_S: Final = 0.02
"""A look for DELETEs that takes longer (over some ten thousand pending messages) is not repeated at once."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A lane's request. ``urgencies``: the classes to look at, in this order. ``is_lane_idle``: the lane has no request
    under way. ``is_live_idle``: it has none with live messages. ``backing_off``: objects not to be tried now.
    """

    rank: int
    urgencies: tuple[Urgency, ...]
    is_lane_idle: bool
    is_live_idle: bool
    backing_off: frozenset[ObjectRef] = frozenset()
    deletes: bool = True


@dataclass(slots=True)
class Taken:
    """The answer: a batch to send at once, or when to ask again.

    ``wait_s``: infinite if only a new message can help. ``has_history``: history waits for a turn. ``promoted``:
    entries of other lanes became live. ``deletes_s``: how long it took to find what DELETEs wait for, if that was long.
    """

    entries: list[Entry] = field(default_factory=list)
    urgency: Urgency = Urgency.LIVE
    wait_s: float = math.inf
    promoted: bool = False
    has_history: bool = False
    deletes_s: float = 0.0


class _Skip:
    """The objects on the wire or in back-off."""

    def __init__(self, context: Context, backing_off: frozenset[ObjectRef]) -> None:
        self._in_flight_set = context.in_flight_set
        self._backing_off = backing_off

    def __contains__(self, ref: object) -> bool:
        return ref in self._in_flight_set or ref in self._backing_off


def take(store: Store, ask: Ask, context: Context) -> Taken:
    """The next batch of a lane, marked as tried, if a batch is to be sent now."""
    started = time.perf_counter()
    now_ms = context.clock.now_ms()
    limits = Limits(
        messages=context.max_batch,
        size=context.settings.sink.max_batch_kb * 1024,
        skip=_Skip(context, ask.backing_off) if ask.backing_off else context.in_flight_set.refs,
        referred=context.in_flight_set.referred,
        moving=context.in_flight_set.moving,
        deletes=ask.deletes,
        holds_deletes=lambda: context.circuit_breaker.holds_deletes(store, now_ms, context.in_flight_set.entries()),
        optional=context.sink.traits.optional_references,
        in_flight=context.in_flight_set.numbers(ask.rank),
    )
    taken = Taken()
    looked_for_referrers = False
    is_paused = history_stop.holds_history(store)
    for urgency in ask.urgencies:
        # ``import pause`` and ``import stop`` stop history only: live changes go on.
        if is_paused and urgency is Urgency.HISTORY:
            continue
        found = selection.ready(store, ask.rank, now_ms, urgency, limits)
        taken.promoted |= found.promoted
        looked_for_referrers |= found.looked_for_referrers
        # The look was cut short while it marked waiting entries: the next look may find ready ones behind them.
        if not found.entries:
            if found.has_more:
                taken.wait_s = 0.0
            continue
        wait_s = batch.wait_s(
            is_full=found.is_full or found.has_more,
            # History under way is no reason for a live message to wait: a backlog may take hours.
            is_lane_idle=ask.is_live_idle if urgency is Urgency.LIVE else ask.is_lane_idle,
            oldest_rendered_ms=min(entry.rendered_ms for entry in found.entries),
            now_ms=now_ms,
            max_delay_ms=context.settings.sink.max_delay_ms,
        )
        # Not full yet, and requests are in flight: later messages may share this request.
        if wait_s > 0:
            taken.wait_s = min(taken.wait_s, wait_s)
            continue
        selection.note_on_wire(store, found.entries, now_ms)
        context.in_flight_set.add(found.entries)
        taken.entries, taken.urgency = found.entries, urgency
        break
    taken.has_history = not is_paused and outbox.has_unblocked(store, ask.rank, Urgency.HISTORY)
    # Nothing wakes a lane when a delay ends, so the lane has to know the time.
    if not taken.entries and taken.wait_s > 0:
        due_ms = outbox.next_due_ms(store, ask.rank)
        if due_ms is not None:
            taken.wait_s = min(taken.wait_s, max(0.001, (due_ms - now_ms) / 1000))
    seconds = time.perf_counter() - started
    taken.deletes_s = seconds if looked_for_referrers and seconds > LONG_LOOK_S else 0.0
    return taken
