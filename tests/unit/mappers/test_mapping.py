"""The mapping as a whole: the allow-list of columns, versions, pulls."""

from __future__ import annotations

import pytest

from cdc.model import FetchByKey, Kind, ObjectRef, TableSpec, Value
from cdc.protocols import Mapper
from cdc.settings.mapping import MappingSettings
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from tests.kit import schema
from tests.unit.mappers.shops import customer, item, order, shop_rows

# Columns that must never leave a shop, nor be decoded: secrets, computers, card data, and personal data nobody maps.
NEVER = {
    "customer_entity": {
        "password_hash", "rp_token", "rp_token_created_at", "confirmation", "failures_num", "first_failure",
        "lock_expires", "session_cutoff", "gender", "taxvat",
    },
    "newsletter_subscriber": {"subscriber_confirm_code"},
    "sales_order": {
        "protect_code", "remote_ip", "x_forwarded_for", "customer_note", "customer_taxvat", "customer_gender",
        "customer_dob",
    },
    "sales_order_payment": {
        "additional_information", "additional_data", "last_trans_id", "po_number", "account_status", "address_status",
    },
    "sales_order_address": {"vat_id", "vat_request_id", "fax", "email"},
    "customer_address_entity": {"vat_id", "vat_request_id", "fax"},
}  # fmt: skip
NEVER_TABLES = {
    "quote", "quote_payment", "persistent_session", "wishlist", "sales_payment_transaction", "core_config_data",
    "session", "cache", "oauth_consumer", "oauth_token", "oauth_nonce", "integration", "jwt_auth_revoked",
    "admin_user", "admin_passwords", "admin_user_session", "tfa_user_config", "password_reset_request_event",
    "login_as_customer", "sales_order_confirm_cancel", "downloadable_link_purchased_item",
}  # fmt: skip
SECRET_WORDS = ("password", "token", "secret", "hash", "protect_code", "cc_", "echeck", "remote_ip", "confirm_code")
TABLES = MagentoMapping(MappingSettings()).tables


def test_no_column_that_must_stay_in_the_shop_is_named() -> None:
    """Secrets, card data and personal data that nobody maps are in no allow-list, so they are never decoded."""
    for spec in TABLES:
        assert spec.name not in NEVER_TABLES
        assert not {*spec.columns, *spec.derived} & NEVER.get(spec.name, set())
        for column in spec.columns:
            assert not any(word in column for word in SECRET_WORDS), f"{spec.name}.{column}"
            assert not column.startswith("base_"), f"{spec.name}.{column}: base currency must not be mixed in"
    assert {c for spec in TABLES if spec.name == "sales_order_payment" for c in spec.columns} == {
        "entity_id", "parent_id", "method",
    }  # fmt: skip


@pytest.mark.parametrize("spec", TABLES, ids=lambda spec: spec.name)
def test_specs_are_sound(spec: TableSpec) -> None:
    """Key columns come first, every index is of kept columns, no column twice, no grid table (they are copies)."""
    kept = {*spec.columns, *spec.derived} - spec.transient

    assert spec.columns[: len(spec.key)] == spec.key
    assert len(set(spec.columns)) == len(spec.columns)
    assert all(set(index) <= kept for index in spec.indexes)
    assert spec.transient <= set(spec.columns)
    assert not spec.name.endswith(("_grid", "_grid_flat"))


@pytest.mark.parametrize("spec", TABLES, ids=lambda spec: spec.name)
def test_every_column_is_one_of_magentos(spec: TableSpec) -> None:
    """Tables, columns and keys are those of Magento 2.4.8."""
    real = schema.tables()[spec.name]

    assert set(spec.columns) <= set(real.columns)
    assert list(spec.key) == real.primary


def test_reference_tables_are_loaded_first() -> None:
    """Nothing is rendered before stores, groups and attributes are known."""
    references = [spec.reference for spec in TABLES]

    assert references == sorted(references, reverse=True)


