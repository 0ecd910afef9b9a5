"""Orders: placed in every way and of every kind of line, paid, sent, held, edited, paid back, deleted."""

from __future__ import annotations

from collections.abc import Callable

from tests.kit.events.stage import Scene, World
from tests.kit.shop import Line
from tests.kit.shop.orders import CAPTURED, REDIRECTED


def _placed(name: str, buyer: str, products: tuple[str, ...], **more: object) -> Callable[[World], None]:
    """A scene in which ``buyer`` (an account's name, else a guest) orders one or two of each product."""

    def scene(world: World) -> None:
        shop = world.shop
        who = world.customers[buyer] if buyer in world.customers else shop.person()
        lines = [Line(world.products[product], 1 + at % 2) for at, product in enumerate(products)]
        world.orders[name] = shop.place_order(who, lines, **more)  # type: ignore[arg-type]

    return scene


def _configurable(world: World) -> None:
    line = Line(world.products["shirt"], 2, world.products.variants[1])
    world.orders["shirt"] = world.shop.place_order(world.customers["regular"], [line])


def _with_a_new_address(world: World) -> None:
    """A registered buyer saves an address at the checkout: in a transaction of its own, before the order."""
    world.shop.add_address(world.customers["collector"], default=True)
    _placed("addressed", "collector", ("notebook",))(world)


def _by_the_merchant(world: World) -> None:
    """The admin makes the account, then the order."""
    world.customers["by phone"] = world.shop.register(with_address=False)
    _placed("by phone", "by phone", ("mug",), comment="By phone, please ring.")(world)


def _to_two_addresses(world: World) -> None:
    """Multishipping: several orders from one cart."""
    shop = world.shop
    first = shop.place_order(world.customers["regular"], [Line(world.products["mug"])])
    second = shop.place_order(world.customers["regular"], [Line(world.products["cap"])])
    with shop.db.transaction():
        shop.db.update("sales_order", {"entity_id": second}, quote_id=shop.order(first)["quote_id"])


def _failed(world: World) -> None:
    """The order's number is burnt, the stock reserved and given back, the order itself rolled back."""
    shop = world.shop
    with shop.db.transaction():
        shop.db.insert("sequence_order_1", sequence_value=None)
    for quantity in (-1, 1):
        with shop.db.transaction():
            shop.db.insert("inventory_reservation", stock_id=1, sku="MUG-01", quantity=quantity, metadata="{}")
    shop.db.connection.begin()
    shop.db.insert("sales_order", increment_id="never", store_id=1, customer_email="never@example.com")
    shop.db.connection.rollback()


def _without_address(world: World) -> None:
    """A module's or importer's order: no address, no payment, no email, a state that Magento does not know."""
    shop = world.shop
    with shop.db.transaction():
        world.orders["imported"] = shop.db.insert(
            "sales_order", increment_id="OLD-77", store_id=1, state="shipped_long_ago", grand_total="12.0000",
            order_currency_code="EUR", customer_is_guest=1,
        )  # fmt: skip


def _free(world: World) -> None:
    """A coupon takes all of it: nothing to pay, complete without an invoice once it is sent."""
    lines = [Line(world.products["wrapping"])]
    who = world.customers["regular"]
    world.orders["free"] = world.shop.place_order(who, lines, payment="free", coupon="GRATIS", discount_percent=100)
    order = world.orders["free"]
    with world.shop.db.transaction():
        world.shop.db.update("sales_order", {"entity_id": order}, state="complete", status="complete")


def _on(method: str, name: str, *arguments: object, **more: object) -> Callable[[World], None]:
    """A scene in which something happens to the order of that name."""

    def scene(world: World) -> None:
        getattr(world.shop, method)(world.orders[name], *arguments, **more)

    return scene


def _paid_in_part(world: World) -> None:
    [top, *_] = _tops(world, "bundle")
    world.shop.invoice(world.orders["bundle"], {top: 1})


