"""What a fresh install holds: websites, stores, groups, attributes, order statuses, a few settings."""

from __future__ import annotations

import random
from typing import Any

from tests.kit.shop.db import Db

WEBSITES = ((0, "admin", "Admin", 0), (1, "base", "Main Website", 1), (2, "outlet", "Output", 2))
GROUPS = ((0, 0, "Default", "default", 0), (1, 1, "Main Website Store", "main_store", 1), (2, 2, "Output", "outlet", 3))
STORES = ((0, "admin", 0, 0, "Admin"), (1, "default", 1, 1, "English"), (2, "fr", 1, 1, "Français"),
          (3, "outlet", 2, 2, "Output"))  # fmt: skip
STORE_WEBSITE = {store: website for store, _, website, _, _ in STORES}
WEBSITE_OF = {website: name for website, _, name, _ in WEBSITES}

BASE_CURRENCY = "EUR"
STORE_CURRENCY = {1: ("EUR", "1"), 2: ("USD", "1.0800"), 3: ("EUR", "1")}
"""Store → the currency its orders are in, and that currency's rate to the base currency."""

CUSTOMER_GROUPS = ((0, "NOT LOGGED IN", 0), (1, "General", 3), (2, "Wholesale", 3), (3, "Retailer", 3))

ENTITY_TYPES = ((1, "customer", "customer_entity"), (2, "customer_address", "customer_address_entity"),
                (3, "catalog_category", "catalog_category_entity"), (4, "catalog_product", "catalog_product_entity"),
                (5, "order", "sales_order"), (6, "invoice", "sales_invoice"), (7, "creditmemo", "sales_creditmemo"),
                (8, "shipment", "sales_shipment"))  # fmt: skip

GLOBAL, STORE, WEBSITE = 1, 0, 2
PRODUCT_ATTRIBUTES = {
    "name": ("varchar", "text", STORE), "url_key": ("varchar", "text", STORE),
    "image": ("varchar", "media_image", STORE), "small_image": ("varchar", "media_image", STORE),
    "meta_title": ("varchar", "text", STORE),
    "options_container": ("varchar", "select", STORE), "gift_message_available": ("varchar", "select", GLOBAL),
    "country_of_manufacture": ("varchar", "select", WEBSITE), "description": ("text", "textarea", STORE),
    "short_description": ("text", "textarea", STORE), "meta_keyword": ("text", "textarea", STORE),
    "price": ("decimal", "price", GLOBAL), "special_price": ("decimal", "price", GLOBAL),
    "cost": ("decimal", "price", GLOBAL), "msrp": ("decimal", "price", GLOBAL), "weight": ("decimal", "weight", GLOBAL),
    "special_from_date": ("datetime", "date", WEBSITE), "news_from_date": ("datetime", "date", WEBSITE),
    "status": ("int", "select", WEBSITE), "visibility": ("int", "select", STORE),
    "tax_class_id": ("int", "select", WEBSITE), "color": ("int", "select", GLOBAL),
    "manufacturer": ("int", "select", GLOBAL), "price_type": ("int", "boolean", GLOBAL),
    "sku_type": ("int", "boolean", GLOBAL), "weight_type": ("int", "boolean", GLOBAL),
    "shipment_type": ("int", "select", GLOBAL), "price_view": ("int", "select", GLOBAL),
    "sku": ("static", "text", GLOBAL), "created_at": ("static", "date", GLOBAL),
    "updated_at": ("static", "date", GLOBAL),
    "category_ids": ("static", "text", GLOBAL), "size": ("int", "select", GLOBAL),
    "materials": ("text", "multiselect", GLOBAL),
}  # fmt: skip
"""Code → backend type, input, scope (``catalog_eav_attribute.is_global``); size and materials are the shop's own."""

CUSTOMER_ATTRIBUTES = {
    "email": "text", "firstname": "text", "lastname": "text", "group_id": "select", "dob": "date", "gender": "select",
    "website_id": "select", "store_id": "select", "default_billing": "text", "default_shipping": "text",
}  # fmt: skip
ADDRESS_ATTRIBUTES = ("firstname", "lastname", "company", "street", "city", "region", "postcode", "country_id",
                      "telephone")  # fmt: skip
CATEGORY_ATTRIBUTES = {
    "int": "is_anchor", "varchar": "custom_design", "text": "meta_keywords", "decimal": "filter_price_range",
    "datetime": "custom_design_from",
}  # fmt: skip

OPTIONS = {
    "color": ("Black", "Blue", "Red", "Green"),
    "size": ("S", "M", "L"),
    "manufacturer": ("Northwind Mills", "Almond & Sons"),
    "materials": ("Cotton", "Wool", "Polyester"),
    "loyalty_tier": ("Bronze", "Silver", "Gold"),
    "delivery_zone": ("Mainland", "Island"),
}
FRENCH = {"Black": "Noir", "Blue": "Bleu", "Red": "Rouge", "Green": "Vert", "Cotton": "Coton", "Wool": "Laine"}

STATUSES = (
    ("pending", "Pending", "new", 1), ("pending_payment", "Pending Payment", "pending_payment", 1),
    ("payment_review", "Payment Review", "payment_review", 1), ("fraud", "Suspected Fraud", "payment_review", 0),
    ("processing", "Processing", "processing", 1), ("complete", "Complete", "complete", 1),
    ("closed", "Closed", "closed", 1), ("canceled", "Canceled", "canceled", 1), ("holded", "On Hold", "holded", 1),
    ("paypal_reversed", "PayPal Reversed", "", 0), ("packing", "Packing", "processing", 0),
)  # fmt: skip
"""Status, label, its state ("" where unassigned), whether it is that state's default; ``packing`` is the merchant's."""

