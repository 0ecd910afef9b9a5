"""Carts switched off, or sent otherwise, in a state that has sent them: reviewed as any other mapping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc.messages import mapping_review
from cdc.messages.verification import Expected
from cdc.model import Message, Value
from cdc.settings.mapping import MappingSettings
from mappers.guests import guest_id
from tests.kit.replica_harness import ReplicaHarness
from tests.unit.carts.shop import EVE, CartShop, line
from tests.unit.mappers.shops import REFERENCES

CARTS: dict[str, dict[str, Any]] = {
    word: {"carts": {"enabled": True, "as": word, "restore_url": "https://shop.example.com/?c={quote_id}"}}
    for word in ("deal", "cart", "both")
}
OFF: dict[str, Any] = {}
CART_OBJECTS = {f"cart_object-{number}" for number in (17, 18, 19)} | {f"cart_item-{number}" for number in (1, 2, 3)}
Rows = Sequence[tuple[str, dict[str, Value]]]
ANN: dict[str, Value] = {"entity_id": 7, "email": "ann@example.com", "website_id": 1, "group_id": 1}


def opened(folder: Path, mapping: dict[str, Any], rows: Rows = (), max_share: float = 1.0) -> CartShop:
    """The state with these settings, as a daemon opens it. ``rows``: the shop's, as tables are read again of which the
    mapping asks for other columns.
    """
    shop = CartShop.__new__(CartShop)
    shop.harness = ReplicaHarness(folder, MappingSettings.model_validate(mapping), contacts_by_email=True)
    shop.engine = shop.harness.engine
    shop.engine.rendering.review.max_share = max_share
    with shop.engine.store.transaction():
        for table, row in rows:
            if table in shop.engine.rows.tables:
                columns = shop.engine.rows.tables[table].spec.columns
                shop.engine.applier.load(table, [tuple(map(row.get, columns))], 1 << 60)
        shop.engine.rendering.resume_mapping()
    shop.harness.apply(())
    return shop


def shop_with_carts(folder: Path, word: str) -> Rows:
    """A state that sent a guest's cart, an account's cart, and an order that was made of a third; the shop's rows."""
    shop = opened(folder, CARTS[word])
    rows = [(table, dict(row)) for table, held in REFERENCES.items() for row in held]
    rows.append(("customer_entity", ANN))
    for table, row in rows:
        shop.harness.insert(table, **row)
    lines = [line(), line(2, quote_id=18), line(3, quote_id=19)]
    carts = [
        shop.fill(lines[0]),
        shop.fill(lines[1], entity_id=18, customer_id=7, customer_email="ann@example.com"),
        shop.fill(lines[2], entity_id=19, customer_email="bob@example.com"),
    ]
    shop.wait(61)
    order = shop.order(quote_id=19, customer_email="bob@example.com")
    shop.sent()
    shop.harness.close()
    return [
        *rows, *(("quote", one) for one in carts), *(("quote_item", one) for one in lines), ("sales_order", order)
    ]  # fmt: skip


def by_name(messages: list[Message]) -> dict[str, Message]:
    """External id without the namespace → message; a guest's by the word guest and the address's owner."""
    names = [one.external_id.removeprefix("magento-") for one in messages]
    known = {f"guest-{guest_id(address)}": name for address, name in ((EVE, "guest"), ("bob@example.com", "bob"))}
    return {known.get(name, name): one for name, one in zip(names, messages, strict=True)}


@pytest.mark.parametrize("word", ["deal", "cart", "both"])
def test_what_carts_made_goes_when_they_are_switched_off(word: str, tmp_path: Path) -> None:
    """Deals, carts and lines are deleted, contacts lose what they showed of a cart, and a contact that only a cart
    made goes. The order's deal stays.
    """
    rows = shop_with_carts(tmp_path, word)
    shop = opened(tmp_path, OFF, rows)
    sent = by_name(shop.sent())

    gone = {name for name, one in sent.items() if one.action == "DELETE"}
    deals = {"cart-17", "cart-18"} if word != "cart" else set()
    assert gone == {"guest"} | deals | (CART_OBJECTS if word != "deal" else set())
    contact = sent["customer-7"].properties
    assert [contact[name] for name in ("cart_open", "cart_url", "cart_changed_at")] == ["", "", ""]
    assert "order-42" not in sent
    assert [*shop.engine.store.db.execute("SELECT * FROM cart_clock")] == []
    shop.harness.close()


def test_it_waits_for_acceptance_where_it_changes_much(tmp_path: Path) -> None:
    """The plan counts the deletions; nothing is sent before ``mapping accept``."""
    rows = shop_with_carts(tmp_path, "deal")
    shop = opened(tmp_path, OFF, rows, max_share=0.2)
    assert shop.sent() == []
    review = shop.engine.rendering.review
    assert "leaves out 3 of" in review.reason()
    with shop.engine.store.transaction():
        mapping_review.accept(shop.engine.store)
    shop.harness.apply(())

    assert {"cart-17", "cart-18", "guest", "customer-7"} <= by_name(shop.sent()).keys()
    shop.harness.close()


def test_deals_become_carts(tmp_path: Path) -> None:
    """The open carts are sent as HubSpot's carts, and their deals go; an order keeps the deal that it has."""
    rows = shop_with_carts(tmp_path, "deal")
    shop = opened(tmp_path, CARTS["cart"], rows)
    sent = by_name(shop.sent())

    assert {name for name, one in sent.items() if one.action == "DELETE"} == {"cart-17", "cart-18"}
    assert {"cart_object-17", "cart_object-18", "cart_item-1", "cart_item-2"} <= sent.keys()
    assert "cart_object-19" not in sent  # it was not known as a cart when it was ordered
    shop.harness.close()


def test_carts_become_deals(tmp_path: Path) -> None:
    """And the carts that were ordered are not followed any more."""
    rows = shop_with_carts(tmp_path, "cart")
    shop = opened(tmp_path, CARTS["deal"], rows)
    sent = by_name(shop.sent())

    gone = {name for name, one in sent.items() if one.action == "DELETE"}
    assert gone == CART_OBJECTS
    assert {"cart-17", "cart-18"} <= sent.keys()
    assert [*shop.engine.store.db.execute("SELECT quote_id FROM cart_clock ORDER BY quote_id")] == [(17,), (18,)]
    shop.harness.close()


def test_a_contact_that_never_showed_a_cart_costs_nothing(tmp_path: Path) -> None:
    """Switching carts off changes only who was changed by them."""
    rows = shop_with_carts(tmp_path, "deal")
    shop = opened(tmp_path, CARTS["deal"])
    kim: dict[str, Value] = {"entity_id": 8, "email": "kim@example.com", "website_id": 1, "group_id": 1}
    shop.harness.insert("customer_entity", **kim)
    shop.sent()
    shop.harness.close()
    shop = opened(tmp_path, OFF, [*rows, ("customer_entity", kim)])

    sent = by_name(shop.sent())
    assert "customer-8" not in sent
    assert EVE not in str(sent["customer-7"].properties)
    shop.harness.close()


def test_carts_that_a_lost_state_sent_make_no_state_look_old(tmp_path: Path) -> None:
    """They were ordered long ago, and the state that knew of them is gone. An unknown order is another matter."""
    shop = opened(tmp_path, CARTS["cart"])
    expected = Expected(shop.engine.store, shop.engine.mapper, shop.engine.rows, "magento")

    assert expected.never_sent([("magento-cart_object-99", "1"), ("magento-order-9", "2")]) == ["magento-order-9"]
    shop.harness.close()
