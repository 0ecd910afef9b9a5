"""Rules that a good sender keeps with the CRM, checked as calls arrive. A broken rule is noted, never refused.

One repetition is allowed after an answer that the sender did not get: it cannot know whether the call was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import orjson

from cdc.model import ObjectType
from sinks.sandbox.crm.associations import Associations, Link
from sinks.sandbox.crm.records import Record, Records
from sinks.sandbox.crm.types import TYPES, type_named
from sinks.sandbox.crm.writes import Written
from sinks.sandbox.watch import ON_THE_WAY_MS, TIMER_MS, Violation, Watch

KEY_PROPERTY: Final = "magento_key"

Target = tuple[str, str]
"""Object type or direction, and the ids: the target of an allowed repetition."""


class CrmWatch:
    """Notes broken rules in the list that it shares with the bridge's watch."""

    def __init__(self, list_of_both: Callable[[], Watch], key_property: str = KEY_PROPERTY) -> None:
        """``list_of_both``: the bridge's watch, which is a new one after a reset."""
        self._list_of_both = list_of_both
        self.key_property = key_property
        self.reset()

    @property
    def watch(self) -> Watch:
        """The watch that counts broken rules of both APIs."""
        return self._list_of_both()

    def reset(self) -> None:
        """Forget what was seen."""
        self._forgiven: set[Target] = set()
        self._in_flight: dict[tuple[ObjectType, str], asyncio.Transport | None] = {}
        self._asked_ms = self._quiet_ms = 0

    def note(self, rule: str, kind: ObjectType | None, name: str, text: str, now_ms: int) -> None:
        """Record that a call broke ``rule`` with the object ``name`` (a key or a record id)."""
        self.watch.counts[rule] += 1
        self.watch.kept.append(Violation(rule, kind, name, text, now_ms, 0))

    # -------------------------------------------------------------------------------------------------- records

    def wrote(self, records: Records, kind: ObjectType, written: Sequence[Written], now_ms: int) -> None:
        """Check a call's writes."""
        for item in written:
            name = self.name_of(item.record)
            if item.is_new:
                self._created(records, kind, item.record, now_ms)
            elif not item.changed and not self._is_forgiven((kind.value, item.record.id)):
                self.note("write_without_change", kind, name, "every value was there already", now_ms)
            self.linked(item.links, now_ms)
            product = item.changed.get("hs_product_id", "") if kind is ObjectType.LINE_ITEM else ""
            if product and records.get(ObjectType.PRODUCT, product) is None:
                self.note("line_before_product", kind, name, f"product {product} does not exist", now_ms)

    def _created(self, records: Records, kind: ObjectType, record: Record, now_ms: int) -> None:
        key = record.properties.get(self.key_property, "")
        if not key:
            self.note("record_without_key", kind, record.id, f"made without {self.key_property}", now_ms)
        elif self.key_property not in records.unique_names(kind):
            # Without a unique property HubSpot itself lets a second record of one key happen.
            same = [r for r in records.live[kind].values() if r.properties.get(self.key_property) == key]
            if len(same) > 1:
                self.note("second_record", kind, key, "another record has the same key", now_ms)
        address = record.properties.get("email", "")
        if kind is ObjectType.CONTACT and address and records.lets_additional_emails_be_taken:
            others = (r for r in records.live[kind].values() if r is not record and address in r.additional_emails)
            if next(others, None) is not None:
                self.note("second_record", kind, key, "another contact has the same address", now_ms)

    def name_of(self, record: Record) -> str:
        """The object's name for people: its key, or its record id."""
        return record.properties.get(self.key_property, "") or record.id

    # ---------------------------------------------------------------------------------------------- associations

    def linked(self, links: Iterable[Link], now_ms: int) -> None:
        """Check a call's associations."""
        for link in links:
            if not link.is_new and not self._is_forgiven(_link_end(link)):
                pair = f"{link.from_id} and {link.to_id}"
                self.note("association_made_twice", link.direction[0], link.from_id, f"{pair} were associated", now_ms)

    def unknown_end(self, kind: ObjectType, other: ObjectType, record_id: str, now_ms: int) -> None:
        """An association names a missing record: a deal before its contact, a line before its deal ..."""
        rules = {
            frozenset({ObjectType.DEAL, ObjectType.CONTACT}): "deal_before_contact",
            frozenset({ObjectType.LINE_ITEM, ObjectType.DEAL}): "line_before_deal",
            frozenset({ObjectType.CART, ObjectType.CONTACT}): "cart_before_contact",
            frozenset({ObjectType.CART, ObjectType.DEAL}): "cart_before_deal",
            frozenset({ObjectType.LINE_ITEM, ObjectType.CART}): "line_before_cart",
        }
        rule = rules.get(frozenset({kind, other}), "association_of_unknown")
        self.note(rule, other, record_id, f"{TYPES[other].singular} {record_id} does not exist", now_ms)

    # -------------------------------------------------------------------------------------------------- calls

    def call(self, status: int, message: str, now_ms: int) -> None:
        """Check how a call ended: a good sender makes no call that is refused for its form or its number."""
        if status == 429:
            self.note("beyond_quota", None, "", message, now_ms)
        elif "At most" in message and "allowed" in message:
            self.note("over_100", None, "", message, now_ms)
        elif message.startswith(("Invalid input JSON", "Duplicate IDs")):
            self.note("malformed", None, "", message, now_ms)

    def unanswered(self, written: Iterable[Written], links: Iterable[Link]) -> None:
        """The sender did not get the answer of a finished call: it may repeat the call once."""
        for item in written:
            self._forgiven.add((item.record.kind.value, item.record.id))
            self._forgiven.update(_link_end(link) for link in item.links)
        self._forgiven.update(_link_end(link) for link in links)

    def forgive_all(self, records: Records, links: Associations) -> None:
        """The sender lost its state or was killed: it may repeat everything once."""
        for kind, held in records.live.items():
            for record in held.values():
                self._forgiven.add((kind.value, record.id))
                for other, pair in links.all_of(record):
                    self._forgiven.add((f"{kind.value}>{other.value}", f"{record.id}>{pair.to_id}"))

    def _is_forgiven(self, target: Target) -> bool:
        if target in self._forgiven:
            self._forgiven.discard(target)
            return True
        return False

    def take_off(self, names: Sequence[tuple[ObjectType, str]], way: asyncio.Transport | None, now_ms: int) -> None:
        """A call with these records or keys begins: no other call with them may be in flight on an open connection."""
        for name in names:
            other = self._in_flight.get(name)
            if other is not None and not other.is_closing():
                self.note("two_in_flight", name[0], name[1], "another call with it was not answered yet", now_ms)
            self._in_flight[name] = way

    def land(self, names: Sequence[tuple[ObjectType, str]], way: asyncio.Transport | None) -> None:
        """A call ends."""
        for name in names:
            if self._in_flight.get(name) is way:
                self._in_flight.pop(name, None)

    def asked_to_wait(self, seconds: float, now_ms: int) -> None:
        """An answer with Retry-After is sent."""
        self._asked_ms = now_ms
        self._quiet_ms = max(self._quiet_ms, now_ms + int(seconds * 1000))

    def arrival(self, now_ms: int) -> None:
        """A call arrives: it must not come before the requested time, unless it may have left before the
        answer was read.
        """
        if self._asked_ms + ON_THE_WAY_MS < now_ms < self._quiet_ms - TIMER_MS:
            text = f"{self._quiet_ms - now_ms} ms before Retry-After had passed"
            self.note("before_retry_after", None, "", text, now_ms)


def _link_end(link: Link) -> Target:
    start, end = link.direction
    return f"{start.value}>{end.value}", f"{link.from_id}>{link.to_id}"


def names_in(path: str, raw: bytes) -> list[tuple[ObjectType, str]]:
    """Records or keys in the body of a batch write; none if the body cannot be read."""
    parts = path.split("/")
    if len(parts) < 4 or parts[-2] != "batch" or parts[-1] not in ("update", "upsert", "archive"):
        return []
    kind = type_named(parts[-3])
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return []
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if kind is None or not isinstance(inputs, list):
        return []
    return [(kind, str(item["id"])) for item in inputs if isinstance(item, dict) and item.get("id")]
