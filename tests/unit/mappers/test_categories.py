"""A product's categories as names and paths: the tree, the views, and which products a change of a category affects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Value
from cdc.replica.cascades import core_foreign_keys, in_row_ids
from cdc.settings.mapping import MappingSettings
from mappers.categories import FEW
from mappers.mapping import MagentoMapping
from tests.kit.replica_harness import ReplicaHarness, replica_harness
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import REFERENCES, item, order, properties, shop_rows

LAST = 2147483647
TREE = {2: 1, 3: 2, 4: 3, 5: 2}
"""Category → the one above it: 1 is the tree's root, 2 the store's root."""
NAMES = {2: "Default Category", 3: "Women", 4: "Tops", 5: "Sale"}
SWITCH: dict[str, Any] = {"product": {"categories": True}}


def link(entity_id: int, category: int, product: int = 10) -> dict[str, Value]:
    return {"entity_id": entity_id, "category_id": category, "product_id": product}


def name(value_id: int, category: int, text: str, *, store: int = 0) -> dict[str, Value]:
    return {"value_id": value_id, "entity_id": category, "attribute_id": 45, "store_id": store, "value": text}


def shop(*links: dict[str, Value], **settings: Any) -> DictRows:
    """A mug in the categories that the links name."""
    tree: list[dict[str, Value]] = [{"entity_id": 1, "parent_id": 0}]
    tree += [{"entity_id": category, "parent_id": parent} for category, parent in TREE.items()]
    return shop_rows(
        {
            "catalog_product_entity": [{"entity_id": 10, "sku": "MUG"}],
            "catalog_category_entity": tree,
            "catalog_category_entity_varchar": [name(number, number, text) for number, text in NAMES.items()],
            "catalog_category_product": [*links],
        },
        **{**SWITCH, **settings},
    )


def shown(rows: DictRows) -> tuple[str, str]:
    """The mug's names and paths."""
    found = properties(rows, Kind.PRODUCT, 10)
    return found["category_names"], found["category_paths"]


def test_a_product_has_the_names_and_paths_of_its_categories() -> None:
    """Paths begin below the store's root, and are sorted; the order of the links does not matter."""
    assert shown(shop(link(1, 5), link(2, 4))) == ("Sale;Tops", "Sale;Women > Tops")
    assert shown(shop(link(1, 4), link(2, 5))) == ("Sale;Tops", "Sale;Women > Tops")


def test_a_product_without_categories_has_empty_ones() -> None:
    """No link, a link to the store's root, and a link to a category that is gone are no category."""
    assert shown(shop()) == ("", "")
    assert shown(shop(link(1, 2), link(2, 99))) == ("", "")


def test_a_product_that_is_gone_has_empty_categories() -> None:
    """The stand-in that a line makes clears what was sent before."""
    rows = shop(link(1, 4))
    rows.put("sales_order", **order())
    rows.put("sales_order_item", **item())
    rows.remove("catalog_product_entity", 10)

    assert shown(rows) == ("", "")


def test_names_are_those_of_the_store_view() -> None:
    """The chosen view's name wins, also in the middle of a path; without one the default scope's counts."""
    rows = shop(link(1, 4), store_view="de")
    rows.put("catalog_category_entity_varchar", **name(20, 3, "Damen", store=2))
    rows.put("catalog_category_entity_varchar", **name(21, 4, "Hauts", store=3))

    assert shown(rows) == ("Tops", "Damen > Tops")


def test_a_category_above_without_a_name_is_left_out_of_the_path() -> None:
    """The path still leads to the category itself; a category without a name of its own is no category."""
    rows = shop(link(1, 4))
    rows.remove("catalog_category_entity_varchar", 3)
    assert shown(rows) == ("Tops", "Tops")

    rows.remove("catalog_category_entity_varchar", 4)
    assert shown(rows) == ("", "")


def test_parents_that_lead_in_a_circle_end() -> None:
    """Damaged rows must not keep the renderer busy for ever."""
    rows = shop(link(1, 4))
    affected = rows.put("catalog_category_entity", entity_id=3, parent_id=4)

    assert shown(rows) == ("", "")
    assert rows.spread(affected) == {ObjectRef(Kind.PRODUCT, 10)}


def test_a_renamed_category_affects_the_products_below_it_alone() -> None:
    """The products of the category and of those below it, in bulk; a category without products costs nothing."""
    rows = shop(link(1, 4), link(2, 5, product=11))

    assert rows.put("catalog_category_entity_varchar", **name(3, 3, "Ladies")) == [
        BulkInvalidation(Kind.PRODUCT, "catalog_category_product", "product_id", "category_id", 4)
    ]
    assert rows.put("catalog_category_entity_varchar", **name(30, 3, "Femmes", store=3)) == []
    assert rows.put("catalog_category_entity", entity_id=6, parent_id=3) == []


