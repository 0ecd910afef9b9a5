"""Merge, GDPR delete, the recycle bin, and what people do by hand."""

from __future__ import annotations

import pytest

from cdc.model import ObjectType
from tests.kit.crm_client import Client, V

CONTACT, DEAL = ObjectType.CONTACT, ObjectType.DEAL


async def two_contacts(client: Client) -> tuple[str, str]:
    """Two contacts with keys, the second with a deal and a city."""
    await client.make_key("contacts")
    first = await client.make("contacts", email="ann@example.com", magento_key="k1", firstname="Ann")
    second = await client.make("contacts", email="bob@example.com", magento_key="k2", firstname="Bob", city="Ulm")
    deal = await client.make("deals", dealname="#1")
    client.crm.people.link(CONTACT, second, DEAL, deal)
    return first, second


async def merged(client: Client, primary: str, other: str) -> str:
    """The id of the record that stays."""
    body = {"primaryObjectId": primary, "objectIdToMerge": other}
    status, found = await client.call("POST", f"/crm/objects/{V}/contacts/merge", body)
    assert status == 200, found
    record_id: str = found["id"]
    return record_id


async def test_a_merge_keeps_the_first_records_values(client: Client) -> None:
    """Blanks are filled, the other address becomes an additional one, deals move, the other key is lost."""
    first, second = await two_contacts(client)
    assert await merged(client, first, second) == first
    names = "firstname,city,magento_key,hs_additional_emails,hs_merged_object_ids"
    _, body = await client.call("GET", f"/crm/objects/{V}/contacts/{second}", properties=names)

    assert body["id"] == first
    held = body["properties"]
    assert (held["firstname"], held["city"], held["magento_key"]) == ("Ann", "Ulm", "k1")
    assert (held["hs_additional_emails"], held["hs_merged_object_ids"]) == ("bob@example.com", second)
    assert client.crm.account.by_key(CONTACT, "k2") is None
    assert len(client.crm.account.links.of(CONTACT, first, DEAL)) == 1


async def test_a_merged_id_may_answer_not_found(client: Client) -> None:
    """Nobody has confirmed what HubSpot does; it is not in the recycle bin either."""
    client.crm.account.behaviour.merged_ids = "not_found"
    first, second = await two_contacts(client)
    await merged(client, first, second)
    for query in ({}, {"archived": "true"}):
        assert (await client.call("GET", f"/crm/objects/{V}/contacts/{second}", **query))[0] == 404


async def test_a_merge_may_make_a_new_id(client: Client) -> None:
    """Then both old ids lead to it, with the deals."""
    client.crm.account.behaviour.merge_makes_new_id = True
    first, second = await two_contacts(client)
    survivor = await merged(client, first, second)
    assert survivor not in (first, second)
    for old in (first, second):
        _, body = await client.call("GET", f"/crm/objects/{V}/contacts/{old}")
        assert body["id"] == survivor
    assert len(client.crm.account.links.of(CONTACT, survivor, DEAL)) == 1


@pytest.mark.parametrize(("taken", "status"), [(True, 409), (False, 201)])
async def test_a_merged_away_address_may_be_free(client: Client, taken: bool, status: int) -> None:
    """Sources disagree; where it is free, a second contact of one address is noted."""
    client.crm.account.behaviour.additional_email_is_taken = taken
    first, second = await two_contacts(client)
    await merged(client, first, second)
    body = {"properties": {"email": "bob@example.com", "magento_key": "k3"}}
    assert (await client.call("POST", f"/crm/objects/{V}/contacts", body))[0] == status
    assert client.crm.watch.watch.counts["second_record"] == (0 if taken else 1)


