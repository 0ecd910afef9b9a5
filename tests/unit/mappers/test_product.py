"""PRODUCT: EAV values, scopes, and products that are gone."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import RenderError
from cdc.model import Kind, Value
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import ATTRIBUTE_IDS, exists, item, order, properties, rendered, shop_rows, value

FIXED = '{"product_calculations":1}'
MUG: dict[str, Value] = {
    "entity_id": 10, "sku": " MUG ", "type_id": "simple", "created_at": "2026-01-02 03:04:05",
}  # fmt: skip


def mug(**settings: Any) -> DictRows:
    """A product with a value for each attribute in the default scope."""
    return shop_rows(
        {
            "catalog_product_entity": [MUG],
            "catalog_product_entity_varchar": [
                value(1, "name", "Mug"), value(2, "url_key", "mug"), value(3, "image", "/m/u/mug.jpg"),
            ],
            "catalog_product_entity_text": [
                value(1, "description", "<p>A <b>mug</b>.</p>"), value(2, "short_description", "Short"),
            ],
            "catalog_product_entity_decimal": [value(1, "price", "29.950000"), value(2, "weight", "0.300000")],
            "catalog_product_entity_int": [value(1, "status", 1)],
        },
        **settings,
    )  # fmt: skip


def test_a_product_has_every_default_property() -> None:
    """A product in the default scope gives exactly these texts."""
    rows = mug(media_base_url="https://shop.example.com/media/catalog/product/")

    assert properties(rows, Kind.PRODUCT, 10) == {
        "name": "Mug",
        "sku": "MUG",
        "price": "29.95",
        "description": "A mug.",
        "image_url": "https://shop.example.com/media/catalog/product/m/u/mug.jpg",
        "url_key": "mug",
        "status": "enabled",
        "type": "simple",
        "created_at": "1767323045000",
    }
    assert not rendered(rows, Kind.PRODUCT, 10).warnings


def test_a_store_view_overrides_the_default_scope_and_falls_back() -> None:
    """The chosen view's row wins, other views' do not count, and deleting the override falls back, not clears."""
    rows = mug(store_view="de")
    rows.put("catalog_product_entity_varchar", **value(4, "name", "Becher", store=2))
    rows.put("catalog_product_entity_varchar", **value(5, "name", "Tasse", store=3))
    assert properties(rows, Kind.PRODUCT, 10)["name"] == "Becher"

    rows.remove("catalog_product_entity_varchar", 4)

    assert properties(rows, Kind.PRODUCT, 10)["name"] == "Mug"


def test_without_a_store_view_the_default_scope_counts() -> None:
    """Overrides of views that nobody chose are not looked at."""
    rows = mug()
    rows.put("catalog_product_entity_varchar", **value(4, "name", "Becher", store=2))

    assert properties(rows, Kind.PRODUCT, 10)["name"] == "Mug"


def test_an_unknown_store_view_falls_back_with_a_warning() -> None:
    """A misspelt mapping.store_view is said, and default values are sent."""
    made = rendered(mug(store_view="dee"), Kind.PRODUCT, 10)

    assert made.properties["name"] == "Mug"
    assert "mapping.store_view" in made.warnings[0]


def test_a_cleared_value_is_empty() -> None:
    """An empty EAV value is no row (or a NULL): the property is sent empty, not left out."""
    rows = mug()
    rows.remove("catalog_product_entity_varchar", 2)
    rows.put("catalog_product_entity_decimal", value_id=1, value=None)

    found = properties(rows, Kind.PRODUCT, 10)
    assert (found["url_key"], found["price"]) == ("", "")


def test_an_attribute_that_the_shop_does_not_have_is_left_out() -> None:
    """What cannot be known is not cleared."""
    rows = mug()
    for code in ("status", "description", "short_description"):
        rows.remove("eav_attribute", ATTRIBUTE_IDS[code][0])

    assert properties(rows, Kind.PRODUCT, 10).keys() == {
        "name", "sku", "price", "image_url", "url_key", "type", "created_at",
    }  # fmt: skip


def test_attribute_ids_are_found_by_code() -> None:
    """Ids differ per shop: another shop's ids give the same product."""
    rows = mug()
    rows.put("eav_attribute", attribute_id=73, attribute_code="old_name")
    rows.put("eav_attribute", attribute_id=500, entity_type_id=4, attribute_code="name", backend_type="varchar")
    rows.put("catalog_product_entity_varchar", value_id=1, attribute_id=500)

    assert properties(rows, Kind.PRODUCT, 10)["name"] == "Mug"


def test_an_attribute_may_move_to_another_table() -> None:
    """backend_type decides the table; a value left in the old one does not count."""
    rows = mug()
    rows.put("catalog_product_entity_text", **value(9, "name", "Mug in text"))
    assert properties(rows, Kind.PRODUCT, 10)["name"] == "Mug"

    rows.put("eav_attribute", attribute_id=73, backend_type="text")

    assert properties(rows, Kind.PRODUCT, 10)["name"] == "Mug in text"


