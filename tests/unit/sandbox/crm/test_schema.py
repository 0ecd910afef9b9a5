"""Properties, groups and pipelines."""

from __future__ import annotations

from typing import Any

import pytest

from sinks.sandbox.crm.standard import PROPERTIES
from sinks.sandbox.crm.types import TYPES
from tests.kit.crm_client import Client, V, definition

PATH = f"/crm/properties/{V}/contacts"


async def test_a_new_account_has_hubspots_own_properties(client: Client) -> None:
    """Each type lists its own; a product's SKU and a contact's email are unique."""
    for kind, names in TYPES.items():
        status, body = await client.call("GET", f"/crm/properties/{V}/{names.plural}")
        assert status == 200
        assert {item["name"] for item in body["results"]} == {row[0] for row in PROPERTIES[kind]}
    for plural, name in (("products", "hs_sku"), ("contacts", "email")):
        _, body = await client.call("GET", f"/crm/properties/{V}/{plural}/{name}")
        assert body["hasUniqueValue"] is True


async def test_an_active_name_is_taken(client: Client) -> None:
    """409 OBJECT_ALREADY_EXISTS with the subcategory; in a batch the others are made."""
    await client.make_key("contacts")
    status, body = await client.call("POST", PATH, definition("magento_key"))
    assert (status, body["category"]) == (409, "OBJECT_ALREADY_EXISTS")
    assert body["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"

    inputs = [definition("magento_key"), definition("magento_other")]
    status, body = await client.call("POST", f"{PATH}/batch/create", {"inputs": inputs})
    assert (status, [one["name"] for one in body["results"]]) == (207, ["magento_other"])
    assert body["errors"][0]["context"]["name"] == ["magento_key"]


async def test_an_archived_name_comes_back_with_its_old_birthday(client: Client) -> None:
    """201 restores it with the posted definition; whether values are unique stays as it was."""
    now_ms = client.crm.account.now_ms()
    client.crm.account.now_ms = lambda: now_ms
    _, first = await client.call("POST", PATH, definition("magento_group"))
    assert (await client.call("DELETE", f"{PATH}/magento_group"))[0] == 204
    assert (await client.call("GET", f"{PATH}/magento_group"))[0] == 404
    now_ms += 60_000
    status, body = await client.call("POST", PATH, definition("magento_group", label="New", hasUniqueValue=True))

    assert (status, body["label"], body["hasUniqueValue"]) == (201, "New", False)
    assert body["createdAt"] == first["createdAt"]


async def test_a_patch_ignores_whether_values_are_unique(client: Client) -> None:
    """200, and nothing of that changes."""
    await client.call("POST", PATH, definition("magento_key"))
    status, body = await client.call("PATCH", f"{PATH}/magento_key", {"hasUniqueValue": True, "label": "Key"})
    assert (status, body["hasUniqueValue"], body["label"]) == (200, False, "Key")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"label": ""}, "required"),
        ({"name": "Magento Key"}, "not valid"),
        ({"groupName": "none_such"}, "does not exist"),
        ({"fieldType": "number"}, "does not go with"),
        ({"type": "bool", "fieldType": "booleancheckbox"}, "true and false"),
        ({"type": "enumeration", "fieldType": "select", "options": [{"label": "A", "value": "a"}]}, "displayOrder"),
    ],
)
async def test_a_definition_needs_hubspots_form(client: Client, wrong: dict[str, Any], text: str) -> None:
    """400 with a sentence; 2026-09 wants ``hidden`` and ``displayOrder`` in each option."""
    status, body = await client.call("POST", PATH, definition("magento_x") | wrong)
    assert status == 400
    assert text in body["message"]


async def test_a_type_has_ten_unique_properties(client: Client) -> None:
    """The eleventh is refused."""
    for number in range(10):
        await client.make_key("contacts", f"magento_{number}")
    assert (await client.call("POST", PATH, definition("magento_10", hasUniqueValue=True)))[0] == 400


async def test_a_batch_read_needs_all_its_members(client: Client) -> None:
    """``archived`` and ``dataSensitivity`` stand beside ``inputs``; a missing name is an error of its own."""
    inputs = [{"name": "email"}, {"name": "none_such"}]
    assert (await client.call("POST", f"{PATH}/batch/read", {"inputs": inputs}))[0] == 400
    body_of = {"inputs": inputs, "archived": False, "dataSensitivity": "non_sensitive"}
    status, body = await client.call("POST", f"{PATH}/batch/read", body_of)
    assert (status, [one["name"] for one in body["results"]]) == (207, ["email"])
    assert body["errors"][0]["context"]["name"] == ["none_such"]


async def test_a_group_with_properties_stays(client: Client) -> None:
    """A group in use cannot be deleted; an empty one can, and its name can be used again."""
    for _ in range(2):
        status, body = await client.call("POST", f"{PATH}/groups", {"name": "magento", "label": "Magento"})
        assert (status, body["archived"]) == (201, False)
        await client.call("POST", PATH, definition("magento_x", groupName="magento"))
        assert (await client.call("DELETE", f"{PATH}/groups/magento"))[0] == 400
        await client.call("DELETE", f"{PATH}/magento_x")
        assert (await client.call("DELETE", f"{PATH}/groups/magento"))[0] == 204
    assert (await client.call("GET", f"{PATH}/groups/magento"))[0] == 404


