"""Carts as HubSpot's own carts with their lines: when they come, what they say, and how they end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.model import Action, Message, ObjectType, Op, Value
from tests.unit.carts.shop import EVE, CartShop, cart_shop, line, quote

CONTACT, DEAL, CART, LINE_ITEM = ObjectType.CONTACT, ObjectType.DEAL, ObjectType.CART, ObjectType.LINE_ITEM
CAP: dict[str, Value] = line(2, sku="CAP", name="Cap", qty="1.0000", price="19.9500", product_id=11)


@pytest.fixture(params=[True, False], ids=["by email", "by account"])
def shop(request: pytest.FixtureRequest) -> Iterator[CartShop]:
    """A shop whose carts are HubSpot's carts, for a receiver with one contact per address and for another one."""
    with cart_shop(by_email=request.param, sent_as="cart") as made:
        yield made


@pytest.fixture
def both() -> Iterator[CartShop]:
    """A shop whose carts are deals and HubSpot's carts."""
    with cart_shop(sent_as="both") as made:
        yield made


def names(messages: list[Message]) -> list[str]:
    """Action and external id of each message, without the namespace, in the order sent."""
    return [f"{one.action} {one.external_id.removeprefix('magento-')}" for one in messages]


def only(messages: list[Message], object_type: ObjectType) -> Message:
    """The one message of a type."""
    [found] = [one for one in messages if one.object_type is object_type]
    return found


def leave(shop: CartShop, *lines: dict[str, Value]) -> list[Message]:
    """A cart is filled and left: what is sent of it."""
    shop.fill(*lines)
    shop.wait(61)
    return shop.sent()


def test_a_cart_goes_after_its_contact_and_before_its_lines(shop: CartShop) -> None:
    """All with their references; there is no deal."""
    contact, cart, mug, cap = leave(shop, line(row_total="23.8000", discount_amount="1.0000"), CAP)

    assert (cart.object_type, cart.external_id) == (CART, "magento-cart_object-17")
    assert cart.associations == {CONTACT: (contact.external_id,)}
    assert cart.properties.pop("cart_changed_at")  # type: ignore[attr-defined]  # a dictionary
    assert cart.properties == {
        "name": "Cart 17", "cart_id": "17", "amount": "23.80", "currency": "EUR", "status": "abandoned",
        "discount_amount": "1.00", "store": "default", "created_at": "1699999200000",
        "cart_items": "2 x Mug (11.90); 1 x Cap (19.95)", "cart_item_count": "3",
        "cart_url": "https://shop.example.com/cart?id=17",
    }  # fmt: skip
    assert mug.external_id == "magento-cart_item-1"
    assert mug.associations[CART] == cap.associations[CART] == ("magento-cart_object-17",)
    assert mug.properties == {
        "name": "Mug", "sku": "MUG", "quantity": "2", "price": "11.90", "amount": "23.80", "discount_amount": "1.00",
        "currency": "EUR",
    }  # fmt: skip
    assert contact.properties["cart_open"] == "true"


def test_both_are_sent_and_linked(both: CartShop) -> None:
    """The cart is linked to its deal from the beginning."""
    found = leave(both)

    assert [one.object_type for one in found] == [CONTACT, DEAL, CART, LINE_ITEM]
    assert only(found, CART).associations[DEAL] == (only(found, DEAL).external_id,) == ("magento-cart-17",)


def test_a_line_names_the_variant_that_is_in_the_cart(shop: CartShop) -> None:
    """A configurable's line is one line, of its child's product; a product that the shop does not have is left out."""
    shop.harness.insert("catalog_product_entity", entity_id=12, sku="SHIRT-M", type_id="simple")
    shop.sent()
    shirt = line(1, product_type="configurable", product_id=9, sku="SHIRT", name="Shirt")
    found = leave(shop, shirt, line(2, parent_item_id=1, product_id=12, sku="SHIRT-M"), CAP | {"item_id": 3})

    lines = {one.external_id: one.associations for one in found if one.object_type is LINE_ITEM}
    assert lines["magento-cart_item-1"][ObjectType.PRODUCT] == ("magento-product-12",)
    assert ObjectType.PRODUCT not in lines["magento-cart_item-3"]


@pytest.mark.parametrize("columns", [{"customer_email": None}, {"is_active": 0}], ids=["no address", "not active"])
def test_a_cart_that_nobody_is_known_for_is_never_sent(shop: CartShop, columns: dict[str, None]) -> None:
    """Nor are its lines."""
    shop.fill(**columns)
    shop.wait(600)

    assert shop.sent() == []


def test_a_cart_without_a_line_is_never_sent(shop: CartShop) -> None:
    """There is nothing to be reminded of."""
    shop.harness.insert("quote", **quote())
    shop.wait(600)

    assert shop.sent() == []