def test_a_change_high_in_a_wide_tree_is_one_bulk_invalidation() -> None:
    """Each one by category reads the whole table of links, so many become one over all linked products."""
    rows = shop(link(1, 4))
    for number in range(FEW):
        rows.put("catalog_category_entity", entity_id=100 + number, parent_id=3)

    assert rows.put("catalog_category_entity_varchar", **name(3, 3, "Ladies")) == [
        BulkInvalidation(Kind.PRODUCT, "catalog_category_product", "product_id")
    ]


def test_a_link_affects_its_product() -> None:
    """A product enters or leaves a category; its place in the category is not even read."""
    rows = shop()

    assert rows.put("catalog_category_product", **link(1, 4)) == [ObjectRef(Kind.PRODUCT, 10)]
    assert rows.remove("catalog_category_product", 1, 4, 10) == [ObjectRef(Kind.PRODUCT, 10)]
    assert "position" not in rows.specs["catalog_category_product"].columns


def test_nothing_of_categories_is_read_unless_it_is_asked_for() -> None:
    """Off, the tables, the columns and the properties are those of a mapping without the switch."""
    off = MagentoMapping(MappingSettings())

    assert not [spec.name for spec in off.tables if "category" in spec.name]
    assert not [source.name for source in off.sources if "category" in source.name]
    tables = {spec.name for spec in MagentoMapping(MappingSettings.model_validate(SWITCH)).tables}
    assert tables - {spec.name for spec in off.tables} == {
        "catalog_category_entity", "catalog_category_entity_varchar", "catalog_category_product",
    }  # fmt: skip


def test_a_property_of_the_merchants_own_takes_the_place() -> None:
    """An attribute mapped to the same name wins over the switch's property."""
    rows = shop(link(1, 4), product={"categories": True, "properties": {"category_names": "sku"}})

    assert shown(rows) == ("MUG", "Women > Tops")


# ----------------------------------------------------------------------------------------------- Adobe Commerce


@pytest.fixture
def staged() -> Iterator[ReplicaHarness]:
    """A product in a category whose name changes with a scheduled version."""
    with replica_harness(keys=in_row_ids(core_foreign_keys()), product_key="row_id", **SWITCH) as made:
        for table, rows in REFERENCES.items():
            for row in rows:
                made.insert(table, **row)
        made.insert("flag", flag_id=1, flag_code="staging", flag_data='{"current_version":"1"}')
        for sequence in (1, 2, 3):
            made.insert("sequence_catalog_category", sequence_value=sequence)
        made.insert("sequence_product", sequence_value=10)
        versions = [(101, 1, 0, 1, LAST), (102, 2, 1, 1, LAST), (103, 3, 2, 1, 500), (104, 3, 2, 500, LAST)]
        for row_id, category, parent, begins, ends in versions:
            made.insert(
                "catalog_category_entity",
                row_id=row_id, entity_id=category, parent_id=parent, created_in=begins, updated_in=ends,
            )  # fmt: skip
        for row_id, text in ((103, "Winter"), (104, "Spring")):
            value: dict[str, Value] = {"value_id": row_id, "row_id": row_id, "attribute_id": 45, "store_id": 0}
            made.insert("catalog_category_entity_varchar", **value, value=text)
        made.insert("catalog_product_entity", row_id=1000, entity_id=10, sku="MUG", created_in=1, updated_in=LAST)
        made.insert("catalog_category_product", **link(1, 3))
        yield made


def test_the_version_that_is_live_gives_the_name(staged: ReplicaHarness) -> None:
    """A scheduled rename shows when the shop's cron makes it live; a change of the other version does not."""
    assert staged.sent()[-1].properties["category_paths"] == "Winter"

    spring: dict[str, Value] = {
        "value_id": 104, "row_id": 104, "attribute_id": 45, "store_id": 0, "value": "Spring",
    }  # fmt: skip
    staged.update("catalog_category_entity_varchar", spring, value="Easter")
    assert staged.sent() == []

    staged.update("flag", {"flag_id": 1, "flag_code": "staging"}, flag_data='{"current_version":"500"}')
    [message] = staged.sent()
    assert message.properties["category_paths"] == "Easter"


def test_a_category_goes_with_its_number_in_the_sequence(staged: ReplicaHarness) -> None:
    """The sequence's row is deleted; rows, names and links of the category go without events of their own."""
    staged.sent()
    staged.delete("sequence_catalog_category", {"sequence_value": 3})

    [message] = staged.sent()
    assert message.properties["category_names"] == ""


def test_a_product_fetches_its_links() -> None:
    """Where rows are only fetched by key, the links come with the product; the categories are there already."""
    rows = shop()
    fetched = FetchByKey("catalog_category_product", "product_id", 10)

    assert fetched in rows.mapper.fetches(ObjectRef(Kind.PRODUCT, 10), rows)
    assert fetched not in shop_rows().mapper.fetches(ObjectRef(Kind.PRODUCT, 10), shop_rows())
    references = {spec.name for spec in rows.mapper.tables if spec.reference}
    assert {"catalog_category_entity", "catalog_category_entity_varchar"} <= references
