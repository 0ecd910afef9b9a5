"""One contact for each email address: who stands for it, and which changes of rows are told.

The shop is played twice: as rows, and as a plain model that says who must stand for each address and whom each deal
must refer to. What is rendered again because of a change must add up to a full render.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Op, Rendered, Value
from cdc.settings.mapping import MappingSettings
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from mappers.objects.standing import FEW
from tests.kit.example_count import example_count
from tests.kit.replica_harness import ReplicaHarness, replica_harness
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

    def standing(self) -> dict[str, ObjectRef]:
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
        standing = self.standing()
        found: dict[int, tuple[ObjectRef, ...]] = {}
        for number, placed in self.in_scope().items():
            if placed.account in self.accounts:
                found[number] = (standing[self.accounts[placed.account][0]],)
            elif placed.account is not None or placed.as_guest:
                found[number] = (standing[placed.email],)
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

        assert {made.address: ref for ref, made in contacts.items()} == self.model.standing()
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
    _put_order(shop, order_id, placed)


def _put_order(shop: PlayedShop, order_id: int, placed: Placed) -> None:
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
        _put_order(shop, order_id, placed)


def delete_order(shop: PlayedShop, number: int, email: str, other: int) -> None:
    for order_id in list(shop.model.orders)[other % 5 :: 5][:1]:
        del shop.model.orders[order_id]
        shop.remove("sales_order", order_id)


def many_orders(shop: PlayedShop, number: int, email: str, other: int) -> None:
    """More orders of one account than are named one by one."""
    for order_id in range(1, FEW + 3):
        shop.model.orders[order_id] = Placed(email, number, False, 1)
        _put_order(shop, order_id, shop.model.orders[order_id])


Action = Callable[[PlayedShop, int, str, int], None]
ACTIONS: Sequence[Action] = (
    register, register, register, change_email, change_email, swap_emails, move_website, delete_account, place_order,
    place_order, place_order, change_order, change_order, delete_order, many_orders,
)  # fmt: skip


@given(st.booleans(), st.integers(0, 2**32))
@settings(max_examples=example_count(80), deadline=None)
def test_every_address_has_one_contact_and_its_deals_refer_to_it(filtered: bool, seed: int) -> None:
    """After every step of any shop: who stands is who the model says, and only what was affected had to be rendered."""
    chance = random.Random(seed)
    shop = PlayedShop(filtered)
    for _ in range(chance.randint(5, 40)):
        action, email = chance.choice(ACTIONS), chance.choice(ADDRESSES)
        action(shop, chance.randint(1, 6), email, chance.randint(0, 1000))
        shop.check()


# ----------------------------------------------------------------------------------------------------- one by one


def play(*steps: tuple[Action, int, str, int], filtered: bool = False) -> PlayedShop:
    """A shop after these steps, checked after each."""
    shop = PlayedShop(filtered)
    for action, number, email, other in steps:
        action(shop, number, email, other)
        shop.check()
    return shop


ANN, BOB, CAT = ADDRESSES


def test_the_lowest_account_stands_for_all_of_its_address() -> None:
    """Two accounts on two websites and a guest share an address: one contact, and the deals of all of them."""
    shop = play((place_order, 1, ANN, 0), (register, 5, ANN, 1), (register, 3, ANN, 0), (place_order, 5, ANN, 1))

    assert [ref for ref in shop.held if ref.kind is not Kind.ORDER] == [account(3)]
    assert {made.references for ref, made in shop.held.items() if ref.kind is Kind.ORDER} == {(account(3),)}


def test_the_next_account_takes_over_when_the_lowest_goes() -> None:
    """Then the guest: nobody is without a contact while anybody of the address is left."""
    shop = play((place_order, 1, ANN, 0), (register, 5, ANN, 1), (register, 3, ANN, 0))

    delete_account(shop, 3, ANN, 1)
    assert shop.held[deal(MANY + 1)].references == (account(5),)
    delete_account(shop, 5, ANN, 1)
    assert shop.held[deal(MANY + 1)].references == (guest(ANN),)
    shop.check()


def test_two_accounts_swap_their_addresses() -> None:
    """In between one address has both accounts and the other none; at the end each has one again."""
    shop = play((register, 1, ANN, 0), (register, 2, BOB, 0), (place_order, 1, ANN, 1), (place_order, 2, BOB, 2))

    swap_emails(shop, 1, ANN, 1)

    shop.check()
    assert (shop.held[account(1)].address, shop.held[account(2)].address) == (BOB, ANN)


def test_a_deleted_accounts_orders_keep_no_contact() -> None:
    """Magento leaves them without an account and not a guest's: by ``deleted_customers = "drop"`` nobody's."""
    shop = play((register, 4, ANN, 0), (place_order, 4, ANN, 1), (delete_account, 4, ANN, 1))

    assert shop.held[deal(MANY + 2)].references == ()
    assert account(4) not in shop.held
    assert guest(ANN) not in shop.held


def test_an_order_whose_account_is_not_held_is_a_guests() -> None:
    """A server that cascades nothing leaves the number in the order: the order's own address says whose it is then."""
    shop = play((register, 4, ANN, 0), (register, 5, CAT, 0), (place_order, 4, BOB, 1), (place_order, 4, CAT, 2))
    assert {shop.held[deal(MANY + number)].references for number in (2, 3)} == {(account(4),)}

    delete_account(shop, 4, ANN, 0)

    shop.check()
    assert shop.held[deal(MANY + 2)].references == (guest(BOB),)
    assert shop.held[deal(MANY + 3)].references == (account(5),)


