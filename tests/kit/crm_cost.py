"""The four kinds of work whose cost is bounded, as full batches, and the calls that each of them took."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from cdc.model import Message, ObjectType, Receipt, Reference
from tests.kit.crm import Bench, again, contact, deal, line, product, ref

CONTACT, PRODUCT, DEAL = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL
OBJECTS: Final = 1000


class Cost(NamedTuple):
    """Calls that a kind of work needs at least, and that it may take."""

    minimum: int
    allowed: int
    work: Callable[[Bench], Awaitable[list[str]]]


async def send_all(crm: Bench, messages: Sequence[Message]) -> list[Receipt]:
    """The messages in full batches, all of them accepted."""
    found = []
    for at in range(0, len(messages), 100):
        found += await crm.accept(*messages[at : at + 100])
    return found


async def new_orders(crm: Bench) -> list[str]:
    """Orders of as many new guests, with three lines of a known product each."""
    [goods] = await crm.accept(product(1))
    crm.calls()
    guests = [contact(f"magento-guest-{n:024x}", f"guest{n}@example.com") for n in range(OBJECTS)]
    buyers = await send_all(crm, guests)
    await _orders(crm, buyers, ref(goods, PRODUCT))
    return crm.calls()


async def _orders(crm: Bench, buyers: Sequence[Receipt], goods: Reference) -> None:
    deals = await send_all(crm, [deal(n, ref(buyer, CONTACT)) for n, buyer in enumerate(buyers)])
    lines = [line(3 * n + k, ref(one, DEAL), goods) for n, one in enumerate(deals) for k in range(3)]
    await send_all(crm, lines)


async def orders_of_known_contacts(crm: Bench) -> list[str]:
    """The same where HubSpot has a contact with each address already."""
    for n in range(OBJECTS):
        crm.crm.people.create(CONTACT, {"email": f"guest{n}@example.com", "jobtitle": "Baker"})
    return await new_orders(crm)


async def order_updates(crm: Bench) -> list[str]:
    """Orders that change without a new link."""
    [buyer] = await crm.accept(contact(1))
    sent = [deal(n, ref(buyer, CONTACT)) for n in range(OBJECTS)]
    receipts = await send_all(crm, sent)
    crm.calls()
    await send_all(crm, [again(one, got, stage="shipped") for one, got in zip(sent, receipts, strict=True)])
    return crm.calls()


async def field_changes(crm: Bench) -> list[str]:
    """Customers that change a field."""
    sent = [contact(n) for n in range(OBJECTS)]
    receipts = await send_all(crm, sent)
    crm.calls()
    await send_all(crm, [again(one, got, city="Brno") for one, got in zip(sent, receipts, strict=True)])
    return crm.calls()


COSTS: Final[Mapping[str, Cost]] = {
    "1,000 new orders of 1,000 new guests, 3 lines each": Cost(50, 75, new_orders),
    "the same where all contacts are in HubSpot already": Cost(60, 90, orders_of_known_contacts),
    "1,000 order updates (no new link)": Cost(10, 11, order_updates),
    "1,000 customers change a field": Cost(10, 11, field_changes),
}
