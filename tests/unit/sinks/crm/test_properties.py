"""Our neutral names and HubSpot's properties."""

from __future__ import annotations

import pytest

from cdc.errors import ConfigError
from cdc.model import ObjectType, ValueType
from cdc.settings.crm import CrmSettings
from cdc.settings.mapping_columns import PropertyType
from sinks.crm.paths import SEGMENT
from sinks.crm.properties import OTHERS, STANDARD, PropertyTable

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM


def test_standard_names_are_hubspots_and_others_get_the_prefix() -> None:
    """A deal's order number is ours, its name HubSpot's; stage and currency are held twice."""
    table = PropertyTable(CrmSettings())
    values = table.values(DEAL, {"name": "#1", "order_number": "1", "stage": "shipped", "currency": "EUR"})
    assert values == {
        "dealname": "#1",
        "magento_order_number": "1",
        "dealstage": "shipped",
        "magento_stage": "shipped",
        "deal_currency_code": "EUR",
        "magento_currency": "EUR",
    }
    line = table.values(LINE_ITEM, {"discount_amount": "2", "tax_amount": "1", "sku": "MUG"})
    assert line == {"magento_discount_amount": "2", "tax": "1", "hs_sku": "MUG"}


def test_absent_stays_absent_and_empty_clears() -> None:
    """HubSpot leaves alone what is not sent, and clears what is sent empty."""
    assert PropertyTable(CrmSettings()).values(CONTACT, {"phone": ""}) == {"phone": ""}


def test_the_merchants_own_target_wins() -> None:
    """A property mapped to HubSpot's own property takes it from the default one."""
    custom = {PRODUCT: {"margin": ("price", PropertyType.MONEY), "colour": ("", PropertyType.OPTION)}}
    table = PropertyTable(CrmSettings(property_prefix="shop_"), custom)
    assert table.values(PRODUCT, {"price": "9", "margin": "2", "colour": "red"}) == {"price": "2", "shop_colour": "red"}


def test_a_default_property_from_another_column_keeps_its_place() -> None:
    """Without a target of its own a property of a default name goes where the default one goes."""
    table = PropertyTable(CrmSettings(), {CONTACT: {"phone": ("", PropertyType.TEXT)}})
    assert table.values(CONTACT, {"phone": "1"}) == {"phone": "1"}


@pytest.mark.parametrize("kind", list(SEGMENT))
def test_what_is_pushed_covers_all_that_is_written(kind: ObjectType) -> None:
    """Every property of ours that a message can write has a definition, and the key is unique."""
    table = PropertyTable(CrmSettings())
    written = set(table.values(kind, dict.fromkeys([*STANDARD[kind], *OTHERS[kind]], "x")))
    defined = {one.name: one for one in table.definitions(kind)}
    assert written - set(STANDARD[kind].values()) <= defined.keys()
    assert defined["magento_key"].is_unique
    assert {"magento_deleted_at", "magento_backfilled"} <= defined.keys()


def test_a_bool_has_exactly_hubspots_two_options() -> None:
    """HubSpot refuses a bool whose options are not true and false."""
    [held] = [one for one in PropertyTable(CrmSettings()).definitions(DEAL) if one.name == "magento_on_hold"]
    assert held.type is ValueType.BOOL
    assert [option["value"] for option in held.body()["options"]] == ["true", "false"]


def test_no_two_names_write_one_property() -> None:
    """Else the last one of a message would win."""
    table = PropertyTable(CrmSettings())
    for kind in SEGMENT:
        targets = [target.name for target in table.targets(kind).values()]
        assert len(targets) == len(set(targets))


def test_owned_by_hubspot_names_must_be_ours() -> None:
    """A name that is no property of ours is a fault of the settings."""
    settings = CrmSettings.model_validate({"owned_by_hubspot": {"contact": ["firstnam"]}})
    with pytest.raises(ConfigError, match="firstnam"):
        PropertyTable(settings)
