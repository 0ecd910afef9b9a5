"""EAV attributes as properties: where values lie, what they read like, options and their labels."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Value
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import ATTRIBUTE_IDS, REFERENCES, customer, item, order, properties, rendered, shop_rows

COLOR, MATERIALS, TIER, ZONE = 93, 140, 150, 160
OWN: dict[str, tuple[int, str, str]] = {
    "color": (COLOR, "int", "select"),
    "materials": (MATERIALS, "text", "multiselect"),
    "visibility": (99, "int", "select"),  # its options are PHP
    "is_fragile": (141, "int", "boolean"),
    "cost": (81, "decimal", "price"),
    "weight_kg": (142, "decimal", "text"),
    "news_from_date": (94, "datetime", "date"),
    "live_from": (143, "datetime", "datetime"),
    "meta_title": (84, "varchar", "text"),
    "has_options": (144, "static", "text"),
}
LABELS = {51: ("Black", "Noir"), 52: ("Blue", ""), 61: ("Cotton", "Coton"), 62: ("Wool", None), 71: ("Gold", "Or"),
          81: ("Island", "Île")}  # fmt: skip
OPTION_OF = {51: COLOR, 52: COLOR, 61: MATERIALS, 62: MATERIALS, 71: TIER, 81: ZONE}
HOME, OFFICE = 5, 6
FRENCH = 2


def attribute(identity: int, code: str, backend: str, shown: str, entity_type: int = 4) -> dict[str, Value]:
    """A row of ``eav_attribute``."""
    return {
        "attribute_id": identity, "entity_type_id": entity_type, "attribute_code": code, "backend_type": backend,
        "frontend_input": shown,
    }  # fmt: skip


def references() -> dict[str, list[dict[str, Value]]]:
    """The small shop's reference rows with attributes and options of its own."""
    labels: list[dict[str, Value]] = []
    for option, (plain, french) in LABELS.items():
        labels.append({"value_id": option * 10, "option_id": option, "store_id": 0, "value": plain})
        if french is not None:
            labels.append({"value_id": option * 10 + 1, "option_id": option, "store_id": FRENCH, "value": french})
    return {
        **REFERENCES,
        "eav_entity_type": [
            *REFERENCES["eav_entity_type"],
            {"entity_type_id": 1, "entity_type_code": "customer"},
            {"entity_type_id": 2, "entity_type_code": "customer_address"},
        ],
        "eav_attribute": [
            *REFERENCES["eav_attribute"],
            *(attribute(identity, code, backend, shown) for code, (identity, backend, shown) in OWN.items()),
            attribute(TIER, "loyalty_tier", "int", "select", 1),
            attribute(151, "color", "varchar", "text", 1),  # the same code of another entity type
            attribute(ZONE, "delivery_zone", "int", "select", 2),
            attribute(161, "door_code", "varchar", "text", 2),
        ],
        "eav_attribute_option": [{"option_id": option, "attribute_id": of} for option, of in OPTION_OF.items()],
        "eav_attribute_option_value": labels,
    }


def a_shop(attributes: dict[str, Any], *, customers: bool = False, view: str = "") -> DictRows:
    """A product or a customer in a shop whose mapping asks for these attributes."""
    section = "customer" if customers else "product"
    tables = references() | {
        "catalog_product_entity": [{"entity_id": 10, "sku": "MUG", "type_id": "simple"}],
        "customer_entity": [customer()],
    }
    return shop_rows(tables, store_view=view, **{section: {"attributes": attributes}})


def a_customer_with_addresses(**address_attributes: Any) -> DictRows:
    """Customer 7 with two addresses, of which HOME is the default one for bills."""
    tables = references() | {
        "customer_entity": [customer(default_billing=HOME)],
        "customer_address_entity": [{"entity_id": HOME, "parent_id": 7}, {"entity_id": OFFICE, "parent_id": 7}],
    }
    return shop_rows(tables, customer={"address_attributes": address_attributes})


def put_zone(rows: DictRows, address: int, option: int = 81) -> list[ObjectRef | BulkInvalidation]:
    """Write an address's delivery zone."""
    table = "customer_address_entity_int"
    return rows.put(table, value_id=address, entity_id=address, attribute_id=ZONE, value=option)


def put_value(rows: DictRows, code: str, held: Value, *, store: int = 0) -> list[ObjectRef | BulkInvalidation]:
    """Write a value of product 10."""
    identity, backend, _ = OWN[code]
    table = f"catalog_product_entity_{backend}"
    key = identity * 10 + store
    return rows.put(table, value_id=key, entity_id=10, attribute_id=identity, store_id=store, value=held)


