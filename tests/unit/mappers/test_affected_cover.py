"""The rule that all else rests on: whatever a row change renders differently was affected by it.

Shops are dense and small: three ids per table, so that rows meet, dangle and are orphaned all the time, and changes
mostly alter one column, so that a table or column missing from a descriptor's ``affected_by`` is found.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.errors import RenderError
from cdc.model import Kind, ObjectRef, Rendered, Value
from cdc.protocols import Mapper, RowReader
from cdc.settings.mapping import MappingSettings
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from tests.kit.example_count import example_count
from tests.kit.rows import DictRows

ID: Sequence[Value] = (1, 2, 3)
MAYBE: Sequence[Value] = (None, 1, 2, 3)
WORD: Sequence[Value] = (None, "a", "b")
MONEY: Sequence[Value] = (None, "1.5000", "2.0000")
QTY: Sequence[Value] = ("0.0000", "0.0000", "1.0000", "2.0000")
TIME: Sequence[Value] = ("2026-01-01 00:00:00", "2026-01-02 00:00:00", "2026-01-03 00:00:00", None)
EMAIL: Sequence[Value] = ("ann@example.com", " Ann@Example.com", "bob@example.com", None)
STATE: Sequence[Value] = ("new", "processing", "complete", "holded", "holded", "closed", "canceled")
BASE_CURRENCY: Sequence[Value] = ("EUR", "EUR", "EUR", "USD", None)
OPTIONS: Sequence[Value] = (
    None,
    '{"product_calculations":0,"shipment_type":1}',
    '{"product_calculations":"1","shipment_type":"0"}',
    'a:1:{s:20:"product_calculations";i:0;}',
)
EAV: dict[str, Sequence[Value]] = {"entity_id": ID, "row_id": ID, "attribute_id": ID, "store_id": (0, 0, 1, 2)}
VALUES: dict[str, Sequence[Value]] = {
    "int": (None, 1, 2),
    "decimal": MONEY,
    "varchar": ("a", "1", "1,2", None),
    "text": (None, "a", "<b>b</b>", "2,3"),
    "datetime": TIME,
}
CODE = (
    "color", "color", "tier", "tier", "zone", "zone", "name", "url_key", "image", "price", "description",
    "short_description", "status", "weight", "visibility", "visibility", "visibility",
)  # fmt: skip
INPUT = ("text", "select", "select", "multiselect", "boolean", "price", "date", "datetime")
ANSWER: Sequence[Value] = (
    None, "{", '{"mail":"ann@example.com","who":"a"}', '{"mail":"ann@example.com"}', '{"mail":"no address"}',
    '{"from":{"mail":"bob@example.com"}}',
)  # fmt: skip
VERSION: Sequence[Value] = (None, '{"current_version":"1"}', '{"current_version":5}', '{"current_version":"7","x":1}')
COLUMNS: dict[str, dict[str, Sequence[Value]]] = {
    "store_website": {"code": WORD},
    "store": {"code": ("default", "de", "fr"), "website_id": ID, "name": WORD},
    "customer_group": {"customer_group_code": WORD},
    "eav_entity_type": {
        "entity_type_code": (
            "catalog_product", "catalog_product", "catalog_category", "customer", "customer_address",
            "customer_address",
        ),
    },
    "eav_attribute": {
        "entity_type_id": ID,
        "frontend_input": INPUT,
        "attribute_code": CODE,
        "backend_type": ("varchar", "varchar", "int", "decimal", "text", "static"),
    },
    "eav_attribute_option": {"attribute_id": ID},
    "eav_attribute_option_value": {"option_id": ID, "store_id": (0, 0, 1, 2), "value": WORD},
    **{
        f"{entity}_{backend}": {"entity_id": ID, "attribute_id": ID, "value": values}
        for entity in ("customer_entity", "customer_address_entity")
        for backend, values in VALUES.items()
    },
    **{f"catalog_product_entity_{backend}": {**EAV, "value": values} for backend, values in VALUES.items()},
    "customer_entity": {
        "website_id": MAYBE, "email": EMAIL, "group_id": ID, "firstname": WORD, "lastname": WORD, "dob": TIME,
        "default_billing": MAYBE, "created_at": TIME, "tier": WORD,
    },
    "customer_address_entity": {
        "parent_id": MAYBE, "company": WORD, "street": WORD, "city": WORD, "region": WORD, "postcode": WORD,
        "country_id": WORD, "telephone": WORD, "vat_id": WORD,
    },
    "catalog_product_website": {},
    "catalog_category_entity": {
        "entity_id": ID, "parent_id": (0, 0, 0, 1, 2, 3), "created_in": (1, 1, 5), "updated_in": (5, 9, 9),
    },
    "catalog_category_entity_varchar": {**EAV, "value": WORD},
    "catalog_category_product": {},
    "contacts": {"email": EMAIL, "name": WORD, "customer_id": (None, 0, 1, 2), "slot_id": MAYBE},
    "answers": {"form_id": (1, 2, 3), "answer": ANSWER},
    "newsletter_subscriber": {
        "store_id": MAYBE, "customer_id": (0, 1, 2, 3), "subscriber_email": EMAIL, "subscriber_status": (0, 1, 2, 3, 4),
    },
    "catalog_product_entity": {
        "sku": WORD, "type_id": WORD, "created_at": TIME, "has_options": (0, 1), "entity_id": ID,
        "created_in": (1, 1, 5), "updated_in": (5, 9, 9),
    },
    "flag": {"flag_code": ("staging", "staging", "other"), "flag_data": VERSION},
    "sales_order": {
        "increment_id": WORD, "store_id": MAYBE, "state": STATE, "status": WORD, "hold_before_state": STATE,
        "hold_before_status": WORD, "customer_id": MAYBE, "customer_is_guest": (None, 0, 1, 1),
        "customer_group_id": ID, "customer_email": EMAIL, "customer_firstname": WORD, "customer_lastname": WORD,
        "shipping_method": WORD, "coupon_code": WORD, "order_currency_code": WORD, "grand_total": MONEY,
        "total_refunded": MONEY, "tax_amount": MONEY, "discount_amount": MONEY, "shipping_amount": MONEY,
        "relation_child_real_id": WORD, "relation_parent_real_id": WORD, "base_currency_code": BASE_CURRENCY,
        "quote_id": (None, None, 1, 2, 3),
        "base_grand_total": (*MONEY, "1.5000", "free"), "base_total_refunded": MONEY, "base_total_canceled": MONEY,
        "base_tax_amount": MONEY, "base_total_paid": (None, "0.0000", "1.0000"),
        "base_discount_amount": MONEY, "base_shipping_amount": MONEY,
        "created_at": TIME, "slot_id": MAYBE, "x": WORD, "delivery_date": TIME,
        "delivery_options": (None, '{"note":"a"}', '{"note":"b"}', "{", '{"slot":1}', '{"slot":"2"}'),
    },
    "sales_order_item": {
        "order_id": ID, "parent_item_id": (None, None, 1, 2, 3), "product_id": MAYBE,
        "product_type": ("simple", "simple", "configurable", "bundle", "virtual"), "sku": WORD, "name": WORD,
        "product_options": OPTIONS, "gift_card": WORD, "qty_ordered": ("3.0000", "2.0000"), "qty_shipped": QTY,
        "qty_canceled": QTY, "qty_refunded": QTY,
        "is_virtual": (0, 0, 1), "base_price": MONEY, "base_row_total": MONEY, "base_tax_amount": MONEY,
        "base_discount_amount": MONEY, "price": MONEY, "row_total": MONEY, "tax_amount": MONEY,
        "discount_amount": MONEY,
    },
    "sales_order_address": {
        "parent_id": MAYBE, "address_type": ("billing", "billing", "shipping", None), "firstname": WORD,
        "lastname": WORD, "company": WORD, "street": WORD, "city": WORD, "region": WORD, "postcode": WORD,
        "country_id": WORD, "telephone": WORD, "slot_id": (None, 1, "1", 2),
    },
    "quote": {
        "store_id": MAYBE, "is_active": (1, 1, 1, 0), "customer_id": MAYBE, "customer_email": EMAIL,
        "customer_firstname": WORD, "customer_lastname": WORD, "customer_group_id": ID, "quote_currency_code": WORD,
        "base_currency_code": WORD, "grand_total": MONEY, "base_grand_total": MONEY, "coupon_code": WORD,
        "created_at": TIME, "updated_at": TIME,
    },
    "quote_item": {
        "quote_id": ID, "parent_item_id": (None, None, None, 1), "product_id": MAYBE, "sku": WORD, "name": WORD,
        "qty": QTY, "price": MONEY, "base_price": MONEY, "product_type": ("simple", "simple", "configurable"),
        "row_total": MONEY, "base_row_total": MONEY, "discount_amount": MONEY, "base_discount_amount": MONEY,
    },
    "quote_address": {
        "quote_id": ID, "address_type": ("billing", "shipping"), "email": EMAIL, "firstname": WORD, "lastname": WORD,
        "company": WORD, "street": WORD, "city": WORD, "region": WORD, "postcode": WORD, "country_id": WORD,
        "telephone": WORD,
    },
    "quote_id_mask": {"quote_id": ID, "masked_id": WORD},
    "negotiable_quote": {"is_regular_quote": (0, 0, 1)},
    "cart_clock": {"changed_ms": (1, 2), "abandoned_ms": (0, 5), "is_shown": (0, 1, 1)},
    "slots": {"from": WORD, "to": WORD},
    "dates": {"order_id": MAYBE, "slot": WORD, "slot_id": MAYBE},
    "queue": {"address_id": MAYBE, "day": WORD, "slot": WORD, "slot_id": MAYBE},
    "points": {"customer_id": MAYBE, "p": WORD},
    "labels": {"product_id": MAYBE, "l": WORD},
    "sales_order_payment": {"parent_id": ID, "method": WORD},
    "sales_invoice": {"order_id": ID, "state": (1, 2, 2, 3), "created_at": TIME},
    "sales_shipment_track": {"order_id": ID, "track_number": WORD},
}  # fmt: skip
OWN_COLUMNS: dict[str, Any] = {
    "deal": {
        "properties": {
            "delivery_date": {"column": "delivery_date", "type": "date"},
            "note": {"column": "delivery_options", "json": "$.note"},
            "coupon": "coupon_code",
            "lastname": "customer_lastname",
        }
    },
    "line_item": {"properties": {"gift_card": "gift_card", "options": "product_options"}},
    "contact": {"properties": {"tier": "tier"}, "billing_address": {"vat": "vat_id"}},
    "product": {"properties": {"has_options": {"column": "has_options", "type": "bool"}}},
}
"""A mapping of columns that only some shops have, or that no default property is made from."""
OWN_ATTRIBUTES: dict[str, Any] = {
    "product": {"attributes": {"color": "color", "shown_tier": {"code": "tier", "type": "option"}, "title": "name"}},
    "customer": {"attributes": {"tier": "tier"}, "address_attributes": {"zone": "zone", "shade": "color"}},
}
HOT = [
    ["sales_order"],
    ["sales_order_item"],
    ["sales_order", "sales_order_address", "customer_entity"],
    ["contacts", "answers", "newsletter_subscriber", "sales_order", "customer_entity"],
    ["flag", "catalog_product_entity", "catalog_product_entity_varchar", "catalog_product_entity_int"],
    ["store", "store_website", "customer_group", "catalog_product_website", "catalog_product_entity"],
    ["sales_order_address", "slots", "slots", "dates", "queue", "points", "labels"],
    [*("quote", "quote_item", "quote_address", "cart_clock") * 3, "sales_order", "negotiable_quote", "customer_entity"],
    [table for table in COLUMNS if table.startswith("catalog_product_entity_")],
    ["flag", *(table for table in COLUMNS if table.startswith("catalog_category_"))],
    [table for table in COLUMNS if table.startswith(("eav_attribute_", "customer_entity_"))],
    ["customer_entity", "eav_attribute_option", *(t for t in COLUMNS if t.startswith("customer_address_entity"))],
]
"""Tables whose changes are compared column by column, or filtered: one group of them is changed more often."""
EXTENSION_TABLES: dict[str, Any] = {
    "satellites": [
        {"table": "dates", "key": "order_id", "primary": ["id"], "properties": {"slot": "slot"}},
        {
            "table": "queue", "key": "address_id", "primary": ["id"], "properties": {"day": "day", "currency": "slot"},
            "via": {"table": "sales_order_address", "column": "entity_id", "to": "parent_id"},
        },
        {"table": "points", "object": "contact", "key": "customer_id", "primary": ["id"], "properties": {"p": "p"}},
        {"table": "labels", "object": "product", "key": "product_id", "primary": ["id"], "properties": {"l": "l"}},
    ]
}  # fmt: skip
SLOT: dict[str, Any] = {"column": "slot_id", "lookup": {"table": "slots", "key": "id", "label": "{from}-{to}"}}
LOOKUPS: dict[str, Any] = {
    "deal": {
        "properties": {
            "slot": SLOT,
            "json_slot": {**SLOT, "column": "delivery_options", "json": "$.slot"},
            "shop": {"column": "store_id", "lookup": {"table": "store", "key": "store_id", "label": "name"}},
        },
        "shipping_address": {"to": "city", "to_slot": SLOT},
        "billing_address": {"from": "city"},
    },
    "satellites": [
        {"table": "dates", "key": "order_id", "primary": ["id"], "properties": {"date_slot": SLOT}},
        {
            "table": "queue", "key": "address_id", "primary": ["id"], "properties": {"queue_slot": SLOT},
            "via": {"table": "sales_order_address", "column": "entity_id", "to": "parent_id"},
        },
    ],
}  # fmt: skip
FORMS: dict[str, Any] = {
    "contact_forms": [
        {
            "table": "contacts", "email": "email", "customer": "customer_id", "primary": ["id"],
            "properties": {"firstname": "name", "contact_slot": SLOT},
        },
        {
            "table": "answers", "email": {"column": "answer", "json": "$.mail"}, "where": {"form_id": 1},
            "primary": ["id"], "properties": {"firstname": {"column": "answer", "json": "$.who"}},
        },
        {
            "table": "answers", "email": {"column": "answer", "json": "$.from.mail"}, "where": {"form_id": [2]},
            "primary": ["id"], "properties": {"subject": {"column": "answer", "json": "$.who"}},
        },
    ]
}  # fmt: skip
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"websites": {"only": ["a"]}},
    {"stores": {"without": ["de"]}, "customer_groups": {"without": ["a"]}},
    {"product_types": {"without": "a"}, "product_visibility": {"without": ["not_visible"]}},
    {"test_orders": [{"column": "status", "equals": "a"}, {"column": "customer_email", "starts_with": "bob@"}]},
    {
        "websites": {"without": ["b"]},
        "product_types": {"only": ["b"]},
        "test_orders": [{"column": "x", "contains": "b"}],
    },
)
WORTH: dict[str, Any] = {"enabled": True, "last_order_names": 2, "frequency": [2, 3], "monetary": [2, 3, 4]}
COUNTED: tuple[dict[str, Any], ...] = (
    {"customer_value": WORTH},
    {"customer_value": WORTH, "product": {"categories": True}},
    {"contact": {"lifecycle_stage": True}},
    {"customer_value": WORTH, "contact": {"lifecycle_stage": True}},
)
CATEGORY_TABLES = ["catalog_category_entity", "catalog_category_entity_varchar", "catalog_category_product"]
GUESTS = sorted({guest for email in EMAIL if (guest := guest_id(email))})
OBJECTS = [ObjectRef(kind, number) for kind in Kind if kind is not Kind.GUEST for number in (1, 2, 3)]
OBJECTS += [ObjectRef(Kind.GUEST, guest) for guest in GUESTS]

RESTORE_URL = "https://shop.example.com/?c={masked_id}"
MAPPERS = st.builds(
    lambda own, by_email, categories, worth, **plain: MagentoMapping(
        MappingSettings(
            **{**own, "product": {**own.get("product", {}), "categories": categories}}, customer_value=worth, **plain
        ),
        contacts_by_email=by_email,
    ),
    own=st.sampled_from([{}, OWN_COLUMNS, OWN_ATTRIBUTES, OWN_ATTRIBUTES, EXTENSION_TABLES, LOOKUPS, FORMS, FORMS]),
    by_email=st.booleans(),
    categories=st.booleans(),
    worth=st.sampled_from([{}, WORTH, {**WORTH, "currency": "EUR"}]),
    subscribers=st.booleans(),
    currency=st.sampled_from(["order", "base"]),
    filter=st.sampled_from(FILTERS),
    store_view=st.sampled_from(["", "de"]),
    product_key=st.sampled_from(["entity_id", "entity_id", "row_id"]),
    deleted_customers=st.sampled_from(["drop", "guest"]),
    stages=st.sampled_from([{}, {"a": "processed"}]),
    carts=st.sampled_from(
        [{}, *({"enabled": True, "as": one, "restore_url": RESTORE_URL} for one in ("deal", "cart", "both"))]
    ),
)
SEEDS = st.integers(0, 2**32)


def random_row(chance: random.Random, table: str, key: Value, rows: DictRows) -> dict[str, Value]:
    """A row of ``table``: each column that the mapping has one of its few values."""
    known = {*rows.specs[table].columns} - {*rows.specs[table].key}
    values = {name: chance.choice(values) for name, values in COLUMNS[table].items() if name in known}
    return dict.fromkeys(rows.specs[table].key, key) | values


def random_shop(chance: random.Random, mapper: MagentoMapping) -> DictRows:
    """A shop in which most ids exist in most tables."""
    rows = DictRows(mapper)
    for table in (name for name in COLUMNS if name in rows.specs):
        present = chance.choice((0.3, 0.9))  # also shops without customers, without products ...
        for key in ID:
            if chance.random() < present:
                rows.put(table, **random_row(chance, table, key, rows))
    return rows


def random_change(chance: random.Random, table: str, rows: DictRows) -> tuple[str, set[ObjectRef]]:
    """Change one row of the table: one column, all columns, or deleted. Says what, and the objects affected."""
    columns = rows.specs[table].key
    key = chance.choice(ID)
    whole = [key] * len(columns)
    held = rows.get(table, *whole)
    kind = chance.random()
    if kind < 0.2:
        return f"delete {table} {key!r}", rows.spread(rows.remove(table, *whole))
    row = random_row(chance, table, key, rows)
    changeable = sorted(row.keys() - {*columns})
    if kind < 0.8 and held is not None and changeable:
        column = chance.choice(changeable)
        row = {**dict.fromkeys(columns, key), column: row[column]}
    return f"put {table} {row} over {held}", rows.spread(rows.put(table, **row))


def all_rendered(mapper: Mapper, rows: RowReader) -> dict[ObjectRef, Rendered | str | None]:
    """Every object there may be; an error (a price attribute moved to a text table) is a state as well."""
    return {ref: _render(mapper, rows, ref) for ref in OBJECTS}


def _render(mapper: Mapper, rows: RowReader, ref: ObjectRef) -> Rendered | str | None:
    try:
        return mapper.render(ref, rows)
    except RenderError as error:
        return str(error)


@given(MAPPERS, st.sampled_from(HOT), SEEDS)
@settings(max_examples=example_count(60), deadline=None)
def test_every_object_that_renders_differently_was_affected(mapper: MagentoMapping, hot: list[str], seed: int) -> None:
    """Whatever one row change renders differently is among the objects it affected, bulk invalidations worked off."""
    chance = random.Random(seed)
    rows = random_shop(chance, mapper)
    change_and_compare(chance, rows, [*COLUMNS, *chance.choices(hot, k=100)])


@given(SEEDS)
@settings(max_examples=example_count(15), deadline=None)
def test_every_contact_whose_address_renders_differently_was_affected(seed: int) -> None:
    """The same where an attribute of addresses is mapped and has options: by lot too much has to fit for that."""
    chance = random.Random(seed)
    rows = random_shop(chance, MagentoMapping(MappingSettings(**OWN_ATTRIBUTES)))
    rows.put("eav_entity_type", entity_type_id=1, entity_type_code="customer_address")
    zone = {"attribute_code": "zone", "frontend_input": "select", "backend_type": chance.choice(("int", "varchar"))}
    rows.put("eav_attribute", attribute_id=1, entity_type_id=1, **zone)
    for number in (1, 2, 3):
        address = number % 3 + 1  # not the customer's own number: the two must not be taken for each other
        rows.put("customer_entity", entity_id=number, default_billing=address)
        rows.put("customer_address_entity", entity_id=address, parent_id=number)
        rows.put("eav_attribute_option", option_id=number, attribute_id=1)
        rows.put("eav_attribute_option_value", value_id=number, option_id=number, store_id=0, value="a")
    values = [f"customer_address_entity_{backend}" for backend in ("int", "varchar")]
    seldom = ["eav_entity_type", "eav_attribute", "customer_entity", "customer_address_entity"]
    hot = [*values * 3, "eav_attribute_option", "eav_attribute_option_value"]
    change_and_compare(chance, rows, [*chance.choices(hot, k=40), *chance.choices([*hot, *seldom], k=20)])


def change_and_compare(chance: random.Random, rows: DictRows, tables: Sequence[str]) -> None:
    """Change a row of each table; whatever renders differently must have been affected."""
    before = all_rendered(rows.mapper, rows)
    for table in [name for name in tables if name in rows.specs]:
        what, affected = random_change(chance, table, rows)
        after = all_rendered(rows.mapper, rows)

        assert {ref for ref in OBJECTS if before[ref] != after[ref]} <= affected, what
        before = after


@given(MAPPERS, SEEDS)
@settings(max_examples=example_count(15), deadline=None)
def test_every_reference_names_an_object_that_exists(mapper: MagentoMapping, seed: int) -> None:
    """Links always hold: what an object refers to exists, and ``everything`` names what exists."""
    rows = random_shop(random.Random(seed), mapper)
    named = rows.spread(rows.mapper.everything())

    for ref, made in all_rendered(rows.mapper, rows).items():
        if made is not None:
            assert ref in named
        if isinstance(made, Rendered):
            # A cart's line keeps no product alive that a filter leaves out or the shop has deleted: it goes without.
            needed = [one for one in made.references if (ref.kind, one.kind) != (Kind.CART_ITEM, Kind.PRODUCT)]
            assert all(_render(rows.mapper, rows, other) is not None for other in needed)


@given(SEEDS, st.sampled_from(["entity_id", "row_id"]))
@settings(max_examples=example_count(25), deadline=None)
def test_every_product_whose_categories_render_differently_was_affected(seed: int, key: str) -> None:
    """The same where categories have names and hang on a root: by lot too much has to fit for that."""
    chance = random.Random(seed)
    mapping = MappingSettings.model_validate({"product": {"categories": True}, "product_key": key})
    rows = random_shop(chance, MagentoMapping(mapping))
    _plant(rows, key)
    hot = CATEGORY_TABLES
    change_and_compare(chance, rows, [*chance.choices(hot, k=60), *chance.choices([*hot, "flag", "store"], k=20)])


def _plant(rows: DictRows, key: str) -> None:
    """A tree of three categories with names, in which every product is."""
    rows.put("eav_entity_type", entity_type_id=1, entity_type_code="catalog_category")
    rows.put("eav_attribute", attribute_id=1, entity_type_id=1, attribute_code="name", backend_type="varchar")
    for number, parent in ((3, 0), (1, 3), (2, 1)):  # the tree's root, the store's, a category
        alive: dict[str, Value] = {"created_in": 1, "updated_in": 9} if key == "row_id" else {}
        category: dict[str, Value] = {key: number, "entity_id": number, "parent_id": parent, **alive}
        rows.put("catalog_category_entity", **category)
        value: dict[str, Value] = {"value_id": number, key: number, "attribute_id": 1, "store_id": 0, "value": "a"}
        rows.put("catalog_category_entity_varchar", **value)
        rows.put("catalog_category_product", entity_id=2, category_id=2, product_id=number)


@given(st.booleans(), st.sampled_from(COUNTED), st.sampled_from(FILTERS), st.sampled_from(["drop", "guest"]), SEEDS)
@settings(max_examples=example_count(60), deadline=None)
def test_every_contact_whose_orders_are_counted_differently_was_affected(
    by_email: bool, counted: dict[str, Any], rules: dict[str, Any], deleted: str, seed: int
) -> None:
    """The same for numbers and sums of orders: mostly orders, their lines, and the accounts that they name change."""
    chance = random.Random(seed)
    mapping = {**counted, "filter": rules, "deleted_customers": deleted}
    rows = random_shop(chance, MagentoMapping(MappingSettings.model_validate(mapping), contacts_by_email=by_email))
    if "product" in counted:
        _plant(rows, "entity_id")
    hot = ["sales_order"] * 6 + ["sales_order_item"] * 2 + ["customer_entity"] * 2
    seldom = ["store", "store_website", "customer_group", *CATEGORY_TABLES]
    change_and_compare(chance, rows, [*chance.choices(hot, k=50), *chance.choices([*hot, *seldom], k=40)])