def _sent_in_part(world: World) -> None:
    """Nothing of the order's own row changes: only the shipment and the lines."""
    shop, order = world.shop, world.orders["bundle"]
    first = shop.shippable(order)[0]
    world.documents["parcel"] = shop.ship(order, {first: 1}, tracks=[("ups", "UPS", "1Z0001")])


def _tracked_later(world: World) -> None:
    track = ("dhl", "DHL", "00340001")
    world.documents["track"] = world.shop.add_track(world.orders["bundle"], world.documents["parcel"], track)


def _untracked(world: World) -> None:
    world.shop.remove_track(world.documents["track"])


def _refunded_in_part(world: World) -> None:
    world.shop.refund(world.orders["captured"], {_tops(world, "captured")[0]: 1})


def _refunded_order_first(world: World) -> None:
    """The REST path saves the order before the credit memo: it makes no difference."""
    shop, order = world.shop, world.orders["shirt"]
    paid = shop.order(order)["total_paid"]
    with shop.db.transaction():
        shop.db.update("sales_order", {"entity_id": order}, total_refunded=paid, state="closed", status="closed")
        shop.db.insert("sales_creditmemo", order_id=order, state=2, grand_total=paid, increment_id="1CM", store_id=1)


def _cancelled_in_part(world: World) -> None:
    """One of two is paid, the rest is cancelled: the order stays in process."""
    shop = world.shop
    order = shop.place_order(world.shop.person(), [Line(world.products["notebook"], 2)])
    shop.invoice(order, {shop.items(order)[0]["item_id"]: 1})
    shop.cancel(order)


def _edited(world: World) -> None:
    world.orders["new mugs"] = world.shop.edit_order(world.orders["mugs"], [Line(world.products["cap"])])


def _anonymised(world: World) -> None:
    """A privacy module overwrites the person everywhere; nothing is deleted."""
    shop, order = world.shop, world.orders["captured"]
    with shop.db.transaction():
        shop.db.update(
            "sales_order", {"entity_id": order}, customer_email="anonymous@example.com", customer_firstname="-",
            customer_lastname="-",
        )  # fmt: skip
        shop.db.update(
            "sales_order_address", {"parent_id": order}, firstname="-", lastname="-", street="-", telephone="-",
            email="anonymous@example.com", company=None,
        )  # fmt: skip


def _adopted(world: World) -> None:
    """A guest registers afterwards: the order becomes the account's, the guest is no more."""
    shop, order = world.shop, world.orders["mugs by a guest"]
    world.customers["former guest"] = shop.register(shop.guest_of(order))
    shop.adopt_guest_order(order, world.customers["former guest"])


def _guest_again(world: World) -> None:
    """A guest's second order: the contact is the newest one's."""
    shop = world.shop
    guest = shop.guest_of(world.orders["captured"])
    moved = type(guest)(**{**vars(guest), "city": "Newtown", "telephone": "+00 555 9999"})
    world.orders["captured again"] = shop.place_order(moved, [Line(world.products["poster"])])


def _together(world: World) -> None:
    """A bundle whose parts ship together: what was shipped counts on the bundle's own row."""
    shop = world.shop
    order = shop.place_order(world.customers["collector"], [Line(world.products["giftbox"], 2)])
    shop.invoice(order)
    shop.ship(order, {shop.items(order)[0]["item_id"]: 1}, tracks=[("ups", "UPS", "1Z0002")])


def _sent_at_once(world: World) -> None:
    """Paid as it is placed, and sent within the hour."""
    shop = world.shop
    order = shop.place_order(shop.person(), [Line(world.products["mug"])], payment=CAPTURED)
    world.orders["called back"] = order
    world.documents["called back"] = shop.ship(order, tracks=[("dhl", "DHL", "00340002")])


def _moved_back(world: World) -> None:
    """The parcel is called back: the shipment goes with its track, the stage goes backwards."""
    shop, order = world.shop, world.orders["called back"]
    with shop.db.transaction():
        shop.db.delete("sales_shipment", entity_id=world.documents["called back"])
        shop.db.update("sales_order_item", {"order_id": order}, qty_shipped=0)
        shop.db.update("sales_order", {"entity_id": order}, state="processing", status="processing")