def test_version_changes_with_the_settings() -> None:
    """A changed mapping has another version; the same settings have the same, in every process."""
    mapper: Mapper = MagentoMapping(MappingSettings())

    assert mapper.version == MagentoMapping(MappingSettings()).version
    assert mapper.version != MagentoMapping(MappingSettings(store_view="de")).version
    assert mapper.version != MagentoMapping(MappingSettings(stages={"closed": "shipped"})).version


def test_an_id_of_the_wrong_kind_names_no_object() -> None:
    """A number is no guest, and digits are no number."""
    rows = shop_rows({"sales_order": [order()]})

    assert rows.mapper.render(ObjectRef(Kind.ORDER, "1"), rows) is None
    assert rows.mapper.render(ObjectRef(Kind.GUEST, 1), rows) is None


def tables_of(fetches: tuple[FetchByKey, ...]) -> dict[str, tuple[str, Value]]:
    return {pull.table: (pull.column, pull.value) for pull in fetches}


def test_an_item_pulls_its_order_once_it_is_known() -> None:
    """First its own row; that row names the order, whose rows are all it needs."""
    rows = shop_rows()
    ref = ObjectRef(Kind.ITEM, 1)
    assert rows.mapper.fetches(ref, rows) == (FetchByKey("sales_order_item", "item_id", 1),)

    rows.put("sales_order_item", **item(order_id=4))

    later = rows.mapper.fetches(ref, rows)
    assert FetchByKey("sales_order", "entity_id", 4) in later
    assert FetchByKey("sales_order_item", "order_id", 4) in later
    rows.put("sales_order", **order(4))
    assert rows.mapper.fetches(ref, rows) == later


def test_an_order_pulls_all_its_rows() -> None:
    """Every table that a deal, its lines and its contact are made from."""
    found = tables_of(shop_rows().mapper.fetches(ObjectRef(Kind.ORDER, 4), shop_rows()))

    assert found == {
        "sales_order": ("entity_id", 4),
        "sales_order_item": ("order_id", 4),
        "sales_order_address": ("parent_id", 4),
        "sales_order_payment": ("parent_id", 4),
        "sales_invoice": ("order_id", 4),
        "sales_shipment_track": ("order_id", 4),
    }


def test_a_customer_pulls_orders_only_while_its_row_is_missing() -> None:
    """With a row: the row, its addresses, its subscriptions. Without: its orders, then the newest one's address."""
    ref = ObjectRef(Kind.CUSTOMER, 7)
    rows = shop_rows()
    assert tables_of(rows.mapper.fetches(ref, rows)).keys() == {
        "customer_entity", "customer_address_entity", "newsletter_subscriber", "sales_order",
    }  # fmt: skip

    rows.put("sales_order", **order(4, customer_id=7))
    assert FetchByKey("sales_order_address", "parent_id", 4) in rows.mapper.fetches(ref, rows)

    rows.put("customer_entity", **customer())
    assert tables_of(rows.mapper.fetches(ref, rows)).keys() == {
        "customer_entity", "customer_address_entity", "newsletter_subscriber",
    }  # fmt: skip


def test_a_product_pulls_its_row_and_its_values() -> None:
    """The entity row and each value table, by entity_id."""
    fetches = shop_rows().mapper.fetches(ObjectRef(Kind.PRODUCT, 10), shop_rows())

    assert {(pull.column, pull.value) for pull in fetches} == {("entity_id", 10)}
    assert len(fetches) == 5


def test_a_guest_pulls_the_address_of_its_newest_order() -> None:
    """All of a guest comes from one order that is known already."""
    guest = ObjectRef(Kind.GUEST, str(guest_id("ann@example.com")))
    rows = shop_rows({"sales_order": [order(1), order(2)]})

    assert rows.mapper.fetches(guest, rows) == (FetchByKey("sales_order_address", "parent_id", 2),)
    assert rows.mapper.fetches(guest, shop_rows()) == ()
