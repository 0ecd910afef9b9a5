"""When a cart becomes a deal, what the deal says, and when it goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.model import Action, ObjectType, Op, Value
from tests.unit.carts.shop import EVE, CartShop, cart_shop, line, quote


@pytest.fixture(params=[True, False], ids=["by email", "by account"])
def shop(request: pytest.FixtureRequest) -> Iterator[CartShop]:
    """A shop that sends carts, to a receiver with one contact per address and to one with a contact per account."""
    with cart_shop(by_email=request.param) as made:
        yield made


def test_a_cart_is_sent_once_nothing_changed_for_an_hour(shop: CartShop) -> None:
    """Not a minute earlier, with all that the cart is made of, and with the contact of the address."""
    shop.fill()
    assert shop.sent() == []
    shop.wait(58)
    assert shop.sent() == []
    shop.wait(3)

    contact, deal = shop.sent()

    assert (contact.object_type, contact.properties["email"]) == (ObjectType.CONTACT, EVE)
    assert deal.external_id == "magento-cart-17"
    assert deal.associations == {ObjectType.CONTACT: (contact.external_id,)}
    changed_ms = deal.properties.pop("cart_changed_at")  # type: ignore[attr-defined]  # a dictionary
    assert int(changed_ms) == shop.now_ms - 61 * 60_000
    assert deal.properties == {
        "name": "Cart 17", "amount": "23.80", "currency": "EUR", "stage": "checkout_abandoned", "store": "default",
        "created_at": "1699999200000", "cart_items": "2 x Mug (11.90)", "cart_item_count": "2",
        "cart_url": "https://shop.example.com/cart?id=17",
    }  # fmt: skip
    assert contact.properties["cart_open"] == "true"
    assert contact.properties["cart_url"] == "https://shop.example.com/cart?id=17"
    assert contact.properties["cart_changed_at"] == changed_ms


@pytest.mark.parametrize(
    "columns",
    [{"customer_email": None}, {"customer_email": "  "}, {"is_active": 0}],
    ids=["no address", "a blank address", "not active"],
)
def test_a_cart_that_nobody_is_known_for_is_never_sent(shop: CartShop, columns: dict[str, None]) -> None:
    """Nor is one that the shop does not offer to anybody any more."""
    shop.fill(**columns)
    shop.wait(600)

    assert shop.sent() == []


def test_a_cart_without_a_line_is_never_sent(shop: CartShop) -> None:
    """A child of a configurable is no line of its own."""
    shop.harness.insert("quote", **quote())
    shop.harness.insert("quote_item", **line(2, parent_item_id=1))
    shop.wait(600)

    assert shop.sent() == []


def test_churn_costs_no_message_and_starts_no_clock_anew(shop: CartShop) -> None:
    """Every page of the checkout saves quote and address; only what is sent counts as a change."""
    row = shop.fill()
    shop.harness.insert("quote_address", address_id=3, quote_id=17, address_type="shipping")
    for minute in range(1, 60):
        shop.harness.now_ms += 59_000
        row = shop.harness.update("quote", row, updated_at=f"2023-11-14 22:{minute:02}:30")
    shop.wait(2)
    assert set(shop.said()) >= {"cart-17"}
    for minute in range(1, 60):
        row = shop.harness.update("quote", row, updated_at=f"2023-11-14 23:{minute:02}:30")
    shop.wait(120)

    assert shop.sent() == []


def test_the_address_typed_at_the_checkout_counts(shop: CartShop) -> None:
    """Magento writes it into the quote's addresses before the quote has it; the billing address's wins."""
    shop.fill(customer_email=None)
    shop.harness.insert("quote_address", address_id=3, quote_id=17, address_type="shipping", email="other@example.com")
    shop.harness.insert(
        "quote_address", address_id=4, quote_id=17, address_type="billing", email=EVE.upper(), firstname="Eve"
    )
    shop.wait(61)

    contact, _ = shop.sent()
    assert (contact.properties["email"], contact.properties["firstname"]) == (EVE, "Eve")


def test_who_comes_back_changes_the_deal_and_starts_the_time_anew(shop: CartShop) -> None:
    """Another quantity is one message with the stage "pending"; an hour later the cart is abandoned again."""
    shop.fill()
    shop.wait(61)
    shop.sent()
    shop.harness.update("quote_item", line(), qty="3.0000")

    [contact, deal] = shop.sent()
    assert (deal.properties["stage"], deal.properties["cart_items"]) == ("checkout_pending", "3 x Mug (11.90)")
    assert contact.properties["cart_changed_at"] == deal.properties["cart_changed_at"] == str(shop.now_ms)
    shop.wait(59)
    assert shop.sent() == []
    shop.wait(2)
    assert shop.said() == {"cart-17": "checkout_abandoned"}


def test_an_order_ends_the_cart_before_it_is_sent(shop: CartShop) -> None:
    """Who orders within the hour never was an abandoned cart."""
    row = shop.fill()
    shop.order()
    shop.harness.update("quote", row, is_active=0)
    shop.wait(600)

    assert not any(name.startswith("cart-") for name in shop.said())


def test_an_order_takes_the_place_of_its_cart(shop: CartShop) -> None:
    """The order's deal goes first and then the cart's goes; the contact's cart is cleared."""
    shop.fill()
    shop.wait(61)
    [guest, _] = shop.sent()
    shop.order()

    found = shop.sent()
    deals = [(one.external_id, one.action) for one in found if one.object_type is ObjectType.DEAL]
    [contact] = [one for one in found if one.external_id == guest.external_id]
    assert deals == [("magento-order-42", Action.UPSERT), ("magento-cart-17", Action.DELETE)]
    assert [contact.properties[name] for name in ("cart_open", "cart_url", "cart_changed_at")] == ["", "", ""]