def test_an_account_without_an_address_stands_for_itself() -> None:
    """Nothing tells such accounts apart but their numbers."""
    shop = PlayedShop(filtered=False)
    for number in (1, 2):
        shop.put("customer_entity", **customer(number, email=None))
        shop.put("sales_order", **order(number, customer_id=number, customer_is_guest=0))

    assert [shop.held[deal(number)].references for number in (1, 2)] == [(account(1),), (account(2),)]
    assert shop.held[account(1)].address == ""


def test_an_account_that_only_an_order_keeps_in_scope_stands_while_the_order_does() -> None:
    """Its website is left out; with its order in scope it exists, is the lowest of its address, and stands."""
    shop = play((register, 5, ANN, 0), (place_order, 5, ANN, 1), (register, 2, ANN, 1), filtered=True)
    assert shop.held[deal(MANY + 2)].references == (account(5),)

    shop.model.orders[50] = Placed(BOB, 2, False, 1)
    _put_order(shop, 50, shop.model.orders[50])
    shop.check()
    assert shop.held[deal(MANY + 2)].references == (account(2),)

    delete_order(shop, 1, BOB, 1)
    assert 50 not in shop.model.orders
    shop.check()
    assert shop.held[deal(MANY + 2)].references == (account(5),)


def test_few_orders_are_named_and_many_are_invalidated_in_bulk() -> None:
    """A transaction never names the thousands of orders of one account one by one."""
    shop = play((register, 2, ANN, 0), (place_order, 2, ANN, 1))
    few = shop.rows.put("customer_entity", entity_id=2, email=BOB)
    many_orders(shop, 2, BOB, 0)
    many = shop.rows.put("customer_entity", entity_id=2, email=CAT)

    assert deal(MANY + 2) in few
    assert not [one for one in few if isinstance(one, BulkInvalidation)]
    assert BulkInvalidation(Kind.ORDER, "sales_order", "entity_id", "customer_id", 2) in many
    assert deal(MANY + 2) not in many


@pytest.mark.parametrize(
    "columns", [{"firstname": "Rob"}, {"default_billing": 5}, {"email": ANN.upper()}], ids=["name", "billing", "case"]
)
def test_a_change_that_moves_nobody_affects_one_contact(columns: Mapping[str, Value]) -> None:
    """A saved account does not render its orders, nor the accounts that share its address."""
    shop = play((register, 2, ANN, 0), (register, 3, ANN, 0), (place_order, 2, ANN, 1))
    shop.put("customer_entity", entity_id=2, email=ANN)

    assert set(shop.rows.put("customer_entity", entity_id=2, **columns)) == {account(2)}


