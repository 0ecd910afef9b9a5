"""A shop whose contacts are one for each email address, played twice: as rows, and as a plain model.

The model says which contact each address must have, and to which contact each deal must refer. What is rendered again
because of a change must add up to a full render.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cdc.model import Kind, ObjectRef, Rendered, Value
from cdc.settings.mapping import MappingSettings
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from mappers.objects.address_contacts import FEW
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import REFERENCES, address, customer, order

ADDRESSES = ("ann@example.com", "bob@example.com", "cat@example.com")
STORES = {1: 1, 2: 1, 3: 2}  # store view → website
WEBSITES = {1: "base", 2: "outlet"}
MANY = 90  # a customer with more orders than are named one by one


def guest(email: str) -> ObjectRef:
    return ObjectRef(Kind.GUEST, str(guest_id(email)))


def account(number: int) -> ObjectRef:
    return ObjectRef(Kind.CUSTOMER, number)


def deal(number: int) -> ObjectRef:
    return ObjectRef(Kind.ORDER, number)


# ------------------------------------------------------------------------------------------------ the plain model


@dataclass
class Placed:
    """An order as the model knows it."""

    email: str
    account: int | None
    as_guest: bool
    store: int


@dataclass
class Model:
    """The shop without rows: accounts (address, website) and orders; who stands is worked out from scratch."""

    only: frozenset[int]  # websites in scope
    accounts: dict[int, tuple[str, int]] = field(default_factory=dict)
    orders: dict[int, Placed] = field(default_factory=dict)

    def in_scope(self) -> dict[int, Placed]:
        return {number: placed for number, placed in self.orders.items() if STORES[placed.store] in self.only}

    def contact_of_address(self) -> dict[str, ObjectRef]:
        """Address → the contact that stands for it, of every address that has one."""
        named = {placed.account for placed in self.in_scope().values()}
        found: dict[str, ObjectRef] = {}
        for placed in self.in_scope().values():
            if placed.account not in self.accounts and (placed.account is not None or placed.as_guest):
                found[placed.email] = guest(placed.email)
        for number in sorted(self.accounts, reverse=True):  # the lowest one wins
            email, website = self.accounts[number]
            if website in self.only or number in named:
                found[email] = account(number)
        return found

    def contacts(self) -> dict[int, tuple[ObjectRef, ...]]:
        """Deal → whom it refers to."""
        contact_of_address = self.contact_of_address()
        found: dict[int, tuple[ObjectRef, ...]] = {}
        for number, placed in self.in_scope().items():
            if placed.account in self.accounts:
                found[number] = (contact_of_address[self.accounts[placed.account][0]],)
            elif placed.account is not None or placed.as_guest:
                found[number] = (contact_of_address[placed.email],)
            else:  # its customer was deleted
                found[number] = ()
        return found


# ------------------------------------------------------------------------------------------------------- the shop


class PlayedShop:
    """Rows and model side by side. ``held``: every object as it was rendered when something last affected it."""

    def __init__(self, filtered: bool) -> None:
        settings = {"filter": {"websites": {"only": ["base"]}}} if filtered else {}
        self.mapper = MagentoMapping(MappingSettings.model_validate(settings), contacts_by_email=True)
        self.rows = DictRows(self.mapper, REFERENCES)
        self.model = Model(frozenset({1}) if filtered else frozenset({1, 2}))
        self.held: dict[ObjectRef, Rendered] = {}
        self._spelled = 0

    def put(self, table: str, **columns: Value) -> None:
        self._render(self.rows.spread(self.rows.put(table, **columns)))

    def remove(self, table: str, key: int) -> None:
        self._render(self.rows.spread(self.rows.remove(table, key)))

    def _render(self, affected: set[ObjectRef]) -> None:
        for ref in affected:
            made = self.mapper.render(ref, self.rows)
            if made is None:
                self.held.pop(ref, None)
            else:
                self.held[ref] = made

    def spelled(self, email: str) -> str:
        """The address as somebody may have typed it."""
        self._spelled += 1
        return (email, email.upper(), f" {email.title()}")[self._spelled % 3]

    def check(self) -> None:
        """One contact for each address, as the model says; all deals refer to it; nothing was left unaffected."""
        refs = [*(account(n) for n in range(1, 7)), *map(guest, ADDRESSES), *map(deal, range(1, MANY + 50))]
        whole = {ref: made for ref in refs if (made := self.mapper.render(ref, self.rows)) is not None}
        contacts = {ref: made for ref, made in whole.items() if ref.kind is not Kind.ORDER}

        assert {made.address: ref for ref, made in contacts.items()} == self.model.contact_of_address()
        assert len({made.address for made in contacts.values()}) == len(contacts)
        assert all(made.address == made.properties["email"] for made in contacts.values())
        deals = {ref.id: made.references for ref, made in whole.items() if ref.kind is Kind.ORDER}
        assert deals == self.model.contacts()
        assert self.held == whole


def register(shop: PlayedShop, number: int, email: str, other: int) -> None:
    """An account comes, on one of the websites; one that is there moves to it."""
    website = other % 2 + 1
    shop.model.accounts[number] = (email, website)
    shop.put("customer_entity", **customer(number, email=shop.spelled(email), website_id=website))


def change_email(shop: PlayedShop, number: int, email: str, other: int) -> None:
    if number in shop.model.accounts:
        shop.model.accounts[number] = (email, shop.model.accounts[number][1])
        shop.put("customer_entity", entity_id=number, email=shop.spelled(email))


def swap_emails(shop: PlayedShop, number: int, email: str, other: int) -> None:
    """Two accounts take each other's address, one row after the other."""
    second = other % 6 + 1
    if number in shop.model.accounts and second in shop.model.accounts:
        emails = shop.model.accounts[number][0], shop.model.accounts[second][0]
        change_email(shop, number, emails[1], other)
        change_email(shop, second, emails[0], other)