@pytest.mark.parametrize(
    ("description", "short", "expected"),
    [
        pytest.param("<p>Long</p>", "Short", "Long", id="description"),
        pytest.param(None, "<i>Short</i>", "Short", id="none: short_description"),
        pytest.param("<p> </p>", "Short", "Short", id="nothing to read in it: short_description"),
        pytest.param(None, None, "", id="neither"),
    ],
)
def test_description_falls_back_to_the_short_one(description: Value, short: Value, expected: str) -> None:
    """short_description serves if the description is empty."""
    rows = mug()
    rows.put("catalog_product_entity_text", value_id=1, value=description)
    rows.put("catalog_product_entity_text", value_id=2, value=short)

    assert properties(rows, Kind.PRODUCT, 10)["description"] == expected


@pytest.mark.parametrize(
    ("image", "base", "expected"),
    [
        pytest.param("no_selection", "https://shop.example.com", "", id="none chosen"),
        pytest.param(None, "https://shop.example.com", "", id="null"),
        pytest.param(
            "m/u.jpg", "https://shop.example.com/media", "https://shop.example.com/media/m/u.jpg", id="joined"
        ),
        pytest.param("/m/u.jpg", "", "/m/u.jpg", id="no base"),
    ],
)
def test_image_url(image: Value, base: str, expected: str) -> None:
    """The image's path goes after mapping.media_base_url, with one slash between."""
    rows = mug(media_base_url=base)
    rows.put("catalog_product_entity_varchar", value_id=3, value=image)

    assert properties(rows, Kind.PRODUCT, 10)["image_url"] == expected


@pytest.mark.parametrize(("status", "expected"), [(1, "enabled"), (2, "disabled"), (0, ""), (None, "")])
def test_status_two_is_disabled(status: Value, expected: str) -> None:
    """2 is disabled, not 0."""
    rows = mug()
    rows.put("catalog_product_entity_int", value_id=1, value=status)

    assert properties(rows, Kind.PRODUCT, 10)["status"] == expected


def test_values_of_attributes_that_are_not_mapped_are_not_kept() -> None:
    """Known attributes that nothing is made of are not kept; those not heard of yet are."""
    rows = mug()
    rows.put("catalog_product_entity_int", value_id=7, entity_id=10, attribute_id=999, store_id=0, value=1)

    assert [row["value_id"] for row in rows.every("catalog_product_entity_decimal")] == [1]
    assert [row["value_id"] for row in rows.every("catalog_product_entity_int")] == [1, 7]


def test_a_deleted_product_stands_on_the_newest_line_that_refers_to_it() -> None:
    """Name, sku and price come from the line item with the highest item_id; the rest is empty."""
    rows = mug()
    rows.put("sales_order", **order())
    rows.put("sales_order_item", **item(1, name="Mug old", sku="MUG-1", price="9.0000"))
    rows.put("sales_order_item", **item(2, name="Mug new", sku="MUG-2", price="10.0000"))
    rows.put("sales_order_item", **item(3, order_id=99, name="of no order"))
    assert properties(rows, Kind.PRODUCT, 10)["name"] == "Mug"

    rows.remove("catalog_product_entity", 10)

    found = properties(rows, Kind.PRODUCT, 10)
    assert {name: text for name, text in found.items() if text} == {"name": "Mug new", "sku": "MUG-2", "price": "10.00"}
    assert found.keys() == properties(mug(), Kind.PRODUCT, 10).keys()
    rows.remove("sales_order_item", 1)
    rows.remove("sales_order_item", 2)
    assert not exists(rows, Kind.PRODUCT, 10)


def test_a_deleted_variant_stands_on_its_configurable_line() -> None:
    """The line is the parent's row; the family's own product is not referred to, so it does not stand in."""
    rows = shop_rows(
        {
            "sales_order": [order()],
            "sales_order_item": [
                item(1, product_type="configurable", product_id=20, product_options=FIXED, sku="TEE-M", name="Tee"),
                item(2, parent_item_id=1, product_id=21, sku="TEE-M", name="Tee M", price="0.0000"),
            ],
        }
    )

    found = properties(rows, Kind.PRODUCT, 21)
    assert (found["name"], found["sku"], found["price"]) == ("Tee", "TEE-M", "29.95")
    assert not exists(rows, Kind.PRODUCT, 20)


def test_a_bundles_selections_are_not_referred_to() -> None:
    """A bundle's line refers to the bundle; its selections' products exist only with their own rows."""
    rows = shop_rows(
        {
            "sales_order": [order()],
            "sales_order_item": [
                item(1, product_type="bundle", product_id=30, product_options=FIXED),
                item(2, parent_item_id=1, product_id=31),
            ],
        }
    )

    assert exists(rows, Kind.PRODUCT, 30)
    assert not exists(rows, Kind.PRODUCT, 31)


def test_the_highest_line_wins_though_a_lower_ones_child_has_a_higher_id() -> None:
    """Rows of several parents before their children: the line's own id decides, not the child's."""
    rows = shop_rows(
        {
            "sales_order": [order()],
            "sales_order_item": [
                item(1, product_type="configurable", product_id=20, product_options=FIXED, name="first"),
                item(2, product_id=21, name="second"),
                item(3, parent_item_id=1, product_id=21, name="child of the first"),
            ],
        }
    )

    assert properties(rows, Kind.PRODUCT, 21)["name"] == "second"


def test_an_amount_that_is_no_number_names_the_object() -> None:
    """A price that is no number dead-letters the product; the error does not show the value."""
    rows = mug()
    rows.put("catalog_product_entity_decimal", value_id=1, value="secret")

    with pytest.raises(RenderError, match="product-10") as error:
        rendered(rows, Kind.PRODUCT, 10)
    assert "secret" not in str(error.value)
