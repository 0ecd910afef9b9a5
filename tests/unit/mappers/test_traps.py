"""The traps of Magento's tables, each by its name: what a reader that takes rows at face value gets wrong.

Through the real replica and mapping: what would have gone to HubSpot. Those that need a server to show are in
``tests/integration/test_business_events.py``, Adobe Commerce's in ``tests/acceptance/test_row_ids.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from cdc.model import Action, Message, ObjectType, Op, Value
from cdc.settings.mapping import MappingSettings
from cdc.settings.unmappable import why_not
from mappers.mapping import MagentoMapping
from tests.kit.replica_harness import ReplicaHarness, replica_harness
from tests.unit.mappers.shops import REFERENCES, address, customer, item, order, value

Rows = Mapping[str, Value]
TABLES = MagentoMapping(MappingSettings()).tables
PRODUCT: Rows = {"entity_id": 10, "sku": "MUG", "type_id": "simple", "created_at": "2026-01-01 00:00:00"}


def opened(harness: ReplicaHarness) -> ReplicaHarness:
    """With a fresh install's reference rows."""
    for table, rows in REFERENCES.items():
        for row in rows:
            harness.insert(table, **row)
    return harness


@pytest.fixture
def harness() -> Iterator[ReplicaHarness]:
    with replica_harness() as made:
        yield opened(made)


def by_id(messages: list[Message]) -> dict[str, Message]:
    return {message.external_id.removeprefix("magento-"): message for message in messages}


def test_trap_1_cascaded_deletes_are_invisible(harness: ReplicaHarness) -> None:
    """One DELETE of an order takes its lines along; one of a customer takes the contact off his orders."""
    harness.insert("customer_entity", **customer(7))
    harness.insert("sales_order", **order(1, customer_id=7, customer_is_guest=0))
    harness.insert("sales_order", **order(2, customer_id=7, customer_is_guest=0))
    harness.insert("sales_order_item", **item(5, order_id=1, product_id=None))
    harness.sent()

    harness.delete("sales_order", order(1, customer_id=7, customer_is_guest=0))
    gone = by_id(harness.sent())
    harness.delete("customer_entity", customer(7))
    left = by_id(harness.sent())

    assert {key: message.action for key, message in gone.items()} == dict.fromkeys(("order-1", "item-5"), Action.DELETE)
    assert left["customer-7"].action is Action.DELETE
    assert left["order-2"].associations == {}


def test_trap_2_attribute_ids_differ_per_shop(harness: ReplicaHarness) -> None:
    """Attributes are found by code, also one that gets another id and another table while the daemon runs."""
    harness.insert("catalog_product_entity", **PRODUCT)
    harness.insert("catalog_product_entity_varchar", **value(1, "name", "Mug"))
    harness.sent()
    [name] = [row for row in REFERENCES["eav_attribute"] if row["attribute_id"] == 73]

    harness.delete("eav_attribute", name)
    harness.insert("eav_attribute", **{**name, "attribute_id": 500, "backend_type": "text"})
    moved: dict[str, Value] = {"value_id": 9, "entity_id": 10, "attribute_id": 500, "store_id": 0, "value": "Big mug"}
    harness.insert("catalog_product_entity_text", **moved)

    assert by_id(harness.sent())["product-10"].properties["name"] == "Big mug"


def test_trap_3_store_0_is_the_default_scope() -> None:
    """A view's own row wins over store 0's; deleting it falls back, and does not clear."""
    with replica_harness(store_view="de") as harness:
        opened(harness).insert("catalog_product_entity", **PRODUCT)
        own = value(2, "name", "Tasse", store=2)
        harness.insert("catalog_product_entity_varchar", **value(1, "name", "Mug"))
        harness.insert("catalog_product_entity_varchar", **own)
        other = value(3, "name", "Cup", store=1)
        harness.insert("catalog_product_entity_varchar", **other)
        assert by_id(harness.sent())["product-10"].properties["name"] == "Tasse"

        harness.delete("catalog_product_entity_varchar", own)
        assert by_id(harness.sent())["product-10"].properties["name"] == "Mug"

        harness.delete("catalog_product_entity_varchar", other)
        assert harness.sent() == []


def test_trap_4_an_empty_value_is_no_row(harness: ReplicaHarness) -> None:
    """A field that is cleared is a deleted row: it is sent as "", which clears it."""
    held = value(1, "description", "<p>Holds 0.3 l</p>")
    harness.insert("catalog_product_entity", **PRODUCT)
    harness.insert("catalog_product_entity_text", **held)
    harness.sent()

    harness.delete("catalog_product_entity_text", held)

    assert by_id(harness.sent())["product-10"].properties["description"] == ""