def test_a_changed_quantity_is_a_message_for_the_line_and_one_for_the_cart(shop: CartShop) -> None:
    """The cart is pending, until it is left again."""
    leave(shop, line(), CAP)
    shop.harness.update("quote_item", line(), qty="3.0000")

    found = shop.sent()
    assert names(found)[1:] == ["UPSERT cart_object-17", "UPSERT cart_item-1"]
    assert (only(found, CART).properties["status"], only(found, LINE_ITEM).properties["quantity"]) == ("pending", "3")
    shop.wait(61)
    assert names(shop.sent()) == ["UPSERT cart_object-17"]


def test_a_line_that_is_taken_out_goes(shop: CartShop) -> None:
    """The cart stays with the others."""
    leave(shop, line(), CAP)
    shop.harness.delete("quote_item", CAP)

    assert {"DELETE cart_item-2", "UPSERT cart_object-17"} <= set(names(shop.sent()))


def test_a_line_that_is_added_comes(shop: CartShop) -> None:
    """At once, as its cart is there."""
    leave(shop)
    shop.harness.insert("quote_item", **CAP)

    assert names(shop.sent())[1:] == ["UPSERT cart_object-17", "UPSERT cart_item-2"]


def test_totals_and_rates_cost_no_message(shop: CartShop) -> None:
    """Every page of the checkout saves the quote."""
    row = shop.fill()
    shop.wait(61)
    shop.sent()
    for minute in range(10, 60):
        row = shop.harness.update("quote", row, updated_at=f"2023-11-14 23:{minute}:30")

    assert shop.sent() == []


def test_an_order_completes_its_cart(shop: CartShop) -> None:
    """The order's deal goes first, then the cart with the link to it. Its lines stay, and nothing is deleted."""
    [guest, *_] = leave(shop)
    shop.order(coupon_code="SPRING")

    found = shop.sent()
    cart = only(found, CART)
    assert [name for name in names(found) if "guest" not in name] == ["UPSERT order-42", "UPSERT cart_object-17"]
    assert cart.associations == {CONTACT: (guest.external_id,), DEAL: ("magento-order-42",)}
    assert cart.properties == {
        "name": "Cart 17", "cart_id": "17", "amount": "28.80", "currency": "EUR", "status": "completed",
        "order_number": "000000042", "store": "default", "coupon_code": "SPRING", "cart_url": "",
        "discount_amount": "",
    }  # fmt: skip
    assert only(found, CONTACT).properties["cart_open"] == ""


def test_with_both_the_order_takes_the_deal_and_completes_the_cart(both: CartShop) -> None:
    """One deal and one cart; the cart's link follows from the cart's deal to the order's before the former goes."""
    leave(both)
    both.order()

    found = both.sent()
    assert [name for name in names(found) if "guest" not in name] == [
        "UPSERT order-42",
        "UPSERT cart_object-17",
        "DELETE cart-17",
    ]
    assert only(found, CART).associations[DEAL] == ("magento-order-42",)


def test_an_order_within_the_hour_makes_no_cart(shop: CartShop) -> None:
    """It was never abandoned."""
    row = shop.fill()
    shop.order()
    shop.harness.update("quote", row, is_active=0)
    shop.wait(600)

    assert not [one for one in shop.sent() if one.object_type in (CART, LINE_ITEM)]


def test_a_late_change_of_the_quote_changes_nothing(shop: CartShop) -> None:
    """Saved, deactivated, active again, with another quantity: the order ended the cart for good."""
    row = shop.fill()
    shop.wait(61)
    shop.order()
    shop.sent()
    row = shop.harness.update("quote", row, grand_total="99.0000")
    row = shop.harness.update("quote", row, is_active=0)
    shop.harness.update("quote", row, is_active=1)
    shop.wait(600)

    assert shop.sent() == []


def test_the_nightly_job_leaves_a_cart_that_was_ordered(shop: CartShop) -> None:
    """It deletes quotes some weeks after the order. The cart is history then, as the order's deal is; its lines go."""
    row = shop.fill()
    shop.wait(61)
    shop.order()
    shop.harness.update("quote", row, is_active=0)
    shop.sent()
    shop.harness.delete("quote", row)

    assert names(shop.sent()) == ["DELETE cart_item-1"]


def test_the_first_of_several_orders_completes_the_cart(shop: CartShop) -> None:
    """Delivery to several addresses makes several orders of one quote."""
    leave(shop)
    shop.harness.commit(
        *(
            shop.harness.change(
                "sales_order", Op.INSERT, None,
                {"entity_id": number, "increment_id": str(number), "store_id": 1, "state": "new", "quote_id": 17,
                 "customer_is_guest": 1, "customer_email": EVE, "grand_total": "10.0000"},
            )
            for number in (42, 43)
        )
    )  # fmt: skip

    assert only(shop.sent(), CART).associations[DEAL] == ("magento-order-42",)


