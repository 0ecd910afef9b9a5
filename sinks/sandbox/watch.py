"""Rules that a good client keeps, looked at as messages arrive. Breaking one is noted, never refused.

Tests ask for the list: a message that HubSpot would take silently and get wrong must not be sent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.model import ObjectType
from sinks.sandbox.wire import SECONDS_BELOW, Accepted, key_in

MAX_KEPT: Final = 1000

LastAccepted = Callable[[ObjectType, str], Accepted | None]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. ``order``: the message's place among all that were accepted (0: it was refused)."""

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
        """Look at one request as a whole."""
        seen: set[str] = set()
        for message in messages:
            if message.external_id in seen:
                self.note("twice_in_batch", message, "two messages of one object in one request")
            seen.add(message.external_id)

    def note_email(self, message: Accepted) -> None:
        """Record that a known contact was sent another email: the bridge does not change it, or makes a second one."""
        self.note("email_changed", message, "the contact is known by another email")

    def arrival(self, message: Accepted, last: LastAccepted, links: Mapping[str, ObjectType]) -> None:
        """Look at one message before it is taken. ``last``: the newest accepted message of an object."""
        if 0 <= message.changed_at < SECONDS_BELOW:
            self.note("seconds", message, f"changed_at {message.changed_at} looks like seconds")
        before = last(message.object_type, message.key)
        if before is not None and message.changed_at <= before.changed_at and not message.says_the_same(before):
            self.note("changed_at_not_rising", message, f"{message.changed_at} after {before.changed_at}")
        if message.action != "UPSERT":
            return
        for other, external_id in message.refers_to(links):
            parent = last(other, key_in(message.store_id, external_id))
            if parent is None or parent.action != "UPSERT":
                rule = f"{_WORD[message.object_type]}_before_{_WORD[other]}"
                self.note(rule, message, f"{external_id} was not accepted before it")


_WORD: Final[Mapping[ObjectType, str]] = {
    ObjectType.CONTACT: "contact",
    ObjectType.PRODUCT: "product",
    ObjectType.DEAL: "deal",
    ObjectType.LINE_ITEM: "line",
}
