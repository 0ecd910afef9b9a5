"""What descriptors say of their objects is what the objects are; the table of kinds says the same."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.model import OBJECT_TYPE, OBJECTS, RANK, REFERRERS, Kind, ObjectRef, ObjectType, Rendered
from cdc.settings.mapping import MappingSettings
from mappers import shop_tables
from mappers.finding import WORDS
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from mappers.objects.descriptor import ObjectDescriptor
from mappers.objects.registry import DESCRIPTORS
from mappers.row_changes import RowChange
from tests.kit.example_count import example_count
from tests.unit.mappers.shops import customer, item, order, properties, shop_rows
from tests.unit.mappers.test_affected_cover import MAPPERS, all_rendered, random_change, random_shop

IDS: dict[Kind, int | str] = {
    Kind.CUSTOMER: 7, Kind.GUEST: str(guest_id("ann@example.com")), Kind.PRODUCT: 10, Kind.ORDER: 1, Kind.ITEM: 1,
    Kind.CART: 1, Kind.CART_OBJECT: 1, Kind.CART_ITEM: 1,
}  # fmt: skip
EACH = pytest.mark.parametrize("descriptor", DESCRIPTORS.values(), ids=lambda one: one.kind.value)


def test_every_kind_has_one_descriptor() -> None:
    """The registry and the table of kinds list the same kinds."""
    assert DESCRIPTORS.keys() == OBJECTS.keys() == set(Kind)


@EACH
def test_the_table_of_kinds_says_what_the_descriptor_says(descriptor: ObjectDescriptor) -> None:
    """References stand in both places, as rooms without mappers need them."""
    assert OBJECTS[descriptor.kind].references == descriptor.references


def test_ranks_and_referrers_follow_from_references() -> None:
    """What an object refers to has a lower rank, so it is sent first, and knows who may refer to it."""
    for kind, facts in OBJECTS.items():
        for other in facts.references:
            assert RANK[OBJECT_TYPE[other]] < RANK[facts.object_type]
            assert kind in REFERRERS[other]
    assert (RANK[ObjectType.CONTACT], RANK[ObjectType.PRODUCT], RANK[ObjectType.DEAL]) == (0, 0, 1)
    assert (RANK[ObjectType.CART], RANK[ObjectType.LINE_ITEM]) == (2, 3)
    assert sum(map(len, REFERRERS.values())) == sum(len(facts.references) for facts in OBJECTS.values())


def test_a_table_belongs_to_one_object_or_to_the_whole_shop() -> None:
    """Two specs of one table would be two truths about its columns."""
    names = [spec.name for spec in shop_tables.tables(with_options=True)]
    for descriptor in DESCRIPTORS.values():
        names += [spec.name for spec in descriptor.tables(MappingSettings())]

    assert len(names) == len(set(names))


@EACH
def test_the_listed_properties_are_those_rendered(descriptor: ObjectDescriptor) -> None:
    """A property that is rendered and not listed would have no type and no source."""
    rows = shop_rows(
        {
            "customer_entity": [customer()],
            "catalog_product_entity": [{"entity_id": 10, "sku": "MUG"}],
            "sales_order": [order()],
            "sales_order_item": [item()],
            "quote": [{"entity_id": 1, "is_active": 1, "customer_email": "eve@example.com"}],
            "quote_item": [{"item_id": 1, "quote_id": 1}],
            "cart_clock": [{"quote_id": 1, "changed_ms": 1, "abandoned_ms": 2, "is_shown": 1}],
        },
        carts={"enabled": True, "as": "both"},
    )

    switched_on = descriptor.switched_on(MappingSettings.model_validate({"carts": {"enabled": True, "as": "both"}}))
    listed = {**descriptor.properties, **switched_on}
    assert properties(rows, descriptor.kind, IDS[descriptor.kind]).keys() == listed.keys()


@pytest.mark.parametrize("kind", Kind)
def test_people_may_type_a_kind_or_its_type(kind: Kind) -> None:
    """``order`` and ``deal`` name the same objects; ``contact`` names customers and guests."""
    assert kind in WORDS[kind.value]
    assert kind in WORDS[OBJECT_TYPE[kind].value.lower()]
    assert WORDS["contact"] == (Kind.CUSTOMER, Kind.GUEST)


def references(found: dict[ObjectRef, Rendered | str | None]) -> Iterator[tuple[Kind, Kind]]:
    """(kind, kind referred to) of all that is rendered."""
    for ref, made in found.items():
        if isinstance(made, Rendered):
            yield from ((ref.kind, other.kind) for other in made.references)


@given(MAPPERS, st.integers(0, 2**32))
@settings(max_examples=example_count(30), deadline=None)
def test_objects_refer_only_to_the_kinds_declared(mapper: MagentoMapping, seed: int) -> None:
    """A DELETE looks through the declared referrers alone, and lanes go by ranks that follow from references."""
    rows = random_shop(random.Random(seed), mapper)

    for kind, other in references(all_rendered(rows.mapper, rows)):
        assert other in DESCRIPTORS[kind].references


@given(MAPPERS, st.integers(0, 2**32))
@settings(max_examples=example_count(30), deadline=None)
def test_a_descriptor_names_only_objects_of_its_own_kind(mapper: MagentoMapping, seed: int) -> None:
    """What bears on an object stands in that object's file, nowhere else."""
    chance = random.Random(seed)
    rows = random_shop(chance, mapper)
    for descriptor in DESCRIPTORS.values():
        for table, affects in descriptor.affected_by:
            if table not in rows.specs:
                continue
            random_change(chance, table, rows)
            for held in rows.every(table):
                named = [
                    *affects(RowChange(None, held), rows, mapper.plan),
                    *affects(RowChange(held, None), rows, mapper.plan),
                ]
                assert {one.kind for one in named} <= {descriptor.kind}