def move_website(shop: PlayedShop, number: int, email: str, other: int) -> None:
    if number in shop.model.accounts:
        shop.model.accounts[number] = (shop.model.accounts[number][0], other % 2 + 1)
        shop.put("customer_entity", entity_id=number, website_id=other % 2 + 1)


def delete_account(shop: PlayedShop, number: int, email: str, other: int) -> None:
    """The row goes; its orders keep the number on some servers, and lose it on others."""
    if shop.model.accounts.pop(number, None) is None:
        return
    shop.remove("customer_entity", number)
    for order_id, placed in shop.model.orders.items():
        if placed.account == number and other % 2:
            placed.account = None
            shop.put("sales_order", entity_id=order_id, customer_id=None)


def place_order(shop: PlayedShop, number: int, email: str, other: int) -> None:
    """A new order, or another one in its place: a guest's, an account's, or of an account that is not held."""
    by = number if other % 3 else None
    placed = Placed(email, by, by is None, other % 3 + 1)
    order_id = MANY + 1 + other % 20
    shop.model.orders[order_id] = placed
    put_order(shop, order_id, placed)


def put_order(shop: PlayedShop, order_id: int, placed: Placed) -> None:
    columns: dict[str, Value] = {
        "customer_id": placed.account, "customer_is_guest": int(placed.as_guest), "store_id": placed.store,
        "customer_email": shop.spelled(placed.email),
    }  # fmt: skip
    shop.put("sales_order", **order(order_id, **columns))
    shop.put("sales_order_address", **address(order_id, parent_id=order_id, city=f"City {order_id}"))


def change_order(shop: PlayedShop, number: int, email: str, other: int) -> None:
    """An order gets another address, an account, another store view, or loses its account."""
    for order_id in list(shop.model.orders)[other % 7 :: 7][:1]:
        placed = shop.model.orders[order_id]
        match other % 4:
            case 0:
                placed.email = email
            case 1:
                placed.account, placed.as_guest = number, False
            case 2:
                placed.store = other % 3 + 1
            case 3:
                placed.account = None
        put_order(shop, order_id, placed)


def delete_order(shop: PlayedShop, number: int, email: str, other: int) -> None:
    for order_id in list(shop.model.orders)[other % 5 :: 5][:1]:
        del shop.model.orders[order_id]
        shop.remove("sales_order", order_id)


def many_orders(shop: PlayedShop, number: int, email: str, other: int) -> None:
    """More orders of one account than are named one by one."""
    for order_id in range(1, FEW + 3):
        shop.model.orders[order_id] = Placed(email, number, False, 1)
        put_order(shop, order_id, shop.model.orders[order_id])


Action = Callable[[PlayedShop, int, str, int], None]
ACTIONS: Sequence[Action] = (
    register, register, register, change_email, change_email, swap_emails, move_website, delete_account, place_order,
    place_order, place_order, change_order, change_order, delete_order, many_orders,
)  # fmt: skip


def play(*steps: tuple[Action, int, str, int], filtered: bool = False) -> PlayedShop:
    """A shop after these steps, checked after each."""
    shop = PlayedShop(filtered)
    for action, number, email, other in steps:
        action(shop, number, email, other)
        shop.check()
    return shop
