"""Codes that the mapping names are looked up in the shop's own rows before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cdc.errors import SetupError
from cdc.settings.mapping import MappingSettings
from cdc.settings.shop_codes import named_codes
from cdc.settings.source import SourceSettings
from cdc.source.preflight import findings, require
from tests.integration.test_live_source import GRANTS, PASSWORD, USER, settings_for
from tests.kit.servers import Server

SHOP = (
    "CREATE TABLE store_website (website_id INT PRIMARY KEY, code VARCHAR(32))",
    "INSERT INTO store_website VALUES (0, 'admin'), (1, 'base'), (2, 'b2b')",
    "CREATE TABLE store (store_id INT PRIMARY KEY, code VARCHAR(32))",
    "INSERT INTO store VALUES (0, 'admin'), (1, 'default'), (2, 'german')",
    "CREATE TABLE customer_group (customer_group_id INT PRIMARY KEY, customer_group_code VARCHAR(32))",
    "INSERT INTO customer_group VALUES (0, 'NOT LOGGED IN'), (1, 'General'), (2, 'Wholesale ')",
    "CREATE TABLE sales_order_status (status VARCHAR(32) PRIMARY KEY)",
    "INSERT INTO sales_order_status VALUES ('pending'), ('packed')",
    "CREATE TABLE sales_order_status_state (status VARCHAR(32) PRIMARY KEY, state VARCHAR(32))",
    "INSERT INTO sales_order_status_state VALUES ('packed', 'custom_state')",
    "CREATE TABLE catalog_product_entity (entity_id INT PRIMARY KEY, type_id VARCHAR(32))",
    "INSERT INTO catalog_product_entity VALUES (1, 'simple'), (2, 'membership')",
)


@pytest.fixture
def shop(server: Server, database: str) -> SourceSettings:
    server.run(*SHOP, database=database)
    server.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
    return settings_for(server, database)


def refusal(shop: SourceSettings, mapping: Mapping[str, Any]) -> str:
    """What ``require`` says of a mapping that it refuses."""
    with pytest.raises(SetupError) as caught:
        require(shop, (), codes=named_codes(MappingSettings(**mapping)))
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "setting", "wrong", "right"),
    [
        ({"filter": {"websites": {"only": ["bsae"]}}}, "mapping.filter.websites.only", "bsae", "base"),
        ({"filter": {"websites": {"without": ["B2B"]}}}, "mapping.filter.websites.without", "B2B", "b2b"),
        ({"filter": {"stores": {"only": ["default", "germany"]}}}, "mapping.filter.stores.only", "germany", "german"),
        ({"filter": {"customer_groups": {"without": ["Genral"]}}}, "customer_groups.without", "Genral", "General"),
        ({"filter": {"product_types": {"only": ["simpel"]}}}, "product_types.only", "simpel", "simple"),
        ({"store_view": "germann"}, "mapping.store_view", "germann", "german"),
        ({"stages": {"pakced": "processed"}}, "mapping.stages", "pakced", "packed"),
    ],
)
def test_a_code_that_the_shop_does_not_have_is_refused_with_the_nearest_one(
    shop: SourceSettings, mapping: Mapping[str, Any], setting: str, wrong: str, right: str
) -> None:
    """A misspelt code would leave out what it was meant to keep, so the start ends with the setting and the cure."""
    said = refusal(shop, mapping)
    assert f"{wrong!r}" in said
    assert setting in said
    assert f"did you mean {right!r}?" in said


def test_a_code_without_a_near_one_is_answered_with_those_that_there_are(shop: SourceSettings) -> None:
    """Where nothing is near, the operator sees what the shop has."""
    assert "the shop has admin, b2b, base" in refusal(shop, {"filter": {"websites": {"only": ["xyz"]}}})


def test_codes_that_the_shop_or_magento_itself_has_are_taken(shop: SourceSettings) -> None:
    """Rows count as renderers see them, and what Magento ships counts although no row has it yet."""
    mapping = MappingSettings(
        store_view="german",
        stages={"packed": "processed", "custom_state": "processed", "payment_review": "processed"},
        filter={
            "websites": {"only": ["base", "b2b"]},
            "stores": {"without": ["german"]},
            "customer_groups": {"only": ["NOT LOGGED IN", "Wholesale"]},
            "product_types": {"only": ["membership", "bundle"]},
        },
    )
    require(shop, (), codes=named_codes(mapping))
    said = [one for one in findings(shop, (), codes=named_codes(mapping)) if one.name == "codes"]
    assert [one.ok for one in said] == [True]
    assert "mapping.filter.websites.only" in said[0].text


def test_a_table_that_cannot_be_read_is_a_warning_and_no_refusal(
    server: Server, database: str, shop: SourceSettings
) -> None:
    """Nothing shows that the code is wrong, so the start goes on, and ``check`` names the table."""
    server.run("DROP TABLE sales_order_status", database=database)
    codes = named_codes(MappingSettings(stages={"mine": "processed"}))
    require(shop, (), codes=codes)
    (said,) = [one for one in findings(shop, (), codes=codes) if one.name == "codes"]
    assert said.warning
    assert "sales_order_status" in said.text