@pytest.mark.parametrize(
    ("code", "held", "expected"),
    [
        ("color", 51, "Black"),
        ("color", 99, ""),  # an option that is gone
        ("color", 61, ""),  # another attribute's
        ("materials", "61,62", "Cotton;Wool"),
        ("materials", "62,999,61", "Wool;Cotton"),
        ("materials", "", ""),
        ("visibility", 4, "4"),
        ("is_fragile", 1, "true"),
        ("is_fragile", 0, "false"),
        ("cost", "12.500000", "12.50"),
        ("weight_kg", "1.250000", "1.25"),
        ("news_from_date", "2026-03-01 00:00:00", "2026-03-01"),
        ("news_from_date", "0000-00-00 00:00:00", ""),
        ("live_from", "2026-03-01 00:00:01", "1772323201000"),
        ("meta_title", "  A mug ", "A mug"),
        ("meta_title", None, ""),
    ],
)
def test_an_attribute_reads_as_its_definition_says(code: str, held: Value, expected: str) -> None:
    """Every backend type; labels for options, and the value as it stands where options are PHP."""
    rows = a_shop({"own": code})
    assert properties(rows, Kind.PRODUCT, 10)["own"] == ""

    affected = put_value(rows, code, held)

    assert affected == [ObjectRef(Kind.PRODUCT, 10)]
    assert properties(rows, Kind.PRODUCT, 10)["own"] == expected
    assert rendered(rows, Kind.PRODUCT, 10).warnings == ()


def test_a_type_that_is_given_wins() -> None:
    """The settings know better than the definition."""
    rows = a_shop({"id": {"code": "color", "type": "number"}, "label": {"code": "meta_title", "type": "option"}})
    put_value(rows, "color", 51)
    put_value(rows, "meta_title", "not an option")

    assert properties(rows, Kind.PRODUCT, 10)["id"] == "51"
    assert properties(rows, Kind.PRODUCT, 10)["label"] == ""


def test_a_value_that_does_not_fit_leaves_the_property_empty_with_a_warning() -> None:
    """The product is sent all the same."""
    rows = a_shop({"own": {"code": "meta_title", "type": "number"}})
    put_value(rows, "meta_title", "many")

    assert properties(rows, Kind.PRODUCT, 10)["own"] == ""
    assert rendered(rows, Kind.PRODUCT, 10).warnings == (
        "property own is left empty: attribute meta_title is no number",
    )


def test_the_store_view_has_its_own_values_and_labels() -> None:
    """A view's value over the default one, a view's label over the default one, an empty one falls back."""
    rows = a_shop({"color": "color", "materials": "materials"}, view="de")
    put_value(rows, "color", 51)
    put_value(rows, "materials", "61,62")
    assert properties(rows, Kind.PRODUCT, 10)["color"] == "Noir"
    assert properties(rows, Kind.PRODUCT, 10)["materials"] == "Coton;Wool"

    put_value(rows, "color", 52, store=FRENCH)
    assert properties(rows, Kind.PRODUCT, 10)["color"] == "Blue"

    rows.remove("catalog_product_entity_int", COLOR * 10 + FRENCH)
    assert properties(rows, Kind.PRODUCT, 10)["color"] == "Noir"


@pytest.mark.parametrize(("code", "held", "option"), [("color", 51, 51), ("materials", "62,61", 61)])
def test_trap_a_renamed_option_renders_the_products_that_use_it(code: str, held: Value, option: int) -> None:
    """No row of a product changes, so the label's row names them by a bulk invalidation."""
    rows = a_shop({"own": code})
    put_value(rows, code, held)

    affected = rows.put(
        "eav_attribute_option_value", value_id=option * 10, option_id=option, store_id=0, value="Renamed"
    )

    assert ObjectRef(Kind.PRODUCT, 10) in rows.spread(affected)
    assert "Renamed" in properties(rows, Kind.PRODUCT, 10)["own"]


def test_a_renamed_option_renders_only_the_products_that_use_it() -> None:
    """A select's label affects the users of its option; a label of another view, or of nothing mapped, affects none."""
    rows = a_shop({"own": "color"})
    put_value(rows, "color", 52)
    label: dict[str, Value] = {"option_id": 51, "store_id": 0, "value": "Coal"}

    assert rows.spread(rows.put("eav_attribute_option_value", value_id=510, **label)) == set()
    assert rows.put("eav_attribute_option_value", value_id=511, **label | {"store_id": FRENCH}) == []
    assert rows.put("eav_attribute_option_value", value_id=610, **label | {"option_id": 61}) == []