SETTINGS = (
    ("default", 0, "currency/options/base", BASE_CURRENCY), ("default", 0, "currency/options/default", BASE_CURRENCY),
    ("stores", 2, "currency/options/default", "USD"), ("default", 0, "general/locale/timezone", "Europe/Paris"),
    ("default", 0, "catalog/price/scope", "0"), ("default", 0, "customer/account_share/scope", "1"),
    ("default", 0, "web/secure/base_url", "https://shop.example.com/"),
    ("default", 0, "payment/example_gateway/secret", "not-a-real-secret"),
)  # fmt: skip


def install(db: Db, rng: random.Random) -> None:
    """Write all seeds, one transaction per topic. Attribute ids depend on ``rng``: no two installs agree on them."""
    mode = db.rows("SELECT @@sql_mode AS mode")[0]["mode"]
    db.execute("SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO'")  # id 0 of each is the admin scope
    _stores(db)
    _attributes(db, rng)
    _options(db)
    with db.transaction():
        db.insert_many("sales_order_status", [{"status": status, "label": label} for status, label, _, _ in STATUSES])
        states = [
            {"status": status, "state": state, "is_default": default, "visible_on_front": 1}
            for status, _, state, default in STATUSES
            if state
        ]
        db.insert_many("sales_order_status_state", states)
        db.insert("sales_order_status_label", status="pending", store_id=2, label="En attente")
    with db.transaction():
        columns = ("scope", "scope_id", "path", "value")
        db.insert_many("core_config_data", [dict(zip(columns, row, strict=True)) for row in SETTINGS])
    db.execute("SET SESSION sql_mode=%s", mode)


def _stores(db: Db) -> None:
    with db.transaction():
        db.insert_many("store_website", [
            {"website_id": number, "code": code, "name": name, "default_group_id": group,
             "is_default": int(number == 1)} for number, code, name, group in WEBSITES
        ])  # fmt: skip
        db.insert_many("store_group", [
            {"group_id": number, "website_id": website, "name": name, "code": code,
             "root_category_id": 2 * bool(number), "default_store_id": store}
            for number, website, name, code, store in GROUPS
        ])  # fmt: skip
        db.insert_many("store", [
            {"store_id": number, "code": code, "website_id": website, "group_id": group, "name": name, "is_active": 1}
            for number, code, website, group, name in STORES
        ])  # fmt: skip
        columns = ("customer_group_id", "customer_group_code", "tax_class_id")
        db.insert_many("customer_group", [dict(zip(columns, row, strict=True)) for row in CUSTOMER_GROUPS])


def _attributes(db: Db, rng: random.Random) -> None:
    rows = [_attribute(4, code, *facts[:2]) for code, facts in PRODUCT_ATTRIBUTES.items()]
    rows += [_attribute(1, code, "static", kind) for code, kind in CUSTOMER_ATTRIBUTES.items()]
    rows += [_attribute(2, code, "static", "text") for code in ADDRESS_ATTRIBUTES]
    rows.append(_attribute(1, "loyalty_tier", "int", "select"))
    rng.shuffle(rows)
    numbers = sorted(rng.sample(range(200, 900), len(rows)))
    rows.append(_attribute(2, "delivery_zone", "int", "select"))
    rows += [_attribute(3, code, backend, "text") for backend, code in CATEGORY_ATTRIBUTES.items()]
    rows.append(_attribute(3, "name", "varchar", "text"))
    numbers += range(numbers[-1] + 1, numbers[-1] + 1 + len(rows) - len(numbers))
    with db.transaction():
        db.insert_many("eav_entity_type", [
            {"entity_type_id": number, "entity_type_code": code, "entity_model": f"Magento\\Model\\{code}",
             "entity_table": table, "default_attribute_set_id": number} for number, code, table in ENTITY_TYPES
        ])  # fmt: skip
        db.insert_many("eav_attribute", [
            {"attribute_id": number} | row for number, row in zip(numbers, rows, strict=True)
        ])  # fmt: skip
        db.insert_many("catalog_eav_attribute", [
            {"attribute_id": number, "is_global": PRODUCT_ATTRIBUTES[row["attribute_code"]][2], "is_searchable": 1}
            for number, row in zip(numbers, rows, strict=True) if row["entity_type_id"] == 4
        ])  # fmt: skip


def _attribute(entity_type: int, code: str, backend: str, kind: str) -> dict[str, Any]:
    return {
        "entity_type_id": entity_type, "attribute_code": code, "backend_type": backend, "frontend_input": kind,
        "frontend_label": code.replace("_", " ").title(),
        "is_user_defined": int(code in ("color", "manufacturer", "size", "materials", "loyalty_tier", "delivery_zone")),
    }  # fmt: skip


def _options(db: Db) -> None:
    numbers = {row["attribute_code"]: row["attribute_id"] for row in db.find("eav_attribute")}
    of_people = ("loyalty_tier", "delivery_zone")
    for codes in (*((code,) for code in OPTIONS if code not in of_people), of_people):
        with db.transaction():
            for code in codes:
                for order, label in enumerate(OPTIONS[code]):
                    option = db.insert("eav_attribute_option", attribute_id=numbers[code], sort_order=order)
                    db.insert("eav_attribute_option_value", option_id=option, store_id=0, value=label)
                    if label in FRENCH:
                        db.insert("eav_attribute_option_value", option_id=option, store_id=2, value=FRENCH[label])
