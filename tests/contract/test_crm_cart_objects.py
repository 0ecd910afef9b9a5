"""HubSpot's own carts: their properties, their links to contact, deal and lines, and what they need of the account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from cdc.errors import OutcomeUnknownError, SinkUnauthorizedError
from cdc.model import Drift, ObjectType, Outcome, Receipt, Reference
from tests.kit.crm import Bench, again, bench, cart, contact, deal, deletion, line, message, ref

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM
CART = ObjectType.CART
AS_CART = {"carts": {"enabled": True, "as": "cart"}}
COMPLETED = {"status": "completed", "order_number": "000000042", "cart_url": ""}
LINE = "magento-cart_item-5"


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench(mapping=AS_CART) as made:
        yield made


async def left(crm: Bench) -> tuple[Receipt, Receipt, Receipt]:
    """A guest's cart with one line: the receipts of contact, cart and line."""
    [buyer] = await crm.accept(contact(1))
    [made] = await crm.accept(cart(17, ref(buyer, CONTACT)))
    [item] = await crm.accept(line(LINE, ref(made, CART)))  # type: ignore[arg-type]  # a whole external id
    return buyer, made, item


async def test_a_cart_fills_hubspots_own_properties(crm: Bench) -> None:
    """What HubSpot has no property for goes into ours."""
    await crm.accept(cart(17, coupon_code="SPRING", cart_items="2 x Mug (11.90)", created_at="1700000000000"))

    held = crm.record(CART, "magento-cart_object-17").properties
    assert {name: held[name] for name in held if name.startswith("hs_")} == {
        "hs_cart_name": "Cart 17", "hs_external_cart_id": "17", "hs_total_price": "23.80", "hs_currency_code": "EUR",
        "hs_external_status": "abandoned", "hs_source_store": "default", "hs_cart_discount": "0.00",
        "hs_cart_url": "https://shop.example.com/?c=17",
    }  # fmt: skip
    assert (held["magento_coupon_code"], held["magento_cart_items"]) == ("SPRING", "2 x Mug (11.90)")
    assert held["magento_currency"] == "EUR"


async def test_cart_and_lines_are_linked_by_the_calls_that_make_them(crm: Bench) -> None:
    """No call to the associations is spent on a new record."""
    buyer, made, item = await left(crm)

    assert crm.linked(CART, made.record_id, CONTACT) == [buyer.record_id]
    assert crm.linked(LINE_ITEM, item.record_id, CART) == [made.record_id]
    assert [path for path in crm.calls() if path.startswith("associations")] == []


async def test_an_order_completes_its_cart_and_is_linked_to_it(crm: Bench) -> None:
    """The same record gets the status, loses the link that brings the cart back, and keeps what it showed."""
    buyer, made, item = await left(crm)
    [order] = await crm.accept(deal(42, ref(buyer, CONTACT)))
    before = cart(17, ref(buyer, CONTACT))
    closed = replace(again(before, made), properties=COMPLETED, references=(*before.references, ref(order, DEAL)))
    [same] = await crm.accept(closed)

    held = crm.record(CART, "magento-cart_object-17").properties
    assert same.record_id == made.record_id
    assert (held["hs_external_status"], held.get("hs_cart_url", ""), held["hs_total_price"]) == (
        "completed",
        "",
        "23.80",
    )
    assert crm.linked(CART, made.record_id, DEAL) == [order.record_id]
    assert crm.linked(CART, made.record_id, CONTACT) == [buyer.record_id]
    assert crm.linked(CART, made.record_id, LINE_ITEM) == [item.record_id]


async def test_the_link_follows_from_the_cart_deal_to_the_order(crm: Bench) -> None:
    """With carts as both: the order takes the deal's record, or has one of its own; the cart is linked to one deal."""
    own = message(DEAL, "magento-cart-17", {"name": "Cart 17", "stage": "checkout_abandoned"})
    [first] = await crm.accept(own)
    [made] = await crm.accept(cart(17, ref(first, DEAL)))
    taken, other = deal(42, predecessor=Reference(DEAL, own.external_id, first.record_id)), deal(43)
    [placed], [elsewhere] = await crm.accept(taken), await crm.accept(other)
    assert placed.record_id == first.record_id
    for order in (placed, elsewhere):
        before = again(cart(17, ref(first, DEAL)), made)
        await crm.accept(replace(before, references=(ref(order, DEAL),)))
        assert crm.linked(CART, made.record_id, DEAL) == [order.record_id]


@pytest.mark.parametrize(("policy", "status"), [("archive", None), ("cancel", "cancelled"), ("keep", "abandoned")])
async def test_a_cart_without_an_order_goes_by_its_own_setting(policy: str, status: str | None) -> None:
    """Its lines go by the setting for lines."""
    async with bench(mapping=AS_CART, on_delete={"cart": policy, "line_item": "archive"}) as crm:
        _, made, item = await left(crm)
        await crm.accept(deletion(line(LINE), record_id=item.record_id))  # type: ignore[arg-type]  # an external id
        await crm.accept(deletion(cart(17), record_id=made.record_id))

        records = crm.crm.account.records
        assert not records.live[LINE_ITEM]
        assert [one.properties["hs_external_status"] for one in records.live[CART].values()] == (
            [] if status is None else [status]
        )
        assert all(one.properties["magento_deleted_at"] for one in records.live[CART].values())


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_cut_answer_makes_no_second_cart(crm: Bench, cut: str) -> None:
    """The repetition finds the record by its key."""
    crm.add_fault(cut=cut, path="carts/batch/create")
    with pytest.raises(OutcomeUnknownError):
        await crm.send(cart(17))
    await crm.accept(replace(cart(17), may_repeat=True))

    assert crm.keys(CART) == ["magento-cart_object-17"]


