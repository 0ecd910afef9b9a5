"""The circuit breaker stops an error in the shop or in the settings before it reaches the CRM.

It has two halves. ``deletes`` holds DELETEs when there are too many of them: a daemon that reads an empty or wrong
database must never empty the CRM. ``dead_letters`` stops all sending when too many messages became dead letters.

The state of ``deletes`` is kept in the state file, so a restart or a crash loop does not release it. Call every
function inside a store transaction.

Deletions have two limits, and the lower limit counts: a number per hour, and a share of what the receiver holds. The
number protects a large shop from a slow leak. The share protects a small shop, which has fewer objects than the number.
A new cause of deletions needs no limit of its own: the circuit breaker counts DELETEs, whatever caused them.

Carts are left out, with their lines and the contacts that only carts made (``is_counted``). Every order deletes the
cart that it was made of, and the shop's cron deletes all old carts of a day in one go: counted, they would trip the
circuit breaker in a shop where nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.messages import dead_letters, ledger, outbox, sent_versions
from cdc.messages.held_deletes import HeldDelete, list_held_deletes
from cdc.messages.outbox import Entry, held_deletes
from cdc.model import Action, ObjectRef
from cdc.settings.config import DeliverySettings
from cdc.state.store import Store

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
DEFAULT_DELETES: Final = 500
FEW_DELETES: Final = 20
"""This many deletions an hour are never a mass deletion, however little the receiver holds."""

SIZE_KEPT_MS: Final = 600_000


@dataclass(slots=True)
class CircuitBreaker:
    """The two limits, and the counts that they are compared with."""

    settings: DeliverySettings
    _ledger_size: int = 0
    _ledger_seen_ms: int = -SIZE_KEPT_MS
    _held_at_least: int = 0
    _held_seen_ms: int = -SIZE_KEPT_MS

    def holds_deletes(self, store: Store, now_ms: int, on_wire: Iterable[Entry] = ()) -> bool:
        """Whether DELETEs are to be held: the circuit breaker has tripped, or trips now.

        It trips when the DELETEs that were sent within an hour and the pending DELETEs are together too many. So of a
        mass deletion nothing is sent at all. DELETEs that were rendered before the last release do not count.

        ``on_wire``: the messages in flight. A DELETE among them whose object came back is pending no more, and may
        still land.
        """
        state = store.meta.delete_breaker
        if state["held_ms"]:
            return True
        sent = sum(count for minute, count in state["sent"].items() if int(minute) * MINUTE_MS > now_ms - HOUR_MS)
        sent += sum(1 for entry in on_wire if _is_replaced_delete(store, entry, state["released_ms"]))

        def deletes(at_most: int) -> int:
            return sent + outbox.deletes_rendered_since(store, state["released_ms"], at_most + 1)

        limit = self.settings.max_deletes_per_hour
        most = DEFAULT_DELETES if limit is None else limit
        count = deletes(most)
        if count > most and limit is None:  # the hundredth is looked up only where it can matter
            most = max(most, self._hundredth(store, now_ms))
            count = deletes(most)
        if count <= most and not self._is_share(store, count, sent, now_ms):
            return False
        store.meta.delete_breaker = {**state, "held_ms": now_ms}
        return True

    def _is_share(self, store: Store, count: int, sent: int, now_ms: int) -> bool:
        """Whether ``count`` deletions, ``sent`` of them accepted already, are too large a share of what was held.

        The ledger is counted no further than the answer needs, and the number is kept for ``SIZE_KEPT_MS``.
        """
        if count <= FEW_DELETES:
            return False
        share = self.settings.max_deletes_share
        if self._held_at_least * share > count and abs(now_ms - self._held_seen_ms) < SIZE_KEPT_MS:
            return False
        enough = 2 * int(count / share) + 1  # twice, so that one look serves while the count grows
        self._held_at_least = sent + sent_versions.count_held(store, enough)
        self._held_seen_ms = now_ms
        return self._held_at_least * share <= count

    def _hundredth(self, store: Store, now_ms: int) -> int:
        """One per cent of the objects ever rendered; counting millions takes a second, so the number is kept."""
        if abs(now_ms - self._ledger_seen_ms) >= SIZE_KEPT_MS:
            self._ledger_size = sent_versions.size(store)
            self._ledger_seen_ms = now_ms
        return self._ledger_size // 100

    def count_deletes(self, store: Store, accepted: Sequence[Entry], now_ms: int) -> None:
        """Count the DELETEs among the accepted entries."""
        deletes = [entry for entry in accepted if entry.action is Action.DELETE and entry.is_counted]
        if not deletes:
            return
        state = store.meta.delete_breaker
        counted = sum(1 for entry in deletes if entry.rendered_ms > state["released_ms"])
        if counted:
            minute = str(now_ms // MINUTE_MS)
            sent = {m: n for m, n in state["sent"].items() if int(m) * MINUTE_MS > now_ms - HOUR_MS}
            sent[minute] = sent.get(minute, 0) + counted
            store.meta.delete_breaker = {**state, "sent": sent}

    def end_when_none_is_held(self, store: Store) -> None:
        """End the hold on deletions once no deletion waits for a release: their objects came back.

        Without this, a mended filter would leave the circuit breaker holding every later single deletion. What was sent
        within the hour stays counted, unlike after ``release``: nobody has said that those deletions were right.
        """
        state = store.meta.delete_breaker
        # A DELETE on the wire is still in the outbox. If its object came back, ``holds_deletes`` counts the DELETE.
        if state["held_ms"] and not outbox.has_unreleased_deletes(store):
            store.meta.delete_breaker = {**state, "held_ms": 0}

    def reasons(self, store: Store, now_ms: int) -> dict[str, str]:
        """``deletes`` and ``dead_letters`` → why it has tripped; "" if it has not."""
        return {"deletes": self._deletes_reason(store), "dead_letters": self._letters_reason(store, now_ms)}

    def _deletes_reason(self, store: Store) -> str:
        if not store.meta.delete_breaker["held_ms"]:
            return ""
        share = f"{self.settings.max_deletes_share:.0%}"
        return (
            f"{held_deletes(store)} deletions are held: within an hour they are more than"
            f" delivery.max_deletes_per_hour, or over {FEW_DELETES} and at least delivery.max_deletes_share ({share})"
            " of what HubSpot holds; look at `magento-cdc deletes list`; if the deletions are right, release them with"
            " `magento-cdc deletes release`; else mend the cause (a filter, the wrong database), and the held deletions"
            " disappear by themselves"
        )

    def _letters_reason(self, store: Store, now_ms: int) -> str:
        limit = self.settings.max_dead_letters_per_hour
        if dead_letters.count_since(store, now_ms - HOUR_MS, limit + 1) <= limit:
            return ""
        return (
            f"more than {limit} messages became dead letters within an hour, so nothing is sent; look at `magento-cdc"
            " deadletter list`, mend the cause, then retry or drop them"
        )


def _is_replaced_delete(store: Store, entry: Entry, released_ms: int) -> bool:
    """Whether this is a DELETE without an outcome whose place in the outbox another message took."""
    if entry.action is not Action.DELETE or entry.rendered_ms <= released_ms or not entry.is_counted:
        return False
    # Once it is settled, ``count_deletes`` has counted it.
    held = ledger.Ledger(store).get(entry.ref)
    return held is not None and held.delete_on_wire and outbox.pending(store, entry.ref, "action") != ("DELETE",)


def held(store: Store) -> list[HeldDelete]:
    """All deletions that are held, the oldest first (``deletes list``)."""
    return list_held_deletes(store)


def let_go_ms(store: Store) -> int:
    """When a person last released DELETEs, all or some, in epoch milliseconds; 0: never."""
    return store.meta.delete_breaker["let_go_ms"]


def release(store: Store, now_ms: int, refs: Sequence[ObjectRef] | None = None) -> int:
    """Release DELETEs that are held (``deletes release``): all, or those of ``refs``. Returns how many.

    After a release of all, the circuit breaker counts from 0 again. After a release of some, the circuit breaker goes
    on holding the rest, until none is left.
    """
    count = outbox.release_deletes(store, refs)
    if refs is None or (count and not outbox.has_unreleased_deletes(store)):
        store.meta.delete_breaker = {"held_ms": 0, "released_ms": now_ms, "let_go_ms": now_ms, "sent": {}}
    elif count:
        store.meta.delete_breaker = {**store.meta.delete_breaker, "let_go_ms": now_ms}
    return count