def test_trap_5_a_line_may_be_several_rows(harness: ReplicaHarness) -> None:
    """A configurable is one line with the parent's money and the child's product, a bundle one with its parts' sum."""
    dynamic = '{"product_calculations":0,"shipment_type":0}'
    bundle = item(3, product_id=30, product_type="bundle", product_options=dynamic, row_total="70.0000")
    harness.commit(
        *(harness.change(table, op, None, row) for table, op, row in (
            ("sales_order", Op.INSERT, order(1)),
            ("sales_order_item", Op.INSERT, item(1, product_id=10, product_type="configurable")),
            ("sales_order_item", Op.INSERT, item(2, parent_item_id=1, product_id=11, row_total="0.0000")),
            ("sales_order_item", Op.INSERT, bundle),
            ("sales_order_item", Op.INSERT, item(4, parent_item_id=3, product_id=12, discount_amount="3.0000")),
            ("sales_order_item", Op.INSERT, item(5, parent_item_id=3, product_id=13, discount_amount="4.0000")),
        ))
    )  # fmt: skip
    lines = {key: message for key, message in by_id(harness.sent()).items() if key.startswith("item-")}

    assert lines.keys() == {"item-1", "item-3"}
    assert lines["item-1"].properties["amount"] == "59.90"
    assert lines["item-1"].associations[ObjectType.PRODUCT] == ("magento-product-11",)
    assert (lines["item-3"].properties["amount"], lines["item-3"].properties["discount_amount"]) == ("70.00", "7.00")


@pytest.mark.parametrize(("currency", "amount", "code"), [("order", "64.90", "USD"), ("base", "60.09", "EUR")])
def test_trap_6_base_and_order_currency_never_mix(currency: str, amount: str, code: str) -> None:
    """Amount and currency code are always of the same side, on the deal and on its lines."""
    sides: dict[str, Rows] = {
        "order": {"order_currency_code": "USD"},
        "base": {"base_currency_code": "EUR", "base_grand_total": "60.0900"},
    }
    with replica_harness(currency=currency) as harness:
        kept = {column for spec in harness.engine.tables if spec.name == "sales_order" for column in spec.columns}
        placed = {name: held for name, held in {**order(1), **sides["order"], **sides["base"]}.items() if name in kept}
        opened(harness).insert("sales_order", **placed)
        properties = by_id(harness.sent())["order-1"].properties

    assert (properties["amount"], properties["currency"]) == (amount, code)


@pytest.mark.parametrize(
    ("stored", "sent"),
    [("9999999999999999.9999", "9999999999999999.9999"), ("0.1000", "0.10"), ("1234567.125000", "1234567.125")],
)
def test_trap_7_money_is_decimal(harness: ReplicaHarness, stored: str, sent: str) -> None:
    """Every digit of a decimal(20,4) or (20,6) arrives; a float would round it."""
    harness.insert("sales_order", **order(1, grand_total=stored))

    assert by_id(harness.sent())["order-1"].properties["amount"] == sent


def test_trap_8_a_sku_is_no_key(harness: ReplicaHarness) -> None:
    """Two products with one sku are two, and a line whose sku has a suffix finds its product by id."""
    harness.insert("catalog_product_entity", **PRODUCT)
    harness.insert("catalog_product_entity", **{**PRODUCT, "entity_id": 11})
    harness.insert("sales_order", **order(1))
    harness.insert("sales_order_item", **item(1, product_id=11, sku="MUG-engraved"))
    sent = by_id(harness.sent())

    assert sent["product-10"].properties["sku"] == sent["product-11"].properties["sku"] == "MUG"
    assert sent["item-1"].associations[ObjectType.PRODUCT] == ("magento-product-11",)


def test_trap_9_an_order_number_is_no_key(harness: ReplicaHarness) -> None:
    """Two stores may use one number; it is text, with prefix and an edit's tail."""
    harness.insert("sales_order", **order(1, increment_id="W000000012-1", store_id=1))
    harness.insert("sales_order", **order(2, increment_id="W000000012-1", store_id=3))
    sent = by_id(harness.sent())

    assert sent["order-1"].properties["order_number"] == sent["order-2"].properties["order_number"] == "W000000012-1"


def test_trap_10_an_email_is_unique_per_website_only(harness: ReplicaHarness) -> None:
    """Two accounts with one email are two contacts by id."""
    harness.insert("customer_entity", **customer(7, website_id=1))
    harness.insert("customer_entity", **customer(8, website_id=2))
    sent = by_id(harness.sent())

    assert sent["customer-7"].properties["email"] == sent["customer-8"].properties["email"] == "bob@example.com"


