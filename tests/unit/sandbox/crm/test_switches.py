"""Each switch for what nobody has confirmed: both of its sides."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import ObjectType
from tests.kit.crm_client import Client, V, definition, traced


def switch(client: Client, **values: Any) -> None:
    """Set switches of the account."""
    client.crm.account.behaviour.change(values)


@pytest.mark.parametrize(("choice", "category", "end"), [
    ("conflict", "CONFLICT", "Existing ID: {held}"),
    ("unique_value", "VALIDATION_ERROR", "{held} already has that value."),
])  # fmt: skip
async def test_how_an_update_names_the_other_contact(client: Client, choice: str, category: str, end: str) -> None:
    """By category and context, or in the text of a taken unique value."""
    switch(client, email_conflict=choice)
    held = await client.make("contacts", email="ann@example.com")
    other = await client.make("contacts", email="bob@example.com")
    _, body = await client.objects("contacts", "update", traced(1, {"email": "ann@example.com"}, id=other))
    (error,) = body["errors"]
    assert error["category"] == category
    assert error["message"].endswith(end.format(held=held))
    assert ("existingId" in error["context"]) == (choice == "conflict")


@pytest.mark.parametrize("status", [207, 200])
async def test_the_status_of_a_part(client: Client, status: int) -> None:
    """A sender reads ``errors``, whatever the status."""
    switch(client, partial_status=status)
    inputs = [traced(1, {"email": "x"}), traced(2, {"email": "ann@example.com"})]
    found, body = await client.objects("contacts", "create", *inputs)
    assert (found, body["numErrors"], len(body["results"])) == (status, 1, 1)


@pytest.mark.parametrize("is_error", [True, False])
async def test_a_record_without_associations(client: Client, is_error: bool) -> None:
    """It is named under ``errors``, or left out."""
    switch(client, no_associations_is_error=is_error)
    deal = await client.make("deals", dealname="#1")
    status, body = await client.links("deals/contacts", "read", {"id": deal})
    assert (status, body["results"], "errors" in body) == (207 if is_error else 200, [], is_error)


@pytest.mark.parametrize(("choice", "refused"), [("keep_both", False), ("refuse", True)])
async def test_a_second_deal_of_a_line(client: Client, choice: str, refused: bool) -> None:
    """HubSpot says that a line item has one parent; nobody has seen what a second one does."""
    switch(client, second_deal_of_line=choice)
    line = await client.make("line_items", name="Bag")
    for number in (1, 2):
        deal = await client.make("deals", dealname=f"#{number}")
        pair = {"from": {"id": line}, "to": {"id": deal}}
        _, body = await client.links("line_items/deals", "associate/default", pair)
        assert ("errors" in body) == (refused and number == 2)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_product_that_does_not_exist(client: Client, refused: bool) -> None:
    """The line is taken and noted, or refused."""
    switch(client, unknown_product_is_refused=refused)
    properties = {"name": "Bag", "hs_product_id": "5"}
    status, _ = await client.call("POST", f"/crm/objects/{V}/line_items", {"properties": properties})
    assert status == (400 if refused else 201)
    assert client.crm.watch.watch.counts["line_before_product"] == (0 if refused else 1)


async def test_a_new_property_is_read_a_moment_later(client: Client) -> None:
    """Its values can be written at once."""
    now_ms = client.crm.account.now_ms()
    client.crm.account.now_ms = lambda: now_ms
    switch(client, property_delay_ms=500)
    path = f"/crm/properties/{V}/contacts"
    await client.call("POST", path, definition("magento_group"))
    assert (await client.call("GET", f"{path}/magento_group"))[0] == 404
    assert await client.make("contacts", magento_group="Retail")
    now_ms += 500
    assert (await client.call("GET", f"{path}/magento_group"))[0] == 200


@pytest.mark.parametrize(("blocks", "status"), [(False, 201), (True, 400)])
async def test_the_address_of_a_deleted_contact(client: Client, blocks: bool, status: int) -> None:
    """GDPR delete blocks it, or not."""
    switch(client, gdpr_blocks_email=blocks)
    held = await client.make("contacts", email="ann@example.com")
    await client.call("POST", f"/crm/objects/{V}/contacts/gdpr-delete", {"objectId": held})
    body = {"properties": {"email": "ann@example.com"}}
    assert (await client.call("POST", f"/crm/objects/{V}/contacts", body))[0] == status


async def test_an_account_that_is_full(client: Client) -> None:
    """New records are refused one by one, known ones are updated."""
    switch(client, record_limits={"contacts": 1})
    held = await client.make("contacts", email="ann@example.com")
    status, body = await client.objects("contacts", "create", traced(1, {"email": "bob@example.com"}))
    assert (status, body["errors"][0]["category"]) == (207, "LIMIT_EXCEEDED")
    assert (await client.objects("contacts", "update", {"id": held, "properties": {"city": "Ulm"}}))[0] == 200
    _, limits = await client.call("GET", f"/crm/limits/{V}/records")
    assert limits["hubspotDefinedObjectTypes"][0]["percentage"] == 100.0


async def test_results_in_the_order_of_the_inputs(client: Client) -> None:
    """A test that wants it so can have it."""
    switch(client, results_in_input_order=True)
    inputs = [traced(n, {"email": f"{n}@example.com"}) for n in range(3)]
    _, body = await client.objects("contacts", "create", *inputs)
    assert [result["objectWriteTraceId"] for result in body["results"]] == ["0", "1", "2"]


@pytest.mark.parametrize(("inputs", "status"), [(100, 200), (101, 400)])
async def test_a_removal_takes_so_many_inputs(client: Client, inputs: int, status: int) -> None:
    """100 by a secondary source."""
    deal = await client.make("deals", dealname="#1")
    item = {"from": {"id": deal}, "to": [{"id": "1"}]}
    assert (await client.links("deals/contacts", "archive", *[item] * inputs))[0] == status


async def test_switches_are_set_by_http(client: Client) -> None:
    """What is wrong is named, and nothing is changed."""
    status, body = await client.call("PUT", "/_sandbox/crm/behaviour", {"search_lag_ms": 5, "no_such": 1})
    assert (status, "no_such" in body["message"]) == (400, True)
    assert client.crm.account.behaviour.search_lag_ms == 2000
    status, body = await client.call("PUT", "/_sandbox/crm/behaviour", {"search_lag_ms": 5})
    assert (status, body["search_lag_ms"]) == (200, 5)
    assert client.crm.account.records.count(ObjectType.CONTACT) == 0
