"""Two brakes that an error upstream must meet before it reaches the CRM: too many deletions, too many dead letters.

Pointing the daemon at an empty or wrong database must never empty the CRM. State in ``meta``, so that neither a
restart nor a crash loop gets around it. Use inside a store transaction.

Deletions have two limits, and the lower one counts: a number per hour, and a share of what the receiver holds. The
number protects a large shop from a slow leak; the share protects a small shop, all of whose objects are fewer than the
number. A new cause of deletions needs no brake of its own: this one looks at DELETEs, whatever made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.messages import dead_letters, ledger, outbox
from cdc.messages.outbox import Entry, HeldDelete, held_deletes
from cdc.model import Action
from cdc.settings.config import DeliverySettings
from cdc.state.store import Store

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
DEFAULT_DELETES: Final = 500
FEW_DELETES: Final = 20
"""So many deletions an hour are never a mass deletion, however little the receiver holds."""

SIZE_KEPT_MS: Final = 600_000


@dataclass(slots=True)
class CircuitBreaker:
    """The limits, and what they look at."""

    settings: DeliverySettings
    _ledger_size: int = 0
    _ledger_seen_ms: int = -SIZE_KEPT_MS
    _held_at_least: int = 0
    _held_seen_ms: int = -SIZE_KEPT_MS

    def holds_deletes(self, store: Store, now_ms: int) -> bool:
        """Whether DELETEs are to be held: the brake is set, or sets itself now.

        It sets itself when those sent within an hour and those pending together are too many, so that of a mass
        deletion nothing is sent at all. What was rendered before the last release does not count.
        """
        state = store.meta.delete_brake
        if state["held_ms"]:
            return True
        sent = sum(count for minute, count in state["sent"].items() if int(minute) * MINUTE_MS > now_ms - HOUR_MS)

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
        store.meta.delete_brake = {**state, "held_ms": now_ms}
        return True

    def _is_share(self, store: Store, count: int, sent: int, now_ms: int) -> bool:
        """Whether ``count`` deletions, ``sent`` of them accepted already, are too great a part of what was held.

        Counts in the ledger no further than the answer needs, and keeps the number for some minutes.
        """
        if count <= FEW_DELETES:
            return False
        share = self.settings.max_deletes_share
        if self._held_at_least * share > count and abs(now_ms - self._held_seen_ms) < SIZE_KEPT_MS:
            return False
        enough = 2 * int(count / share) + 1  # twice, so that one look serves while the count grows
        self._held_at_least = sent + ledger.count_held(store, enough)
        self._held_seen_ms = now_ms
        return self._held_at_least * share <= count

    def _hundredth(self, store: Store, now_ms: int) -> int:
        """One per cent of the objects ever rendered; counting millions takes a second, so the number is kept."""
        if abs(now_ms - self._ledger_seen_ms) >= SIZE_KEPT_MS:
            self._ledger_size = ledger.size(store)
            self._ledger_seen_ms = now_ms
        return self._ledger_size // 100

    def count_deletes(self, store: Store, accepted: Sequence[Entry], now_ms: int) -> None:
        """These were accepted: count the DELETEs among them."""
        deletes = [entry for entry in accepted if entry.action is Action.DELETE]
        if not deletes:
            return
        state = store.meta.delete_brake
        counted = sum(1 for entry in deletes if entry.rendered_ms > state["released_ms"])
        if counted:
            minute = str(now_ms // MINUTE_MS)
            sent = {m: n for m, n in state["sent"].items() if int(m) * MINUTE_MS > now_ms - HOUR_MS}
            sent[minute] = sent.get(minute, 0) + counted
            store.meta.delete_brake = {**state, "sent": sent}

    def reasons(self, store: Store, now_ms: int) -> dict[str, str]:
        """Brake → why it is set ("" if it is not)."""
        return {"deletes": self._deletes_reason(store), "dead_letters": self._letters_reason(store, now_ms)}

    def _deletes_reason(self, store: Store) -> str:
        if not store.meta.delete_brake["held_ms"]:
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


def held(store: Store) -> list[HeldDelete]:
    """All deletions that are held, the oldest first (``deletes list``)."""
    return outbox.list_held_deletes(store)


def released_ms(store: Store) -> int:
    """When DELETEs were last let go, in epoch milliseconds; 0: never."""
    return store.meta.delete_brake["released_ms"]


def release(store: Store, now_ms: int) -> int:
    """Let all DELETEs go that are pending now (``deletes release``); the count begins anew. Returns how many."""
    count = held_deletes(store)
    store.meta.delete_brake = {"held_ms": 0, "released_ms": now_ms, "sent": {}}
    outbox.release_deletes(store)
    return count