def test_trap_11_updated_at_ticks_by_itself(harness: ReplicaHarness) -> None:
    """No table's ``updated_at`` is read, so that a row in which nothing else changed is no change."""
    harness.insert("sales_order", **order(1))
    harness.sent()
    harness.update("sales_order", order(1))

    assert harness.sent() == []
    assert not [spec.name for spec in TABLES if "updated_at" in spec.columns]


def test_trap_14_grid_tables_are_copies() -> None:
    """Nothing is made from the admin's lists, which are written twice or minutes later."""
    assert not [spec.name for spec in TABLES if "grid" in spec.name]


def test_trap_15_guests_have_no_row(harness: ReplicaHarness) -> None:
    """A guest is known by email; names come from the order, else from its billing address."""
    harness.commit(
        harness.change("sales_order", Op.INSERT, None, order(1, customer_email=" Ann@Example.com ")),
        harness.change("sales_order_address", Op.INSERT, None, address(1)),
    )
    harness.insert("sales_order", **order(2, customer_email="ann@example.com", customer_firstname="Anna"))
    [guest] = [message for key, message in by_id(harness.sent()).items() if key.startswith("guest-")]

    assert guest.properties["email"] == "ann@example.com"
    assert guest.properties["firstname"] == "Anna"


def test_trap_16_the_state_is_code_and_the_status_text(harness: ReplicaHarness) -> None:
    """A status that the merchant made up leaves the stage where the state puts it."""
    harness.insert("sales_order", **order(1, state="processing", status="waiting_for_the_kiln"))
    properties = by_id(harness.sent())["order-1"].properties

    assert (properties["stage"], properties["status"]) == ("processed", "waiting_for_the_kiln")


def test_trap_17_the_status_history_is_a_comment_log(harness: ReplicaHarness) -> None:
    """The order's own row tells its state: a cancelled order needs no row in a history that is not even read."""
    harness.insert("sales_order", **order(1))
    harness.sent()
    harness.update("sales_order", order(1), state="canceled", status="canceled")

    assert by_id(harness.sent())["order-1"].properties["stage"] == "cancelled"
    assert not [spec.name for spec in harness.engine.tables if "history" in spec.name]


def test_trap_18_secrets_travel_in_row_images() -> None:
    """No column that is read may leave the shop as a secret, and a mapping that names one is refused by name."""
    assert not [(spec.name, column) for spec in TABLES for column in spec.columns if why_not(spec.name, column)]
    for table, column in _SECRETS:
        assert why_not(table, column), (table, column)
    with pytest.raises(ValueError, match="protect_code must not leave the shop"):
        MappingSettings.model_validate({"deal": {"properties": {"key": "protect_code"}}})


_SECRETS = (
    ("customer_entity", "password_hash"), ("customer_entity", "rp_token"), ("customer_entity", "confirmation"),
    ("customer_entity", "session_cutoff"), ("quote", "password_hash"), ("persistent_session", "key"),
    ("wishlist", "sharing_code"), ("newsletter_subscriber", "subscriber_confirm_code"),
    ("sales_order", "remote_ip"), ("sales_order", "x_forwarded_for"),
    ("sales_order_confirm_cancel", "confirmation_key"), ("downloadable_link_purchased_item", "link_hash"),
    ("sales_order_payment", "cc_number_enc"), ("sales_order_payment", "echeck_account_name"),
    ("sales_order_payment", "additional_information"), ("sales_order_payment", "additional_data"),
    ("sales_order_payment", "last_trans_id"), ("sales_order_payment", "po_number"), ("quote_payment", "cc_type"),
    ("sales_payment_transaction", "additional_information"), ("sales_payment_transaction", "txn_id"),
    ("vault_payment_token", "details"), ("paypal_billing_agreement", "reference_id"), ("oauth_token", "token"),
    ("oauth_consumer", "key"), ("oauth_nonce", "nonce"), ("integration", "endpoint"), ("admin_user", "email"),
    ("jwt_auth_revoked", "user_id"), ("admin_passwords", "user_id"), ("admin_user_session", "user_id"),
    ("admin_adobe_ims_webapi", "id"), ("adobe_user_profile", "email"), ("tfa_user_config", "encoded_config"),
    ("password_reset_request_event", "account_reference"), ("login_as_customer", "secret"),
    ("core_config_data", "value"), ("session", "session_data"), ("cache", "data"),
)  # fmt: skip
"""What reference pages of Magento's own call secret, whole tables by one column of each."""
