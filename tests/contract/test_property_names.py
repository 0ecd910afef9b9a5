"""One list of property names: what the mappers render is what each sink's mapping knows."""

from __future__ import annotations

import pytest

from cdc.model import OBJECT_TYPE, Kind, ObjectType, ValueType
from cdc.settings.config import Settings
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_switches import CARTS, CARTS_OF_CONTACTS
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from sinks.bridge.mapping import MAPPED, UNMAPPED
from sinks.crm.properties import OTHERS, STANDARD
from sinks.registry import SINKS
from tests.unit.mappers.shops import customer, item, order, properties, shop_rows

IDS: dict[Kind, int | str] = {
    Kind.CUSTOMER: 7, Kind.GUEST: str(guest_id("ann@example.com")), Kind.PRODUCT: 10, Kind.ORDER: 1, Kind.ITEM: 1,
    Kind.CART: 1, Kind.CART_OBJECT: 1, Kind.CART_ITEM: 1,
}  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
def test_every_rendered_property_is_known_to_each_sinks_mapping(kind: Kind) -> None:
    """A property that nobody decided on would silently go nowhere, and have no type in the CRM."""
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
    object_type = OBJECT_TYPE[kind]
    takes = [tables for tables in ((STANDARD, OTHERS), (MAPPED, UNMAPPED)) if object_type in tables[0]]
    # What a switch adds, receivers treat as the merchant's own.
    switched = {*CARTS, *CARTS_OF_CONTACTS}
    # A deal is an order's or a cart's, a line as well, and together they have the default properties.
    others = {Kind.CART: (Kind.ORDER,), Kind.CART_ITEM: (Kind.ITEM,)}
    kinds = (kind, *others.get(kind, ()))
    names = {name for one in kinds for name in properties(rows, one, IDS[one])}

    assert takes, f"no sink takes {object_type}"
    for mapped, rest in takes:
        known = {*mapped[object_type], *rest[object_type]}
        found = names - (switched - known)
        assert found <= known
        if kind is not Kind.GUEST:  # a guest has no account: created_at and date_of_birth are a customer's
            assert found == known


@pytest.mark.parametrize("object_type", list(OTHERS))
def test_the_crms_own_properties_have_the_types_of_the_values(object_type: ObjectType) -> None:
    """A property of the wrong type would refuse its values; an enumeration is kept as text, so that it can grow."""
    mapper = MagentoMapping(MappingSettings.model_validate({"carts": {"enabled": True, "as": "both"}}))
    types = {source.name: source.value_type for source in mapper.sources if source.object_type is object_type}
    as_made = {
        name: ValueType.STRING if types[name] is ValueType.ENUMERATION else types[name] for name in OTHERS[object_type]
    }

    assert as_made == OTHERS[object_type]


@pytest.mark.parametrize("sink", SINKS)
def test_every_sink_can_be_asked_for_every_name(sink: str) -> None:
    """`mapping show` lists the names of all sinks side by side, also for a type that one of them does not take."""
    settings = Settings.model_validate({"mapping": {"carts": {"enabled": True, "as": "both"}}})
    listed = MagentoMapping(settings.mapping).sources
    names = {
        (one.object_type, one.name): SINKS[sink].property_name(settings, one.object_type, one.name) for one in listed
    }

    wanted = {"bridge": "", "crm": "hs_external_cart_id", "jsonl": "cart_id"}[sink]
    assert names[ObjectType.CART, "cart_id"] == wanted
    assert names[ObjectType.CONTACT, "email"] == "email"