async def test_a_line_is_never_made_without_its_cart(crm: Bench) -> None:
    """It could not be found by people, and could not be given its cart by the same safe call."""
    unknown = Reference(CART, "magento-cart_object-99")
    [answer] = await crm.send(line(LINE, unknown))  # type: ignore[arg-type]  # a whole external id

    assert (answer.outcome, answer.reason) == (Outcome.RETRY, "parent_not_found")
    assert not crm.crm.account.records.live[LINE_ITEM]


async def test_a_currency_that_the_account_lacks_is_left_out(crm: Bench) -> None:
    """It would make HubSpot refuse the cart; our own property has it in any case."""
    await crm.accept(cart(17, currency="CHF"))

    held = crm.record(CART, "magento-cart_object-17").properties
    assert ("hs_currency_code" in held, held["magento_currency"]) == (False, "CHF")


async def test_a_contact_that_moves_takes_its_carts_along() -> None:
    """The record that gives way keeps no cart of ours."""
    async with bench(mapping=AS_CART, on_email_conflict="move") as crm:
        theirs = crm.crm.people.create(CONTACT, {"email": "new@example.com"})
        sent = contact(1, email="old@example.com")
        [buyer] = await crm.accept(sent)
        [made] = await crm.accept(cart(17, ref(buyer, CONTACT)))
        [moved] = await crm.accept(again(sent, buyer, email="new@example.com"))

        assert moved.record_id == theirs.id
        assert crm.linked(CART, made.record_id, CONTACT) == [theirs.id]


async def test_a_lost_link_to_the_deal_is_told_from_one_to_the_contact(crm: Bench) -> None:
    """Both are read back."""
    [buyer] = await crm.accept(contact(1))
    [order] = await crm.accept(deal(42, ref(buyer, CONTACT)))
    sent = cart(17, ref(buyer, CONTACT), ref(order, DEAL))
    [made] = await crm.accept(sent)
    [found] = await crm.sink.compare([sent], crm.requests)
    assert found.drift is Drift.EQUAL
    crm.crm.people.unlink(CART, made.record_id, DEAL, order.record_id)

    [found] = await crm.sink.compare([sent], crm.requests)
    assert found.drift is Drift.LINK_MISSING


async def test_the_newest_carts_are_found(crm: Bench) -> None:
    """HubSpot calls the time of their creation by another name."""
    _, made, _ = await left(crm)
    crm.crm.account.behaviour.search_lag_ms = 0

    assert list(await crm.sink.newest(CART, crm.requests)) == [("magento-cart_object-17", made.record_id)]


def _paths(crm: Bench) -> Sequence[str]:
    return [one.path for one in crm.crm.exchanges.kept]


async def test_without_the_setting_no_call_asks_for_carts() -> None:
    """Their scopes are needed only by those who want them."""
    async with bench(push=False) as crm:
        names = ("contacts", "products", "deals", "line_items")
        crm.crm.account.behaviour.scopes = {
            f"crm.{area}.{name}.{may}" for area in ("objects", "schemas") for name in names for may in ("read", "write")
        }
        await crm.sink.push_mapping(crm.requests, dry_run=False)
        await crm.sink.check(crm.requests)
        await crm.accept(contact(1))

        assert not [path for path in _paths(crm) if "cart" in path or "0-142" in path]
        assert CART not in crm.sink.traits.object_types


async def test_missing_scopes_of_carts_are_named() -> None:
    """By push and by check, word for word."""
    async with bench(push=False, mapping=AS_CART) as crm:
        names = ("contacts", "products", "deals", "line_items")
        crm.crm.account.behaviour.scopes = {
            f"crm.{area}.{name}.{may}" for area in ("objects", "schemas") for name in names for may in ("read", "write")
        }
        with pytest.raises(SinkUnauthorizedError, match=r"crm\.schemas\.carts"):
            await crm.sink.push_mapping(crm.requests, dry_run=False)
        crm.crm.account.behaviour.scopes |= {"crm.schemas.carts.read", "crm.schemas.carts.write"}
        await crm.sink.push_mapping(crm.requests, dry_run=False)
        found = [one.text for one in await crm.sink.check(crm.requests) if not one.ok]

        assert any("crm.objects.carts.read" in text for text in found)
        assert any("crm.objects.carts.write" in text for text in found)


async def test_push_makes_the_key_and_our_properties_of_carts(crm: Bench) -> None:
    """As for every other type; a second run does nothing."""
    held = crm.crm.account.properties.all[CART]
    assert held["magento_key"].is_unique
    assert {"magento_cart_items", "magento_order_number", "magento_deleted_at", "magento_backfilled"} <= held.keys()
    assert "magento_cart_url" not in held  # HubSpot has one of its own

    [said] = await crm.sink.push_mapping(crm.requests, dry_run=False)
    assert "nothing to do" in said
