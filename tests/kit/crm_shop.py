"""A small shop of invented people, and the real state between it and a CRM account.

People share addresses as Magento lets them: accounts of several websites, guests beside accounts. As in the mapper, one
contact stands for an address: the customer with the lowest id, else the guest; deals hang on it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdc.delivery.batch_sender import message_of
from cdc.errors import SinkError
from cdc.messages import relinks, selection, unconfirmed
from cdc.messages.contact_emails import EmailRule
from cdc.messages.outbox import Entry
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits
from cdc.model import ObjectRef, Outcome, Receipt, Rendered, Urgency, parse_external_id
from tests.kit.crm import Bench, contact, deal
from tests.kit.delivery_harness import Books, order
from tests.kit.toy import FixedClock

Step = tuple[object, ...]
"""What is done next: a name and its arguments."""

TRIES = 60
RANKS = (0, 1, 2)
"""Contacts, then deals, then HubSpot's carts."""

LATER_MS = 4_000_000
"""Over the longest rest of a message, so that each round finds everything due."""


def guest_key(address: str) -> str:
    """A guest is its address."""
    return f"magento-guest-{address.encode().hex()[:24]:0<24}"


@dataclass
class SmallShop:
    """``customers``: id → address. ``guests``: addresses of guests with orders. ``orders``: number → customer id, or a
    guest's address."""

    customers: dict[int, str] = field(default_factory=dict)
    guests: set[str] = field(default_factory=set)
    orders: dict[int, int | str] = field(default_factory=dict)
    amounts: dict[int, int] = field(default_factory=dict)

    def stands_for(self, address: str) -> str:
        """The key of the contact that stands for an address, "" if nobody has it."""
        ids = [number for number, held in self.customers.items() if held == address]
        if ids:
            return f"magento-customer-{min(ids)}"
        return guest_key(address) if address in self.guests else ""

    def contacts(self) -> dict[str, str]:
        """Key → address of every contact."""
        addresses = {*self.customers.values(), *self.guests}
        return {self.stands_for(address): address for address in sorted(addresses)}

    def buyer(self, number: int) -> str:
        """The key of the contact that an order hangs on, "" if its customer is gone."""
        who = self.orders[number]
        address = self.customers.get(who, "") if isinstance(who, int) else who
        return self.stands_for(address) if address else ""

    def objects(self) -> Iterator[tuple[ObjectRef, Rendered]]:
        """Every object as the mapper would render it, contacts first."""
        for key, address in self.contacts().items():
            made = contact(key, address)
            yield parse_external_id(key, "magento"), Rendered(made.properties, address=address)
        for number in self.orders:
            buyer = self.buyer(number)
            refs = (parse_external_id(buyer, "magento"),) if buyer else ()
            made = deal(number, amount=str(self.amounts.get(number, 1)))
            yield order(number), Rendered(made.properties, refs)


