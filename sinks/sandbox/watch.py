"""Rules that a good client keeps, checked as messages arrive. A broken rule is noted, never refused.

Tests read the list: a message that HubSpot would accept silently and get wrong must not be sent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.model import ObjectType
from sinks.sandbox.wire import SECONDS_BELOW, Accepted, key_in

MAX_KEPT: Final = 1000

ON_THE_WAY_MS: Final = 500
"""A request that arrives so soon after an answer with Retry-After may have left before that answer was read."""

TIMER_MS: Final = 20
"""How early a timer may fire."""

Key = tuple[ObjectType, str]
LastAccepted = Callable[[ObjectType, str], Accepted | None]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. ``order``: the message's number among all accepted messages (0: it was refused)."""

    rule: str
    object_type: ObjectType | None
    external_id: str
    text: str
    at_ms: int
    order: int


class Watch:
    """Keeps the newest violations and counts all of them by rule."""

    def __init__(self) -> None:
        self.kept: deque[Violation] = deque(maxlen=MAX_KEPT)
        self.counts: Counter[str] = Counter()
        self._refers: dict[Key, tuple[Key, ...]] = {}
        self._referred: dict[Key, dict[Key, None]] = {}
        self._asked_ms = self._quiet_ms = 0

    def note(self, rule: str, message: Accepted, text: str) -> None:
        """Record that ``message`` broke ``rule``."""
        self.counts[rule] += 1
        self.kept.append(
            Violation(rule, message.object_type, message.external_id, text, message.arrived_ms, message.order)
        )

    def note_in_flight(self, message: Accepted) -> None:
        """Record that an object's message arrived while another one of it was not answered yet."""
        self.note("two_in_flight", message, "another message of it was not answered yet")

    def note_malformed(self, text: str, now_ms: int) -> None:
        """Record a request that was refused for its form: a good sender makes none."""
        self.counts["malformed"] += 1
        self.kept.append(Violation("malformed", None, "", text, now_ms, 0))

    def note_oversized(self, object_type: ObjectType | None, count: int, now_ms: int) -> None:
        """Record a request of more messages than are taken."""
        self.counts["over_200"] += 1
        self.kept.append(Violation("over_200", object_type, "", f"{count} messages in one request", now_ms, 0))

    def batch(self, messages: Sequence[Accepted]) -> None:
        """Check one request as a whole."""
        seen: set[str] = set()
        for message in messages:
            if message.external_id in seen:
                self.note("twice_in_batch", message, "two messages of one object in one request")
            seen.add(message.external_id)

    def note_email(self, message: Accepted) -> None:
        """Record that a known contact was sent another email: the bridge does not change it, or makes a
        second contact.
        """
        self.note("email_changed", message, "the contact is known by another email")

    def arrival(self, message: Accepted, last: LastAccepted, links: Mapping[str, ObjectType]) -> None:
        """Check one message before it is accepted. ``last``: the newest accepted message of an object."""
        if 0 <= message.changed_at < SECONDS_BELOW:
            self.note("seconds", message, f"changed_at {message.changed_at} looks like seconds")
        before = last(message.object_type, message.key)
        if before is not None and message.changed_at <= before.changed_at and not message.says_the_same(before):
            self.note("changed_at_not_rising", message, f"{message.changed_at} after {before.changed_at}")
        if message.action != "UPSERT":
            self._deletion(message, last)
            self._now_refers(message, ())
            return
        named = [(other, key_in(message.store_id, name), name) for other, name in message.refers_to(links)]
        for other, key, external_id in named:
            parent = last(other, key)
            if parent is None or parent.action != "UPSERT":
                rule = f"{_WORD[message.object_type]}_before_{_WORD[other]}"
                self.note(rule, message, f"{external_id} was not accepted before it")
        self._now_refers(message, tuple((other, key) for other, key, _ in named))

    def _deletion(self, message: Accepted, last: LastAccepted) -> None:
        """Check which objects still refer to the deleted object, by their newest message, unless that was refused."""
        for other, key in self._referred.get((message.object_type, message.key), ()):
            child = last(other, key)
            if child is not None and child.verdict in ("", "ok"):
                self.note("deleted_under_others", message, f"{child.external_id} still refers to it")
                return

    def _now_refers(self, message: Accepted, targets: tuple[Key, ...]) -> None:
        me = (message.object_type, message.key)
        for target in self._refers.pop(me, ()):
            self._referred[target].pop(me, None)
        if targets:
            self._refers[me] = targets
        for target in targets:
            self._referred.setdefault(target, {})[me] = None

    def asked_to_wait(self, seconds: float, now_ms: int) -> None:
        """An answer with Retry-After is sent."""
        self._asked_ms = now_ms
        self._quiet_ms = max(self._quiet_ms, now_ms + int(seconds * 1000))

    def request(self, now_ms: int) -> None:
        """A request arrives: it must not come before the requested time, unless it may have left before the answer was
        read.
        """
        if self._asked_ms + ON_THE_WAY_MS < now_ms < self._quiet_ms - TIMER_MS:
            self.counts["before_retry_after"] += 1
            text = f"{self._quiet_ms - now_ms} ms before Retry-After had passed"
            self.kept.append(Violation("before_retry_after", None, "", text, now_ms, 0))


_WORD: Final[Mapping[ObjectType, str]] = {
    ObjectType.CONTACT: "contact",
    ObjectType.PRODUCT: "product",
    ObjectType.DEAL: "deal",
    ObjectType.LINE_ITEM: "line",
}