def test_trap_attribute_ids_and_backend_types_are_data() -> None:
    """A backend that moves renders all products, and values are then read from the new table."""
    rows = a_shop({"own": "materials"})
    put_value(rows, "materials", "61")
    affected = rows.put("eav_attribute", **attribute(MATERIALS, "materials", "varchar", "multiselect"))
    rows.put("catalog_product_entity_varchar", value_id=1, entity_id=10, attribute_id=MATERIALS, store_id=0, value="62")

    assert ObjectRef(Kind.PRODUCT, 10) in rows.spread(affected)
    assert properties(rows, Kind.PRODUCT, 10)["own"] == "Wool"


def test_trap_an_empty_value_is_no_row() -> None:
    """A cleared attribute is a deleted row: the property becomes empty, it does not stay away."""
    rows = a_shop({"own": "color"})
    put_value(rows, "color", 51)
    affected = rows.remove("catalog_product_entity_int", COLOR * 10)

    assert affected == [ObjectRef(Kind.PRODUCT, 10)]
    assert properties(rows, Kind.PRODUCT, 10)["own"] == ""


@pytest.mark.parametrize("code", ["colour", "has_options"])
def test_an_attribute_without_values_is_left_out_with_a_warning(code: str) -> None:
    """A code that the shop lacks, or a column of the product: what HubSpot has stays."""
    made = rendered(a_shop({"own": code}), Kind.PRODUCT, 10)

    assert "own" not in made.properties
    assert made.warnings == (f"property own is left out: there is no attribute {code!r} with values",)


def test_an_attribute_can_take_a_default_propertys_place() -> None:
    """As a column of one's own can."""
    rows = a_shop({"name": "meta_title"})
    put_value(rows, "meta_title", "A better name")

    assert properties(rows, Kind.PRODUCT, 10)["name"] == "A better name"


def test_a_customers_attribute() -> None:
    """Customer values have no store; a renamed option renders the customers that have it."""
    rows = a_shop({"tier": "loyalty_tier"}, customers=True)
    assert properties(rows, Kind.CUSTOMER, 7)["tier"] == ""
    affected = rows.put("customer_entity_int", value_id=1, entity_id=7, attribute_id=TIER, value=71)
    assert affected == [ObjectRef(Kind.CUSTOMER, 7)]
    assert properties(rows, Kind.CUSTOMER, 7)["tier"] == "Gold"

    renamed = rows.put("eav_attribute_option_value", value_id=710, option_id=71, store_id=0, value="Platinum")

    assert rows.spread(renamed) == {ObjectRef(Kind.CUSTOMER, 7)}
    assert properties(rows, Kind.CUSTOMER, 7)["tier"] == "Platinum"


def test_an_attribute_of_the_default_billing_address() -> None:
    """A value of it affects its customer, one of another address nothing; a renamed option renders its users."""
    rows = a_customer_with_addresses(zone="delivery_zone")
    assert properties(rows, Kind.CUSTOMER, 7)["zone"] == ""
    assert put_zone(rows, OFFICE) == []
    assert properties(rows, Kind.CUSTOMER, 7)["zone"] == ""
    assert put_zone(rows, HOME) == [ObjectRef(Kind.CUSTOMER, 7)]
    assert properties(rows, Kind.CUSTOMER, 7)["zone"] == "Island"

    renamed = rows.put("eav_attribute_option_value", value_id=810, option_id=81, store_id=0, value="Mainland")

    assert ObjectRef(Kind.CUSTOMER, 7) in rows.spread(renamed)
    assert properties(rows, Kind.CUSTOMER, 7)["zone"] == "Mainland"


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda rows: rows.put("customer_entity", entity_id=7, default_billing=OFFICE), id="another one"),
        pytest.param(lambda rows: rows.put("customer_entity", entity_id=7, default_billing=None), id="none"),
        pytest.param(lambda rows: rows.remove("customer_address_entity", HOME), id="deleted"),
        pytest.param(lambda rows: rows.put("customer_address_entity", entity_id=HOME, parent_id=8), id="given away"),
        pytest.param(lambda rows: rows.remove("customer_address_entity_int", HOME), id="emptied"),
    ],
)
def test_an_address_that_is_not_the_default_any_more_takes_its_attributes_along(leave: Any) -> None:
    """The value's own rows stay or go unnoticed: the address's row or the account's tells of it."""
    rows = a_customer_with_addresses(zone="delivery_zone", door={"code": "door_code"})
    put_zone(rows, HOME)

    assert ObjectRef(Kind.CUSTOMER, 7) in leave(rows)
    assert properties(rows, Kind.CUSTOMER, 7)["zone"] == properties(rows, Kind.CUSTOMER, 7)["door"] == ""