def test_a_late_change_of_the_quote_never_reopens_it(shop: CartShop) -> None:
    """Magento deactivates the quote in a transaction behind the order's, and may save it again long after."""
    row = shop.fill()
    shop.wait(61)
    shop.order()
    shop.sent()
    row = shop.harness.update("quote", row, grand_total="99.0000")
    row = shop.harness.update("quote", row, is_active=0)
    shop.harness.update("quote", row, is_active=1)  # a payment failed, and the shopper has the cart back
    shop.wait(600)

    assert shop.sent() == []


def test_a_second_order_of_one_cart_has_a_deal_of_its_own(shop: CartShop) -> None:
    """Delivery to several addresses makes several orders of one quote; the cart's deal is the first one's."""
    shop.fill(customer_email=EVE)
    shop.wait(61)
    shop.sent()
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

    journeys = dict(shop.engine.store.db.execute("SELECT id, address FROM outbox WHERE kind = 'order'"))
    assert journeys == {42: b"cart:17", 43: b""}
    assert shop.said().keys() >= {"order-42", "order-43", "cart-17"}


@pytest.mark.parametrize("how", ["cleaned", "deactivated", "emptied", "merged", "negotiated", "negotiated-old"])
def test_a_cart_that_ends_without_an_order_goes(shop: CartShop, how: str) -> None:
    """Deleted by Magento's cron with all its lines, deactivated, emptied, merged into the account's cart, or
    negotiated.
    """
    row = shop.fill()
    shop.wait(61)
    [contact, _] = shop.sent()
    match how:
        case "cleaned":
            shop.harness.delete("quote", row)
        case "deactivated":
            shop.harness.update("quote", row, is_active=0)
        case "emptied":
            shop.harness.delete("quote_item", line())
        case "merged":  # the guest logs in: the lines go to the account's quote, and the guest's quote is deleted
            shop.fill(line(5, quote_id=18), entity_id=18, customer_id=None, customer_email="ann@example.com")
            shop.harness.delete("quote", row)
        case "negotiated":
            shop.harness.insert("negotiable_quote", quote_id=17, is_regular_quote=1)
        case "negotiated-old":  # without the column
            shop.harness.insert("negotiable_quote", quote_id=17)

    assert shop.said() == {"cart-17": "DELETE", contact.external_id.removeprefix("magento-"): "DELETE"}


def test_a_reorder_is_a_cart_of_its_own(shop: CartShop) -> None:
    """Who orders again gets a new quote, which begins a journey of its own."""
    shop.fill()
    shop.order()
    shop.sent()
    shop.fill(line(9, quote_id=18), entity_id=18)
    shop.wait(61)

    assert shop.said()["cart-18"] == "checkout_abandoned"


def test_an_account_cart_hangs_on_the_account(shop: CartShop) -> None:
    """A customer who is logged in need not type an address."""
    shop.harness.insert("customer_entity", entity_id=7, email="ann@example.com", website_id=1, group_id=1)
    shop.sent()
    shop.fill(customer_id=7, customer_email="ann@example.com")
    shop.wait(61)

    contact, deal = shop.sent()
    assert contact.external_id == "magento-customer-7"
    assert deal.associations == {ObjectType.CONTACT: ("magento-customer-7",)}


def two_carts(shop: CartShop) -> dict[str, Value]:
    """The same shopper leaves a cart on each of two devices; the second one's quote."""
    shop.fill()
    shop.harness.now_ms += 1000
    row = shop.fill(line(2, quote_id=18), entity_id=18)
    shop.wait(61)
    [contact, *_] = shop.sent()
    assert contact.properties["cart_url"].endswith("id=18")
    return row


def test_the_newest_of_several_carts_shows_on_the_contact(shop: CartShop) -> None:
    """When it goes, the older one shows again."""
    row = two_carts(shop)
    shop.harness.delete("quote", row)

    [contact] = [one for one in shop.sent() if one.object_type is ObjectType.CONTACT]
    assert contact.properties["cart_url"].endswith("id=17")


def test_who_has_ordered_is_not_reminded_of_an_older_cart(shop: CartShop) -> None:
    """The cart of the other device keeps its deal, and shows on the contact once it is changed again."""
    two_carts(shop)
    shop.order(quote_id=18)
    sent = shop.sent()
    [contact] = [one for one in sent if one.object_type is ObjectType.CONTACT]
    assert contact.properties["cart_open"] == ""
    assert "magento-cart-17" not in [one.external_id for one in sent]
    shop.harness.now_ms += 30 * 86_400_000
    shop.harness.update("quote_item", line(), qty="5.0000")

    [contact] = [one for one in shop.sent() if one.object_type is ObjectType.CONTACT]
    assert contact.properties["cart_url"].endswith("id=17")


def test_without_the_setting_nothing_of_carts_is_read() -> None:
    """Quote tables are neither decoded nor kept, and no column of orders is added."""
    with cart_shop(enabled=False) as shop:
        names = {spec.name: spec.columns for spec in shop.engine.tables}

    assert not [name for name in names if name.startswith(("quote", "negotiable"))]
    assert "quote_id" not in names["sales_order"]
