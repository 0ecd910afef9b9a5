"""The list of properties and what they are made from."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import ObjectType, ValueType
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers.mapping import MagentoMapping
from sinks.bridge.mapping import MAPPED, UNMAPPED


def listed(**settings: Any) -> dict[tuple[ObjectType, str], tuple[PropertyType, str]]:
    """(object type, property) → type and place."""
    mapper = MagentoMapping(MappingSettings(**settings))
    return {(source.object_type, source.name): (source.type, source.origin) for source in mapper.sources}


@pytest.mark.parametrize("object_type", list(MAPPED))
def test_every_default_property_is_listed(object_type: ObjectType) -> None:
    """The same names as the bridge's mapping knows, which are those that are rendered."""
    names = {name for of_type, name in listed() if of_type is object_type}

    assert names == {*MAPPED[object_type], *UNMAPPED[object_type]}


@pytest.mark.parametrize("currency", ["order", "base"])
def test_the_columns_named_are_read(currency: str) -> None:
    """Each table.column is one that is decoded."""
    mapper = MagentoMapping(MappingSettings.model_validate({"currency": currency}))
    read = {f"{spec.name}.{column}" for spec in mapper.tables for column in spec.columns}

    for source in mapper.sources:
        for place in source.origin.split(", else "):
            if "." in place:  # the rest are codes of attributes
                assert place.split(" ")[0].split(",")[0] in read, source


def test_ones_own_properties_are_listed_with_their_places() -> None:
    """Columns, JSON paths, labels, attributes, extension tables, forms; one's own takes a default's place."""
    slot = {"column": "slot_id", "lookup": {"table": "slots", "key": "id", "label": "name"}}
    found = listed(
        deal={"properties": {"coupon_code": {"column": "opts", "json": "$.a"}, "slot": slot}},
        product={"attributes": {"color": "color"}},
        customer={"address_attributes": {"zone": "delivery_zone"}},
        contact={"billing_address": {"vat": "vat_id"}},
        satellites=[{"table": "dates", "key": "order_id", "properties": {"day": {"column": "d", "type": "date"}}}],
        contact_forms=[{"table": "notes", "email": "mail", "properties": {"phone": "tel", "subject": "topic"}}],
    )

    assert found[ObjectType.DEAL, "coupon_code"] == (PropertyType.TEXT, "sales_order.opts $.a")
    assert found[ObjectType.DEAL, "slot"] == (PropertyType.TEXT, "sales_order.slot_id, label in slots.id")
    assert found[ObjectType.DEAL, "day"] == (PropertyType.DATE, "dates.d")
    assert found[ObjectType.PRODUCT, "color"] == (PropertyType.TEXT, "attributes of the product: color")
    assert found[ObjectType.CONTACT, "zone"] == (PropertyType.TEXT, "attributes of the billing address: delivery_zone")
    assert found[ObjectType.CONTACT, "vat"] == (PropertyType.TEXT, "customer_address_entity.vat_id")
    assert found[ObjectType.CONTACT, "phone"][1].endswith("sales_order_address.telephone, else notes.tel")
    assert found[ObjectType.CONTACT, "subject"] == (PropertyType.TEXT, "notes.topic")


def test_every_property_says_what_its_text_is() -> None:
    """Receivers make properties of their own from it: amounts are numbers, times are times, the rest is text."""
    mapper = MagentoMapping(
        MappingSettings.model_validate(
            {
                "deal": {"properties": {"day": {"column": "d", "type": "date"}, "slot": {"column": "s"}}},
                "product": {"attributes": {"color": {"code": "color", "type": "option"}}},
            }
        )
    )
    found = {(source.object_type, source.name): source for source in mapper.sources}
    types = {key: source.value_type for key, source in found.items()}

    assert types[ObjectType.DEAL, "amount"] is ValueType.NUMBER
    assert types[ObjectType.DEAL, "on_hold"] is ValueType.BOOL
    assert types[ObjectType.DEAL, "day"] is ValueType.DATE
    assert types[ObjectType.DEAL, "slot"] is ValueType.STRING
    assert types[ObjectType.CONTACT, "created_at"] is ValueType.DATETIME
    assert types[ObjectType.CONTACT, "date_of_birth"] is ValueType.DATE
    assert types[ObjectType.PRODUCT, "color"] is ValueType.STRING
    assert types[ObjectType.CONTACT, "newsletter"] is ValueType.ENUMERATION
    assert found[ObjectType.PRODUCT, "status"].options == ("enabled", "disabled")
