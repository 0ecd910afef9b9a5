"""One contact for each email address: which contact that is, and which changes of rows affect it."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Op, Value
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.kit.example_count import example_count
from tests.kit.replica_harness import ReplicaHarness, replica_harness
from tests.unit.mappers.address_shop import (
    ACTIONS,
    ADDRESSES,
    MANY,
    Placed,
    PlayedShop,
    account,
    deal,
    delete_account,
    delete_order,
    guest,
    many_orders,
    place_order,
    play,
    put_order,
    register,
    swap_emails,
)
from tests.unit.mappers.shops import REFERENCES, customer, order

ANN, BOB, CAT = ADDRESSES


@given(st.booleans(), st.integers(0, 2**32))
@settings(max_examples=example_count(40), deadline=None)
def test_every_address_has_one_contact_and_its_deals_refer_to_it(filtered: bool, seed: int) -> None:
    """After every step, each address has the model's contact, and rendering the affected objects was enough."""
    chance = random.Random(seed)
    shop = PlayedShop(filtered)
    for _ in range(chance.randint(5, 40)):
        action, email = chance.choice(ACTIONS), chance.choice(ADDRESSES)
        action(shop, chance.randint(1, 6), email, chance.randint(0, 1000))
        shop.check()


def test_the_lowest_account_is_the_contact_of_its_address() -> None:
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


def test_an_account_without_an_address_is_a_contact_of_its_own() -> None:
    """Nothing tells such accounts apart but their numbers."""
    shop = PlayedShop(filtered=False)
    for number in (1, 2):
        shop.put("customer_entity", **customer(number, email=None))
        shop.put("sales_order", **order(number, customer_id=number, customer_is_guest=0))

    assert [shop.held[deal(number)].references for number in (1, 2)] == [(account(1),), (account(2),)]
    assert shop.held[account(1)].address == ""


def test_an_account_that_only_an_order_keeps_in_scope_exists_while_the_order_does() -> None:
    """Its website is left out; with its order in scope it exists, is the lowest of its address, and stands."""
    shop = play((register, 5, ANN, 0), (place_order, 5, ANN, 1), (register, 2, ANN, 1), filtered=True)
    assert shop.held[deal(MANY + 2)].references == (account(5),)

    shop.model.orders[50] = Placed(BOB, 2, False, 1)
    put_order(shop, 50, shop.model.orders[50])
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


def test_the_rows_that_decide_on_the_contact_are_fetched(without_filter: PlayedShop) -> None:
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
