"""Associations between records."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import ObjectType
from tests.kit.crm_client import Client, V


def pair(from_id: str, to_id: str, *types: tuple[str, int]) -> dict[str, Any]:
    """An input of a batch."""
    found: dict[str, Any] = {"from": {"id": from_id}, "to": {"id": to_id}}
    if types:
        found["types"] = [{"associationCategory": category, "associationTypeId": number} for category, number in types]
    return found


async def a_deal(client: Client) -> tuple[str, str]:
    """A deal and a contact, not associated."""
    deal = await client.make("deals", dealname="#1", dealstage="closedwon", pipeline="default")
    return deal, await client.make("contacts", email="ann@example.com")


async def read(client: Client, direction: str, record_id: str) -> list[dict[str, Any]]:
    """What a record is associated with."""
    _, body = await client.links(direction, "read", {"id": record_id})
    found: list[dict[str, Any]] = body["results"][0]["to"] if body["results"] else []
    return found


async def test_a_default_association_stands_in_both_directions(client: Client) -> None:
    """Two directed results; the same again makes no second one, and is noted."""
    deal, contact = await a_deal(client)
    for _ in range(2):
        status, body = await client.links("deals/contacts", "associate/default", pair(deal, contact))
        assert (status, body["status"], "errors" in body) == (200, "COMPLETE", False)
        specs = [(one["from"]["id"], one["associationSpec"]["associationTypeId"]) for one in body["results"]]
        assert specs == [(deal, 3), (contact, 4)]
    shown = await read(client, "contacts/deals", contact)

    assert shown == [{"toObjectId": deal, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 4}]}]
    assert client.crm.watch.watch.counts == {"record_without_key": 2, "association_made_twice": 1}


async def test_good_pairs_are_made_beside_bad_ones(client: Client) -> None:
    """200 with ``errors``: an unknown id is an INVALID_IDENTIFIER, and a deal before its contact is noted."""
    deal, contact = await a_deal(client)
    status, body = await client.links("deals/contacts", "associate/default", pair(deal, "1"), pair(deal, contact))

    assert (status, body["numErrors"], len(body["results"])) == (200, 1, 2)
    assert body["errors"][0]["subCategory"] == "crm.associations.INVALID_IDENTIFIER"
    assert body["errors"][0]["context"] == {"id": ["1"]}
    assert client.crm.watch.watch.counts["deal_before_contact"] == 1


async def test_a_create_takes_associations_inline(client: Client) -> None:
    """They are made with the record, or neither is."""
    deal, _ = await a_deal(client)
    links = [{"to": {"id": deal}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 20}]}]
    status, body = await client.objects("line_items", "create", {"properties": {"name": "Bag"}, "associations": links})
    assert status == 201
    line = body["results"][0]["id"]
    assert [one["toObjectId"] for one in await read(client, "deals/line_items", deal)] == [line]

    links[0]["to"] = {"id": "1"}
    status, _ = await client.objects("line_items", "create", {"properties": {"name": "Bag"}, "associations": links})
    assert status == 400
    assert client.crm.account.records.count(ObjectType.LINE_ITEM) == 1
    assert client.crm.watch.watch.counts["line_before_deal"] == 1


async def test_removing_takes_all_types_of_the_pair(client: Client) -> None:
    """200 with a body in the dated version; what is not there counts as done."""
    deal, contact = await a_deal(client)
    client.crm.people.link(ObjectType.DEAL, deal, ObjectType.CONTACT, contact, "Payer")
    body: Any
    for _ in range(2):
        status, body = await client.links("deals/contacts", "archive", {"from": {"id": deal}, "to": [{"id": contact}]})
        assert (status, body["results"]) == (200, [])
    assert await read(client, "deals/contacts", deal) == []
    status, body = await client.links("deals/contacts", "read", {"id": deal})
    assert (status, body["errors"][0]["subCategory"]) == (207, "crm.associations.NO_ASSOCIATIONS_FOUND")


@pytest.mark.parametrize(("removed", "left"), [(("USER_DEFINED", 10_001), [3]), (("HUBSPOT_DEFINED", 3), [])])
async def test_a_label_can_be_removed_alone(client: Client, removed: tuple[str, int], left: list[int]) -> None:
    """The type without a label takes all labels along."""
    deal, contact = await a_deal(client)
    client.crm.people.link(ObjectType.DEAL, deal, ObjectType.CONTACT, contact, "Payer")
    assert (await client.links("deals/contacts", "labels/archive", pair(deal, contact, removed)))[0] == 200
    shown = await read(client, "deals/contacts", deal)
    assert [kind["typeId"] for one in shown for kind in one["associationTypes"]] == left


async def test_products_are_associated_with_nothing(client: Client) -> None:
    """HubSpot has no type for them."""
    status, _ = await client.links("line_items/products", "associate/default", pair("1", "2"))
    assert status == 400


async def test_a_pair_takes_2000_inputs(client: Client) -> None:
    """One more refuses the call, and is noted."""
    deal, contact = await a_deal(client)
    inputs = [pair(deal, contact)] * 2001
    assert (await client.links("deals/contacts", "associate/default", *inputs))[0] == 400
    assert (await client.links("deals/contacts", "associate/default", *inputs[:2000]))[0] == 200
    assert client.crm.watch.watch.counts["over_100"] == 1


async def test_one_pair_by_put(client: Client) -> None:
    """PUT of the default type lies under objects and answers as the batch; an unknown end refuses it."""
    deal, contact = await a_deal(client)
    path = f"/crm/objects/{V}/deals/{deal}/associations/default/contacts"
    status, body = await client.call("PUT", f"{path}/{contact}")
    assert (status, len(body["results"])) == (200, 2)
    assert (await client.call("PUT", f"{path}/1"))[0] == 400
    _, shown = await client.call("GET", f"/crm/objects/{V}/deals/{deal}/associations/contacts")
    assert [one["toObjectId"] for one in shown["results"]] == [contact]
    assert (await client.call("DELETE", f"/crm/objects/{V}/deals/{deal}/associations/contacts/{contact}"))[0] == 204
    assert await read(client, "deals/contacts", deal) == []


async def test_an_archived_record_is_not_seen_and_comes_back_with_its_links(client: Client) -> None:
    """Archiving drops associations from reads; a restored record has them again."""
    deal, contact = await a_deal(client)
    await client.links("deals/contacts", "associate/default", pair(deal, contact))
    client.crm.people.delete(ObjectType.CONTACT, contact)
    assert await read(client, "deals/contacts", deal) == []
    client.crm.people.restore(ObjectType.CONTACT, contact)
    assert len(await read(client, "deals/contacts", deal)) == 1


async def test_associations_have_a_budget_of_their_own(client: Client) -> None:
    """Calls of objects do not use it up; beyond it 429 with the policy, which is noted."""
    client.crm.quotas["associations"].set(1, 10_000, None)
    deal, contact = await a_deal(client)
    assert (await client.links("deals/contacts", "associate/default", pair(deal, contact)))[0] == 200
    assert client.answer_headers["X-HubSpot-RateLimit-Remaining"] == "0"
    status, body = await client.links("deals/contacts", "associate/default", pair(deal, contact))
    assert (status, body["policyName"], "category" in body) == (429, "TEN_SECONDLY_ROLLING", False)
    assert (await client.call("GET", f"/crm/objects/{V}/deals/{deal}"))[0] == 200
    assert client.crm.watch.watch.counts["beyond_quota"] == 1
