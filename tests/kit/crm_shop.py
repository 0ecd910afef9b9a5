"""A small shop of invented people, and the least delivery that keeps a CRM account in step with it.

People share addresses as Magento lets them: accounts of several websites, guests beside accounts. As in the mapper, one
contact stands for an address: the customer with the lowest id, else the guest; deals hang on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from cdc.errors import SinkError
from cdc.model import Action, Message, ObjectType, Outcome, Receipt, Reference
from tests.kit.crm import Bench, contact, deal, deletion

CONTACT, DEAL = ObjectType.CONTACT, ObjectType.DEAL
TRIES = 30


def guest_key(address: str) -> str:
    """A guest is its address."""
    return f"magento-guest-{address.encode().hex()[:24]:0<24}"


@dataclass
class Known:
    """What delivery knows of one object."""

    record_id: str = ""
    was_accepted: bool = False
    linked: tuple[str, ...] = ()
    accepted: object = None
    may_repeat: bool = False
    changed_at: int = 1_700_000_000_000


@dataclass
class SmallShop:
    """``customers``: id → address. ``guests``: addresses of guests with orders. ``orders``: number → customer id, or a
    guest's address."""

    customers: dict[int, str] = field(default_factory=dict)
    guests: set[str] = field(default_factory=set)
    orders: dict[int, int | str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

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


@dataclass
class SmallDelivery:
    """Sends what differs: contacts, then deals, then deletions; what was not accepted comes again."""

    crm: Bench
    shop: SmallShop
    known: dict[str, Known] = field(default_factory=dict)

    async def drain(self) -> None:
        """Send until nothing is pending. AssertionError if that takes too many tries."""
        for _ in range(TRIES):
            sent = [await self._send(list(wanted)) for wanted in (self._contacts(), self._deals(), self._deletions())]
            if not any(sent):
                return
        raise AssertionError("delivery never came to rest")

    def lose_state(self) -> None:
        """As after a lost folder: nothing is known any more."""
        self.known.clear()

    def _contacts(self) -> Iterator[tuple[Message, object]]:
        for key, address in self.shop.contacts().items():
            value = (address, self.shop.names.get(key, "Ann"))
            if self._of(key).accepted != value:
                yield self._message(contact(key, address, firstname=value[1])), value

    def _deals(self) -> Iterator[tuple[Message, object]]:
        for number in self.shop.orders:
            buyer = self.shop.buyer(number)
            key = f"magento-order-{number}"
            if self._of(key).accepted != (buyer,) and (not buyer or self._of(buyer).accepted):
                references = (Reference(CONTACT, buyer, self._of(buyer).record_id),) if buyer else ()
                yield self._message(replace(deal(number), references=references)), (buyer,)

    def _deletions(self) -> Iterator[tuple[Message, object]]:
        living = self.shop.contacts()
        for key, held in list(self.known.items()):
            if key.startswith(("magento-customer", "magento-guest")) and key not in living and held.accepted:
                pending = any(held.linked == (key,) and self.shop.buyer(int(name.rpartition("-")[2])) != key
                              for name, held in self.known.items() if name.startswith("magento-order"))  # fmt: skip
                if not pending:
                    yield self._message(deletion(contact(key, "gone@example.com"))), None

    def _of(self, key: str) -> Known:
        return self.known.setdefault(key, Known())

    def _message(self, plain: Message) -> Message:
        held = self._of(plain.external_id)
        held.changed_at += 1
        linked = tuple(Reference(CONTACT, key, self._of(key).record_id) for key in held.linked)
        return replace(
            plain,
            changed_at=held.changed_at,
            record_id=held.record_id,
            was_accepted=held.was_accepted,
            linked=linked,
            may_repeat=held.may_repeat,
        )

    async def _send(self, wanted: list[tuple[Message, object]]) -> int:
        if not wanted:
            return 0
        messages = [message for message, _ in wanted]
        try:
            answer = await self.crm.sink.send(messages, self.crm.requests)
        except SinkError:
            for message in messages:
                self._of(message.external_id).may_repeat = True
            return len(wanted)
        for (message, value), receipt in zip(wanted, answer.receipts, strict=True):
            self._settle(message, value, receipt)
        return len(wanted)

    def _settle(self, message: Message, value: object, receipt: Receipt) -> None:
        held = self._of(message.external_id)
        if receipt.record_id or receipt.is_record_gone:
            held.record_id = receipt.record_id
        if receipt.outcome is not Outcome.ACCEPTED:
            assert receipt.outcome is not Outcome.REJECTED, receipt
            held.may_repeat = True
            return
        held.may_repeat, held.was_accepted, held.accepted = False, True, value
        if message.action is Action.UPSERT:
            held.linked = tuple(reference.external_id for reference in message.references)