@pytest.mark.parametrize(
    ("choice", "primary", "additional"),
    [("promote", "bob@example.com", "ann@example.com"), ("keep", "ann@example.com", "bob@example.com")],
)
async def test_an_additional_address_that_is_written(
    client: Client, choice: str, primary: str, additional: str
) -> None:
    """It becomes the primary one, or nothing happens."""
    client.crm.account.behaviour.change({"writing_additional_email": choice})
    held = await client.make("contacts", email="ann@example.com")
    client.crm.people.add_email(held, "bob@example.com")
    await client.objects("contacts", "update", {"id": held, "properties": {"email": "bob@example.com"}})
    assert client.crm.account.records.live[CONTACT][held].emails == (primary, additional)


@pytest.mark.parametrize(("choice", "additional"), [("drop", ()), ("additional", ("ann@example.com",))])
async def test_the_address_that_an_update_replaces(client: Client, choice: str, additional: tuple[str, ...]) -> None:
    """It is gone, or an additional one."""
    client.crm.account.behaviour.change({"old_email_on_change": choice})
    held = await client.make("contacts", email="ann@example.com")
    await client.objects("contacts", "update", {"id": held, "properties": {"email": "bob@example.com"}})
    assert client.crm.account.records.live[CONTACT][held].emails == ("bob@example.com", *additional)
    free = client.crm.account.records.find(CONTACT, "email", "ann@example.com")
    assert (free is None) == (choice == "drop")


async def test_a_restored_record_needs_its_values_free(client: Client) -> None:
    """People cannot restore a contact whose address an active one has."""
    held = await client.make("contacts", email="ann@example.com")
    client.crm.people.delete(CONTACT, held)
    await client.make("contacts", email="ann@example.com")
    with pytest.raises(ValueError, match="cannot be restored"):
        client.crm.people.restore(CONTACT, held)


async def test_gdpr_delete_is_for_good(client: Client) -> None:
    """204; the record is not in the recycle bin; an address that matches nobody is blocked."""
    held = await client.make("contacts", email="ann@example.com")
    path = f"/crm/objects/{V}/contacts/gdpr-delete"
    assert (await client.call("POST", path, {"objectId": held}))[0] == 204
    assert (await client.call("GET", f"/crm/objects/{V}/contacts/{held}", archived="true"))[0] == 404
    assert await client.make("contacts", email="ann@example.com")

    assert (await client.call("POST", path, {"objectId": "bob@example.com", "idProperty": "email"}))[0] == 204
    status, body = await client.call("POST", f"/crm/objects/{V}/contacts", {"properties": {"email": "bob@example.com"}})
    assert (status, body["errors"][0]["code"]) == (400, "GDPR_BLACKLISTED_EMAIL")


async def test_people_work_by_http_too(client: Client) -> None:
    """What a test in another process asks for; it uses no quota and breaks no rule."""

    async def do(**body: object) -> str:
        status, answer = await client.call("POST", "/_sandbox/crm/people", body)
        assert status == 200, answer
        record_id: str = answer["id"]
        return record_id

    first = await do(do="create", type="contacts", properties={"email": "ann@example.com"})
    second = await do(do="create", type="contacts", properties={"email": "bob@example.com"})
    deal = await do(do="create", type="deals", properties={"dealname": "#1"})
    await do(do="edit", type="contacts", id=first, properties={"city": "Ulm"})
    await do(do="add_email", type="contacts", id=first, email="ann2@example.com")
    await do(do="link", type="contacts", id=second, other_type="deals", other_id=deal, label="Payer")
    assert await do(do="merge", type="contacts", id=first, other_id=second) == first
    await do(do="unlink", type="contacts", id=first, other_type="deals", other_id=deal)
    await do(do="delete", type="contacts", id=first)
    await do(do="restore", type="contacts", id=first)
    await do(do="purge", type="deals", id=deal)

    assert client.crm.account.records.live[CONTACT][first].properties["city"] == "Ulm"
    assert client.crm.watch.watch.counts == {}
    assert client.crm.quotas["objects"].used_today == 0
    for wrong in ({"do": "edit"}, {"do": "fly", "type": "deals"}, {"do": "delete", "type": "deals", "id": "1"}):
        assert (await client.call("POST", "/_sandbox/crm/people", wrong))[0] == 400