def test_address_values_are_kept_and_pulled_for_what_is_mapped() -> None:
    """One attribute's values of five tables, by the default billing address; other tables stay as they are."""
    rows = a_customer_with_addresses(zone="delivery_zone")
    rows.put("customer_address_entity_varchar", value_id=1, entity_id=HOME, attribute_id=161, value="1234")
    values = {f"customer_address_entity_{backend}" for backend in ("varchar", "int", "decimal", "text", "datetime")}
    plain = {spec.name for spec in shop_rows().mapper.tables}
    pulled = rows.mapper.fetches(ObjectRef(Kind.CUSTOMER, 7), rows)

    assert rows.every("customer_address_entity_varchar") == []
    assert {spec.name for spec in rows.mapper.tables} - plain == {
        "eav_attribute_option", "eav_attribute_option_value", *values,
    }  # fmt: skip
    assert {pull for pull in pulled if pull.table in values} == {
        FetchByKey(table, "entity_id", HOME) for table in values
    }


def test_what_stands_in_for_a_row_clears_its_attributes() -> None:
    """A deleted customer or product keeps no attribute."""
    attributes = {"attributes": {"color": "color"}}
    tables = references() | {"sales_order": [order(customer_id=7)], "sales_order_item": [item()]}
    rows = shop_rows(
        tables, product=attributes, customer=attributes | {"address_attributes": {"zone": "delivery_zone"}}
    )

    assert properties(rows, Kind.PRODUCT, 10)["color"] == ""
    assert properties(rows, Kind.CUSTOMER, 7)["color"] == properties(rows, Kind.CUSTOMER, 7)["zone"] == ""


def test_only_values_of_mapped_attributes_are_kept() -> None:
    """The replica holds no value that nothing is made from."""
    rows = a_shop({"own": "color"})
    put_value(rows, "cost", "1.000000")
    put_value(rows, "color", 51)

    assert rows.every("catalog_product_entity_decimal") == []
    assert len(rows.every("catalog_product_entity_int")) == 1


def test_further_tables_are_read_only_when_an_attribute_is_asked_for() -> None:
    """Options, dates and customers' values cost nothing in a shop that maps none; mapped, references come first."""
    plain = {spec.name for spec in shop_rows().mapper.tables}
    of_products = {spec.name for spec in a_shop({"own": "color"}).mapper.tables}
    both = a_shop({"own": "loyalty_tier"}, customers=True).mapper.tables
    options = {"eav_attribute_option", "eav_attribute_option_value"}
    is_reference = [spec.reference for spec in both]

    assert of_products - plain == {*options, "catalog_product_entity_datetime"}
    assert {spec.name for spec in both} - plain == {
        *options, *(f"customer_entity_{backend}" for backend in ("varchar", "int", "decimal", "text", "datetime")),
    }  # fmt: skip
    assert is_reference == sorted(is_reference, reverse=True)


def test_another_attribute_loads_the_value_tables_again() -> None:
    """Their rows were not kept while nothing asked for them."""

    def selection(attributes: dict[str, Any]) -> set[str]:
        tables = MagentoMapping(MappingSettings.model_validate({"product": {"attributes": attributes}})).tables
        return {spec.selection for spec in tables if spec.name.startswith("catalog_product_entity_")}

    assert selection({}) == {""}
    assert selection({"a": "color"}) == {"color"}
    assert selection({"a": "color", "b": "cost", "c": "color"}) == {"color,cost"}


def test_attributes_are_pulled_with_their_object() -> None:
    """By entity_id, from every value table."""
    customers = a_shop({"own": "loyalty_tier"}, customers=True)
    products = a_shop({"own": "color"})

    assert FetchByKey("customer_entity_int", "entity_id", 7) in customers.mapper.fetches(
        ObjectRef(Kind.CUSTOMER, 7), customers
    )
    assert FetchByKey("catalog_product_entity_datetime", "entity_id", 10) in products.mapper.fetches(
        ObjectRef(Kind.PRODUCT, 10), products
    )


def test_the_ids_of_these_tests_do_not_collide() -> None:
    """Attribute ids are unique."""
    ids = [identity for identity, _ in ATTRIBUTE_IDS.values()] + [identity for identity, _, _ in OWN.values()]

    assert len(set(ids)) == len(ids)