def test_an_edited_order_shows_on_its_cart(shop: CartShop) -> None:
    """Its number and amounts; its states do not."""
    leave(shop)
    order = shop.order()
    shop.sent()
    order = shop.harness.update("sales_order", order, state="processing", status="processing")
    assert names(shop.sent()) == ["UPSERT order-42"]
    shop.harness.update("sales_order", order, grand_total="5.0000")

    assert only(shop.sent(), CART).properties["amount"] == "5.00"


def test_a_cart_whose_order_is_deleted_goes(shop: CartShop) -> None:
    """Nothing of the purchase is left in the shop."""
    row = shop.fill()
    shop.wait(61)
    order = shop.order()
    shop.harness.update("quote", row, is_active=0)
    shop.sent()
    shop.harness.delete("sales_order", order)

    assert {"DELETE cart_object-17", "DELETE cart_item-1"} <= set(names(shop.sent()))


def test_a_cart_that_comes_back_after_its_order_was_deleted_begins_anew(shop: CartShop) -> None:
    """It is open again, and is sent once it is left again."""
    shop.fill()
    shop.wait(61)
    order = shop.order()
    shop.sent()
    shop.harness.delete("sales_order", order)
    assert {"DELETE cart_object-17", "DELETE cart_item-1"} <= set(names(shop.sent()))
    shop.wait(61)

    assert {"UPSERT cart_object-17", "UPSERT cart_item-1"} <= set(names(shop.sent()))


@pytest.mark.parametrize("how", ["cleaned", "deactivated", "emptied", "merged", "negotiated"])
def test_a_cart_that_ends_without_an_order_goes_after_its_lines(both: CartShop, how: str) -> None:
    """Nothing is deleted while something refers to it: lines, then the cart, then its deal, then the contact."""
    row = both.fill()
    both.wait(61)
    both.sent()
    match how:
        case "cleaned":
            both.harness.delete("quote", row)
        case "deactivated":
            both.harness.update("quote", row, is_active=0)
        case "emptied":
            both.harness.delete("quote_item", line())
        case "merged":
            both.fill(line(5, quote_id=18), entity_id=18, customer_email="ann@example.com")
            both.harness.delete("quote", row)
        case "negotiated":
            both.harness.insert("negotiable_quote", quote_id=17, is_regular_quote=1)

    found = names(both.sent())
    assert found[:3] == ["DELETE cart_item-1", "DELETE cart_object-17", "DELETE cart-17"]
    assert found[3].startswith("DELETE guest-")


def test_who_registers_takes_the_cart_along(shop: CartShop) -> None:
    """An open cart, and one that was ordered, hang on the account that now stands for the address."""
    leave(shop)
    shop.fill(line(2, quote_id=18), entity_id=18)
    shop.wait(61)
    shop.order(quote_id=18)
    shop.sent()
    shop.harness.insert("customer_entity", entity_id=7, email=EVE, website_id=1, group_id=1)

    carts = {one.external_id: one.associations[CONTACT] for one in shop.sent() if one.object_type is CART}
    by_email = shop.engine.mapper.plan.contacts_by_email  # type: ignore[attr-defined]  # Magento's mapping
    wanted = ("magento-customer-7",)
    assert carts == ({"magento-cart_object-17": wanted, "magento-cart_object-18": wanted} if by_email else {})


def test_carts_of_both_kinds_are_rendered_again_as_a_whole(both: CartShop) -> None:
    """A new mapping finds the open ones by their quote, and those that were ordered by their clock."""
    leave(both)
    both.fill(line(2, quote_id=18), entity_id=18)
    both.wait(61)
    both.order(quote_id=18)
    both.sent()
    with both.engine.store.transaction():
        both.engine.rendering.resend_everything()
    both.harness.apply(())

    wanted = {"UPSERT cart-17", "UPSERT cart_object-17", "UPSERT cart_object-18", "UPSERT cart_item-2"}
    assert wanted <= set(names(both.sent()))


def test_a_replay_of_the_order_moves_nothing(both: CartShop) -> None:
    """The same transaction once more, as after a kill."""
    leave(both)
    order = both.order()
    both.sent()
    both.harness.commit(both.harness.change("sales_order", Op.INSERT, None, order))

    assert both.sent() == []


def test_deletions_name_no_object_that_was_never_sent(shop: CartShop) -> None:
    """A cart that ends before it was left."""
    row = shop.fill()
    shop.harness.delete("quote", row)

    assert [one for one in shop.sent() if one.action is Action.DELETE] == []