class SmallDelivery:
    """The real renderer, outbox, ledger and receipts, with the sending itself done step by step.

    Requests can be left unsettled (``send`` and ``settle``), or run at the same time, as lanes do.
    """

    def __init__(self, crm: Bench, shop: SmallShop, folder: Path) -> None:
        self.crm = crm
        self.shop = shop
        self.clock = FixedClock()
        self._folder = folder
        self._names = itertools.count()
        self._sent: list[Settlement] = []
        self.books = self._make()

    def _make(self) -> Books:
        made = Books(self._folder / str(next(self._names)), self.clock)
        made.renderer.emails = EmailRule(address="email")
        return made

    def lose_state(self) -> None:
        """As after a lost folder: nothing is known any more, and answers that were not settled are lost too."""
        self.books.store.close()
        self._sent.clear()
        self.books = self._make()

    def close(self) -> None:
        """Close the state."""
        self.books.store.close()

    def render(self) -> None:
        """What the shop did arrives in the state."""
        self.clock.ms += LATER_MS
        now = dict(self.shop.objects())
        before = dict(self.books.shop)
        for ref, rendered in now.items():
            if before.get(ref) != rendered:
                self.books.shop[ref] = rendered
                self.books.render(ref)
        for ref in before.keys() - now.keys():
            self.books.remove(ref)
        self.books.work()

    @property
    def _in_flight(self) -> set[ObjectRef]:
        return {one.entry.ref for one in self._sent}

    async def send(self, rank: int, *, at_once: bool = False) -> None:
        """Send what is ready of a rank; the answers wait for ``settle``. ``at_once``: a call each, side by side."""
        taken = self._take(rank)
        batches = [[entry] for entry in taken] if at_once else [taken]
        await asyncio.gather(*[self._call(batch) for batch in batches if batch])

    def _take(self, rank: int) -> list[Entry]:
        referred = {other for one in self._sent for other in (*one.entry.refs, *one.entry.linked)}
        limits = Limits(
            messages=100,
            size=1 << 20,
            skip=self._in_flight,
            referred=referred,
            moving={one.entry.ref for one in self._sent if one.entry.may_move},
            optional=self.crm.sink.traits.optional_references,
        )
        for urgency in Urgency:
            found = self.books.run(lambda store: selection.ready(store, rank, self.clock.ms, urgency, limits))  # noqa: B023  # runs now
            if found.entries:
                self.books.run(lambda store: selection.note_on_wire(store, found.entries, self.clock.ms))  # noqa: B023  # runs now
                return found.entries
        return []

    async def _call(self, entries: Sequence[Entry]) -> None:
        started = [Settlement(entry, Outcome.RETRY) for entry in entries]
        self._sent += started
        try:
            answer = await self.crm.sink.send([message_of(entry, "magento") for entry in entries], self.crm.requests)
        except SinkError:
            self.books.run(lambda store: unconfirmed.note(store, [entry.ref for entry in entries]))
            return
        ended = [_settlement(entry, receipt) for entry, receipt in zip(entries, answer.receipts, strict=True)]
        self._sent = [one for one in self._sent if one not in started] + ended

    def settle(self) -> None:
        """The answers so far are written down."""
        sent, self._sent = self._sent, []
        self.books.run(lambda store: settle(store, sent, self.clock.ms, unknown_resend_ms=1))

    def relink(self) -> bool:
        """One slice of looking for what refers to contacts that have another record; False without any to look for."""
        return self.books.run(relinks.work)

    async def play(self, steps: Sequence[Step], do: Callable[[Step], Awaitable[None]]) -> None:
        """Do the steps, then let HubSpot behave and delivery come to rest. The state is closed in any case."""
        try:
            for step in steps:
                await do(step)
            self.crm.crm.faults.clear()
            await self.drain()
        finally:
            self.close()

    async def drain(self, *, at_once: bool = False) -> None:
        """Send until nothing is pending. AssertionError if that takes too many tries."""
        self.settle()
        for _ in range(TRIES):
            self.render()
            for rank in RANKS:
                await self.send(rank, at_once=at_once)
                self.settle()
            self.books.run(lambda store: unconfirmed.send_again(store, self.clock.ms))
            if not self.relink() and not self.books.work() and not self.books.rows("SELECT 1 FROM outbox"):
                return
        raise AssertionError("delivery never came to rest")


def _settlement(entry: Entry, receipt: Receipt) -> Settlement:
    """As delivery makes it. AssertionError for a refusal: nothing that the shop does may be refused for good."""
    assert receipt.outcome is not Outcome.REJECTED, receipt
    return Settlement(
        entry,
        receipt.outcome,
        receipt.reason,
        receipt.detail,
        retry_at_ms=1,
        record_id=receipt.record_id,
        is_record_gone=receipt.is_record_gone,
        gone=tuple(ref for ref in entry.refs if ref.external_id("magento") in receipt.gone),
    )
