"""Which values a property takes, and how they are stored."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import ObjectType
from sinks.sandbox.crm.behaviour import Behaviour, ConditionalRule
from sinks.sandbox.crm.values import Rule, check, iso_ms
from tests.kit.crm_client import Client, V, definition, traced


@pytest.mark.parametrize(
    ("kind", "sent", "stored"),
    [
        ("string", "  As it is  ", "  As it is  "),
        ("number", "59.90", "59.90"),
        ("number", "-1e3", "-1e3"),
        ("bool", "true", "true"),
        ("enumeration", "b", "b"),
        ("date", "2026-11-30", "2026-11-30"),
        ("date", "1796083200000", "2026-12-01"),
        ("date", "-86400000", "1969-12-31"),
        ("datetime", "1796040000123", "2026-11-30T12:00:00.123Z"),
        ("datetime", "2026-11-30T13:00:00+01:00", "2026-11-30T12:00:00Z"),
        ("number", "", ""),
    ],
)
def test_a_good_value_is_stored(kind: str, sent: str, stored: str) -> None:
    """Texts and numbers as they came, times in UTC without a zero fraction, dates as a day; empty clears."""
    options = {"bool": ["true", "false"], "enumeration": ["a", "b"]}.get(kind)
    checked = check(Rule("x", kind, options), sent, Behaviour())
    assert (checked.value, checked.problem, checked.warning) == (stored, None, None)


@pytest.mark.parametrize(
    ("kind", "sent", "code"),
    [
        ("number", "1,000.00", "INVALID_NUMBER"),
        ("number", "ten", "INVALID_NUMBER"),
        ("bool", "True", "INVALID_OPTION"),
        ("enumeration", "c", "INVALID_OPTION"),
        ("date", "30.11.2026", "INVALID_DATE"),
        ("datetime", "2026-11-30T12:00:00", "INVALID_DATE"),
        ("datetime", "9" * 16, "INVALID_DATE"),
        ("string", "x" * 65_537, "INVALID_STRING_LENGTH"),
    ],
)
def test_a_bad_value_has_its_code(kind: str, sent: str, code: str) -> None:
    """Per type; a time without a zone is none."""
    options = {"bool": ["true", "false"], "enumeration": ["a", "b"]}.get(kind)
    problem = check(Rule("x", kind, options), sent, Behaviour()).problem
    assert problem is not None
    assert (problem.name, problem.code) == ("x", code)


@pytest.mark.parametrize(
    ("kind", "sent", "stored"),
    [("date", "1796088000000", "2026-12-01"), ("datetime", "1796040000", "2026-11-30T12:00:00Z")],
)
def test_a_date_off_midnight_and_seconds_are_normalised(kind: str, sent: str, stored: str) -> None:
    """2026-09 stores them and warns with the raw and the stored value."""
    checked = check(Rule("x", kind), sent, Behaviour())
    assert checked.value == stored
    assert checked.warning is not None
    assert checked.warning["category"] == "PROPERTY_VALUE_NORMALIZED"
    assert checked.warning["context"] == {"propertyName": "x", "rawValue": sent, "normalizedValue": stored}


def test_an_account_may_refuse_dates_off_midnight() -> None:
    """Versions before 2026-09 did."""
    problem = check(Rule("x", "date"), "1796088000000", Behaviour(normalise_dates=False)).problem
    assert problem is not None
    assert problem.code == "INVALID_DATE"


@pytest.mark.parametrize("address", ["ann", "ann@x", "a b@example.com", "ann@example.com, bob@example.com", "@x.de"])
def test_an_address_has_its_form(address: str) -> None:
    """INVALID_EMAIL."""
    problem = check(Rule("email", "string", is_email=True), address, Behaviour()).problem
    assert problem is not None
    assert problem.code == "INVALID_EMAIL"


async def code_of(client: Client, kind: str, properties: dict[str, Any]) -> str:
    """The code with which a new record is refused."""
    status, body = await client.call("POST", f"/crm/objects/{V}/{kind}", {"properties": properties})
    assert status == 400, body
    code: str = body["errors"][0]["code"]
    return code


@pytest.mark.parametrize(
    ("kind", "properties", "code"),
    [
        ("contacts", {"favourite_colour": "red"}, "PROPERTY_DOESNT_EXIST"),
        ("contacts", {"hs_object_id": "1"}, "READ_ONLY_VALUE"),
        ("contacts", {"lastmodifieddate": "2026-11-30"}, "READ_ONLY_VALUE"),
        ("deals", {"dealstage": "shipped"}, "INVALID_OPTION"),
        ("deals", {"deal_currency_code": "CHF"}, "INVALID_OPTION"),
        ("line_items", {"hs_line_item_currency_code": "CHF"}, "INVALID_OPTION"),
        ("line_items", {"price": "-1"}, "INVALID_NUMBER"),
    ],
)
async def test_a_record_needs_known_properties_and_the_accounts_options(
    client: Client, kind: str, properties: dict[str, str], code: str
) -> None:
    """Unknown, computed, and what the account does not have."""
    assert await code_of(client, kind, properties) == code


async def test_an_archived_property_does_not_exist(client: Client) -> None:
    """Writes of it are refused, reads leave it out, and its values come back with it."""
    path = f"/crm/properties/{V}/contacts"
    await client.call("POST", path, definition("magento_group"))
    held = await client.make("contacts", magento_group="Retail")
    await client.call("DELETE", f"{path}/magento_group")
    assert await code_of(client, "contacts", {"magento_group": "x"}) == "PROPERTY_DOESNT_EXIST"

    async def shown() -> Any:
        return (await client.call("GET", f"/crm/objects/{V}/contacts/{held}", properties="magento_group"))[1]

    assert "magento_group" not in (await shown())["properties"]
    await client.call("POST", path, definition("magento_group"))
    assert (await shown())["properties"]["magento_group"] == "Retail"


async def test_a_value_that_was_normalised_is_told(client: Client) -> None:
    """The result carries the warning; what is stored is what the warning says."""
    status, body = await client.call(
        "POST", f"/crm/objects/{V}/deals", {"properties": {"dealname": "#1", "closedate": "1796040000"}}
    )
    assert (status, body["properties"]["closedate"]) == (201, "2026-11-30T12:00:00Z")
    assert [warning["category"] for warning in body["warnings"]] == ["PROPERTY_VALUE_NORMALIZED"]


async def test_numbers_are_taken_and_come_back_as_texts(client: Client) -> None:
    """JSON numbers and booleans are no fault; null is."""
    properties = {"name": "Bag", "price": 34.5}
    _, body = await client.call("POST", f"/crm/objects/{V}/products", {"properties": properties})
    assert body["properties"]["price"] == "34.5"
    status, _ = await client.call("POST", f"/crm/objects/{V}/products", {"properties": {"name": None}})
    assert status == 400


async def test_rules_of_an_admin_bind_the_dated_version_only(client: Client) -> None:
    """A new record lacks a required property: MISSING_REQUIRED_PROPERTY with its name; version 3 takes it."""
    client.crm.account.behaviour.required_on_create = {ObjectType.CONTACT: ["phone"]}
    assert await code_of(client, "contacts", {"email": "ann@example.com"}) == "MISSING_REQUIRED_PROPERTY"
    body = {"properties": {"email": "ann@example.com"}}
    status, made = await client.call("POST", "/crm/v3/objects/contacts", body)
    assert status == 201
    updated = await client.objects("contacts", "update", {"id": made["id"], "properties": {"city": "Ulm"}})
    assert updated[0] == 200


async def test_a_conditional_rule_binds_writes_that_it_bears_on(client: Client) -> None:
    """A won deal must have an amount; other writes of it pass."""
    rule = ConditionalRule("dealstage", "closedwon", ("amount",))
    client.crm.account.behaviour.conditional_rules = {ObjectType.DEAL: [rule]}
    deal = await client.make("deals", dealname="#1", dealstage="contractsent")
    inputs = [traced(n, values, id=deal) for n, values in enumerate([{"dealstage": "closedwon"}])]
    status, body = await client.objects("deals", "update", *inputs)
    assert (status, body["errors"][0]["errors"][0]["code"]) == (207, "MISSING_CONDITIONAL_REQUIRED_PROPERTY")
    assert body["errors"][0]["errors"][0]["context"]["propertyName"] == ["amount"]
    for values in ({"dealstage": "closedwon", "amount": "1"}, {"dealname": "#2"}):
        assert (await client.objects("deals", "update", {"id": deal, "properties": values}))[0] == 200


async def test_a_lifecycle_stage_moves_forward_only(client: Client) -> None:
    """The call succeeds and the value stays, until it is cleared first."""
    held = await client.make("contacts", email="ann@example.com", lifecyclestage="customer")
    for sent, wanted in (("lead", "customer"), ("", ""), ("lead", "lead")):
        await client.objects("contacts", "update", {"id": held, "properties": {"lifecyclestage": sent}})
        record = client.crm.account.records.live[ObjectType.CONTACT][held]
        assert record.properties.get("lifecyclestage", "") == wanted


async def test_a_value_can_be_told_to_be_refused(client: Client) -> None:
    """A test's poison: any input with this id or value, by the code that the test chose."""
    client.crm.account.behaviour.change({"refused_values": {"Poison": "INVALID_OPTION"}})
    inputs = [traced(1, {"firstname": "Poison"}), traced(2, {"firstname": "Ann"})]
    status, body = await client.objects("contacts", "create", *inputs)
    assert (status, len(body["results"])) == (207, 1)
    assert body["errors"][0]["errors"][0] == {
        "code": "INVALID_OPTION",
        "message": "Poison is refused",
        "context": {"propertyName": ["firstname"]},
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"no_such": 1},
        {"merged_ids": "both"},
        {"search_lag_ms": "1"},
        {"archived_keeps_unique": 1},
        {"scopes": "x"},
        {"required_on_create": {"starships": []}},
        {"conditional_rules": {"deals": [{"when": "x"}]}},
    ],
)
def test_a_switch_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    """A test with a typing error must not pass by accident."""
    with pytest.raises(ValueError, match=r"\w"):
        Behaviour().change(wrong)


def test_switches_come_back_as_they_were_set() -> None:
    """What the view shows can be set again."""
    behaviour = Behaviour()
    behaviour.change(
        {
            "merged_ids": "not_found",
            "scopes": ["crm.objects.deals.write"],
            "record_limits": {"contacts": 5},
            "conditional_rules": {"deals": [{"when_property": "a", "when_value": "b", "required": ["c"]}]},
        }
    )
    other = Behaviour()
    other.change(behaviour.view())
    assert other == behaviour


def test_a_moment_is_printed_as_java_does() -> None:
    """No fraction when it is zero."""
    assert (iso_ms(0), iso_ms(1)) == ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z")