def pipeline(label: str = "Magento", *stages: tuple[str, str]) -> dict[str, Any]:
    """A pipeline's definition."""
    wanted = stages or (("Open", "0.1"), ("Shipped", "1.0"))
    return {
        "label": label,
        "displayOrder": 1,
        "stages": [
            {"label": name, "displayOrder": n, "metadata": {"probability": chance}}
            for n, (name, chance) in enumerate(wanted)
        ],
    }


async def test_the_default_pipeline_has_hubspots_stages(client: Client) -> None:
    """Won has 1.0, lost 0.0, and both are closed."""
    _, body = await client.call("GET", f"/crm/pipelines/{V}/deals")
    (first,) = body["results"]
    closed = {stage["id"] for stage in first["stages"] if stage["metadata"]["isClosed"] == "true"}
    assert (first["id"], closed, len(first["stages"])) == ("default", {"closedwon", "closedlost"}, 7)


async def test_a_pipeline_is_made_and_its_stages_are_valid_values(client: Client) -> None:
    """A deal takes the stages of its own pipeline only."""
    status, made = await client.call("POST", f"/crm/pipelines/{V}/0-3", pipeline())
    assert status == 201
    own = {"pipeline": made["id"], "dealstage": made["stages"][1]["id"]}
    assert (await client.call("POST", f"/crm/objects/{V}/deals", {"properties": own}))[0] == 201
    status, body = await client.call("POST", f"/crm/objects/{V}/deals", {"properties": own | {"pipeline": "default"}})
    assert (status, body["errors"][0]["code"]) == (400, "INVALID_OPTION")
    assert (await client.call("DELETE", f"/crm/pipelines/{V}/deals/{made['id']}"))[0] == 400


async def test_an_account_takes_so_many_pipelines(client: Client) -> None:
    """API_LIMIT beyond; a label is taken once."""
    client.crm.account.behaviour.max_pipelines = 2
    assert (await client.call("POST", f"/crm/pipelines/{V}/deals", pipeline()))[0] == 201
    assert (await client.call("POST", f"/crm/pipelines/{V}/deals", pipeline("magento")))[0] == 409
    status, body = await client.call("POST", f"/crm/pipelines/{V}/deals", pipeline("Third"))
    assert (status, body["category"]) == (400, "API_LIMIT")


@pytest.mark.parametrize(("switch", "is_kept"), [(False, False), (True, True)])
async def test_chosen_ids_may_be_honoured(client: Client, switch: bool, is_kept: bool) -> None:
    """Nobody has confirmed either."""
    client.crm.account.behaviour.chosen_ids_honoured = switch
    _, made = await client.call("POST", f"/crm/pipelines/{V}/deals", pipeline() | {"pipelineId": "magento"})
    assert (made["id"] == "magento") == is_kept


async def test_a_stage_is_added_and_changed(client: Client) -> None:
    """A patch needs ``metadata``; probabilities are steps of a tenth; a label is taken once."""
    path = f"/crm/pipelines/{V}/deals/default/stages"
    stage = {"label": "Cancelled", "displayOrder": 9, "metadata": {"probability": "0.0"}}
    status, made = await client.call("POST", path, stage)
    assert (status, made["metadata"]["isClosed"]) == (201, "true")
    assert (await client.call("POST", path, stage))[0] == 409
    assert (await client.call("PATCH", f"{path}/{made['id']}", {"label": "Lost"}))[0] == 400
    for chance, wanted in (("0.25", 400), ("0.3", 200)):
        body = {"metadata": {"probability": chance}}
        assert (await client.call("PATCH", f"{path}/{made['id']}", body))[0] == wanted


async def test_the_account_tells_who_it_is(client: Client) -> None:
    """Portal, time zone and currencies; the day's calls and when they are counted anew."""
    _, details = await client.call("GET", f"/account-info/{V}/details")
    assert (details["portalId"], details["timeZone"], details["companyCurrency"]) == (1, "Europe/Berlin", "EUR")
    _, usage = await client.call("GET", f"/account-info/{V}/api-usage/daily/private-apps")
    assert (usage["results"][0]["currentUsage"], usage["results"][0]["usageLimit"]) == (2, 625_000)
    _, limits = await client.call("GET", f"/crm/limits/{V}/records")
    assert {one["objectTypeId"] for one in limits["hubspotDefinedObjectTypes"]} == {"0-1", "0-3", "0-7", "0-8", "0-142"}


async def test_a_missing_scope_is_named(client: Client) -> None:
    """403 MISSING_SCOPES lists what the path needs; the account's details need none."""
    client.crm.account.behaviour.scopes = {"crm.objects.contacts.write"}
    status, body = await client.call("GET", PATH)
    assert (status, body["category"]) == (403, "MISSING_SCOPES")
    assert body["errors"][0]["context"]["requiredGranularScopes"] == ["crm.schemas.contacts.read"]
    assert (await client.call("GET", f"/account-info/{V}/details"))[0] == 200
    assert await client.make("contacts", email="ann@example.com")