def _customer_anonymised(world: World) -> None:
    """A privacy module overwrites an account and its address; the account stays."""
    shop, who = world.shop, world.customers["by phone"]
    shop.add_address(who, default=True)
    with shop.db.transaction():
        shop.db.update("customer_entity", {"entity_id": who}, email="gone-1@example.com", firstname="-", lastname="-")
        shop.db.update(
            "customer_address_entity", {"parent_id": who}, firstname="-", lastname="-", street="-", telephone="-",
            company=None, city="-", postcode=None, region=None,
        )  # fmt: skip


def _tops(world: World, name: str) -> list[int]:
    items = world.shop.items(world.orders[name])
    return [item["item_id"] for item in items if item["parent_item_id"] is None]


SALES: tuple[Scene, ...] = (
    ("order-guest-simple", _placed("mugs by a guest", "a guest", ("mug", "cap"))),
    ("order-customer-coupon", _placed("mugs", "regular", ("mug",), coupon="SPRING10", discount_percent=10)),
    ("order-configurable", _configurable),
    ("order-bundle-dynamic-discounted", _placed("bundle", "regular", ("cap", "starter"), discount_percent=10)),
    ("order-bundle-fixed-other-currency", _placed("box", "collector", ("giftbox",), store=2)),
    ("order-grouped", _placed("grouped", "collector", ("stationery",))),
    ("order-virtual-downloadable", _placed("virtual", "regular", ("wrapping", "pattern"))),
    ("order-guest-captured", _placed("captured", "a guest", ("mug", "notebook"), payment=CAPTURED)),
    ("order-guest-second", _guest_again),
    ("order-redirected", _placed("redirected", "a guest", ("cap",), payment=REDIRECTED)),
    ("order-customer-new-address", _with_a_new_address),
    ("order-by-merchant", _by_the_merchant),
    ("order-multishipping", _to_two_addresses),
    ("order-failed", _failed),
    ("order-without-address", _without_address),
    ("order-free", _free),
    ("order-paid", _on("invoice", "mugs by a guest", transaction="bank-1")),
    ("order-paid-in-part", _paid_in_part),
    ("order-sent-in-part", _sent_in_part),
    ("order-track-added", _tracked_later),
    ("order-track-removed", _untracked),
    ("order-paid-rest", _on("invoice", "bundle")),
    ("order-sent-rest", _on("ship", "bundle")),
    ("order-sent-before-paid", _on("ship", "shirt")),
    ("order-paid-after-sent", _on("invoice", "shirt")),
    ("order-virtual-paid", _on("invoice", "virtual")),
    ("order-held", _on("hold", "captured")),
    ("order-released", _on("unhold", "captured")),
    ("order-review", _on("review_payment", "box")),
    ("order-custom-status", _on("set_status", "captured", "packing", "Being packed.")),
    ("order-comment", _on("comment", "captured", "Customer called.")),
    ("order-address-edited", _on("edit_address", "grouped", "billing", city="Elsewhere", telephone="+00 555 0199")),
    ("order-never-paid", _on("cancel", "redirected")),
    ("order-cancelled-in-part", _cancelled_in_part),
    ("order-refund-in-part", _refunded_in_part),
    ("order-refund-adjustment", _on("refund", "bundle", {}, adjustment="5.00")),
    ("order-refund-rest", _on("refund", "bundle", adjustment="-5.00")),
    ("order-refund-order-first", _refunded_order_first),
    ("order-edited", _edited),
    ("order-anonymised", _anonymised),
    ("order-guest-registers", _adopted),
    ("order-bundle-together-sent-in-part", _together),
    ("order-sent-at-once", _sent_at_once),
    ("order-moved-back", _moved_back),
    ("order-customer-anonymised", _customer_anonymised),
    ("order-deleted", _on("delete_order", "virtual")),
    ("order-deleted-last-of-guest", _on("delete_order", "redirected")),
)