def test_a_saved_order_of_an_account_affects_its_deal_alone() -> None:
    """Orders of accounts are the rule: no guest is looked at for them."""
    shop = play((register, 2, ANN, 0), (place_order, 2, ANN, 1))

    assert set(shop.rows.put("sales_order", entity_id=MANY + 2, state="complete")) == {deal(MANY + 2)}


@pytest.fixture
def without_filter() -> PlayedShop:
    return PlayedShop(filtered=False)


def test_what_decides_who_stands_is_fetched(without_filter: PlayedShop) -> None:
    """Before the load is done: an order names its account, the account its address, and that all who share it."""
    shop = without_filter
    ref = deal(1)
    assert FetchByKey("customer_entity", "entity_id", 2) not in shop.mapper.fetches(ref, shop.rows)
    shop.put("sales_order", **order(1, customer_id=2, customer_email=BOB))
    found = shop.mapper.fetches(ref, shop.rows)
    assert {FetchByKey("customer_entity", "entity_id", 2), FetchByKey("customer_entity", "email", BOB)} <= {*found}

    shop.put("customer_entity", **customer(2, email=ANN))

    assert FetchByKey("customer_entity", "email", ANN) in shop.mapper.fetches(ref, shop.rows)
    assert FetchByKey("customer_entity", "email", ANN) in shop.mapper.fetches(account(2), shop.rows)


def test_the_option_belongs_to_the_mappers_version() -> None:
    """With another receiver everything is rendered again, and tables whose derived columns differ are read again."""
    plain, by_email = (MagentoMapping(MappingSettings(), contacts_by_email=on) for on in (False, True))
    specs = {spec.name: spec for spec in plain.tables}

    assert plain.version != by_email.version
    assert {spec.name for spec in by_email.tables if spec != specs[spec.name]} == {"customer_entity", "sales_order"}


# ------------------------------------------------------------------------------------------ through the replica


def test_a_guest_who_registers_hands_over_to_the_account() -> None:
    """One transaction: the account comes, the deals refer to it, and the guest goes after them."""
    with replica_harness(contacts_by_email=True) as harness:
        _open(harness)
        harness.insert("sales_order", **order(1, customer_email=ANN))
        assert [message.external_id for message in harness.sent()] == [_name(guest(ANN)), "magento-order-1"]

        harness.insert("customer_entity", **customer(7, email=ANN))

        told = [(message.external_id, message.action.value) for message in harness.sent()]
        assert told == [("magento-customer-7", "UPSERT"), ("magento-order-1", "UPSERT"), (_name(guest(ANN)), "DELETE")]


def test_a_cascade_hands_the_address_to_the_next_account() -> None:
    """The server empties the orders' customer_id without a word; the deals of the other account move along."""
    with replica_harness(contacts_by_email=True) as harness:
        _open(harness)
        first, second = customer(7, email=ANN), customer(8, email=ANN, website_id=2)
        harness.commit(*(harness.change("customer_entity", Op.INSERT, None, row) for row in (first, second)))
        harness.insert("sales_order", **order(1, customer_id=7, customer_is_guest=0, customer_email=ANN))
        harness.insert("sales_order", **order(2, customer_id=8, customer_is_guest=0, customer_email=ANN))
        harness.sent()

        harness.delete("customer_entity", first)

        found = {message.external_id: message for message in harness.sent()}
        assert [*found["magento-order-2"].associations.values()] == [("magento-customer-8",)]
        assert found["magento-order-1"].associations == {}
        assert found["magento-customer-7"].action.value == "DELETE"


def _open(harness: ReplicaHarness) -> None:
    for table, rows in REFERENCES.items():
        for row in rows:
            harness.insert(table, **row)


def _name(ref: ObjectRef) -> str:
    return ref.external_id("magento")
