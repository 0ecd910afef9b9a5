"""Batches and single records, as HubSpot answers them."""

from __future__ import annotations

import pytest

from cdc.model import ObjectType
from tests.kit.crm_client import Client, V, traced


async def test_a_call_without_the_token_is_refused(client: Client) -> None:
    """401 INVALID_AUTHENTICATION, and nothing about the token in the request log."""
    client.headers = {"Authorization": "Bearer wrong"}
    status, body = await client.call("GET", f"/crm/objects/{V}/contacts")

    assert (status, body["category"]) == (401, "INVALID_AUTHENTICATION")
    assert "wrong" not in str(client.crm.exchanges.kept)


async def test_upsert_makes_once_and_then_updates(client: Client) -> None:
    """``new`` is true once, the trace id is echoed, the id stays, and the status of all is 200."""
    await client.make_key("contacts")
    ids = set()
    for is_new in (True, False):
        item = traced(7, {"firstname": "Ann", "email": "ANN@Example.com"}, id="k1", idProperty="magento_key")
        status, body = await client.objects("contacts", "upsert", item)
        assert (status, body["status"], "errors" in body) == (200, "COMPLETE", False)
        (result,) = body["results"]
        ids.add(result["id"])
        assert (result["new"], result["objectWriteTraceId"]) == (is_new, "7")
        assert (result["properties"]["email"], result["properties"]["magento_key"]) == ("ann@example.com", "k1")
    assert len(ids) == 1


@pytest.mark.parametrize("name", ["0-1", "contact", "contacts"])
async def test_a_type_has_several_names(client: Client, name: str) -> None:
    """The type id works wherever the name does."""
    record_id = await client.make(name, email="ann@example.com")
    status, body = await client.call("GET", f"/crm/objects/{V}/contacts/{record_id}")
    assert (status, body["properties"]["email"]) == (200, "ann@example.com")


async def test_an_unknown_type_has_no_category(client: Client) -> None:
    """The body of that refusal lacks ``category``."""
    status, body = await client.call("GET", f"/crm/objects/{V}/starships")
    assert (status, "category" in body) == (400, False)


async def test_results_are_not_in_the_order_of_the_inputs(client: Client) -> None:
    """A sender has to match by trace id."""
    inputs = [traced(n, {"email": f"{n}@example.com"}) for n in range(3)]
    _, body = await client.objects("contacts", "create", *inputs)
    assert [result["objectWriteTraceId"] for result in body["results"]] == ["2", "1", "0"]


async def test_with_trace_ids_each_input_has_its_own_outcome(client: Client) -> None:
    """207: the good ones are written, each error names its input."""
    await client.make_key("contacts")
    held = await client.make("contacts", email="ann@example.com")
    inputs = [
        traced(1, {"email": "ann@example.com"}, id="k1", idProperty="magento_key"),
        traced(2, {"email": "bob@example.com"}, id="k2", idProperty="magento_key"),
        traced(3, {"email": "no address"}, id="k3", idProperty="magento_key"),
    ]
    status, body = await client.objects("contacts", "upsert", *inputs)

    assert (status, body["numErrors"], len(body["results"])) == (207, 2, 1)
    by_trace = {error["context"]["objectWriteTraceId"][0]: error for error in body["errors"]}
    assert by_trace["1"]["category"] == "CONFLICT"
    assert by_trace["1"]["context"]["existingId"] == [held]
    assert by_trace["3"]["errors"][0]["code"] == "INVALID_EMAIL"
    assert client.crm.account.by_key(ObjectType.CONTACT, "k2") is not None


@pytest.mark.parametrize("traces", [("", ""), ("1", "1"), ("1", "")], ids=["none", "equal", "one"])
async def test_without_different_trace_ids_one_bad_input_refuses_all(client: Client, traces: tuple[str, str]) -> None:
    """400, the codes of all bad values, and nothing is written."""
    inputs = [
        {"properties": {"email": address}} | ({"objectWriteTraceId": trace} if trace else {})
        for trace, address in zip(traces, ("bob@example.com", "x"), strict=True)
    ]
    status, body = await client.objects("contacts", "create", *inputs)

    assert status == 400
    assert body["message"].startswith("Property values were not valid: [{")
    assert [error["code"] for error in body["errors"]] == ["INVALID_EMAIL"]
    assert client.crm.account.records.count(ObjectType.CONTACT) == 0


async def test_a_conflict_without_trace_ids_takes_everything_back(client: Client) -> None:
    """409 names the first offender; inputs before it are not written either."""
    held = await client.make("contacts", email="ann@example.com")
    inputs = [{"properties": {"email": address}} for address in ("bob@example.com", "ann@example.com")]
    status, body = await client.objects("contacts", "create", *inputs)

    assert (status, body["category"]) == (409, "CONFLICT")
    assert body["message"] == f"Contact already exists. Existing ID: {held}"
    assert client.crm.account.records.count(ObjectType.CONTACT) == 1
    assert await client.make("contacts", email="bob@example.com")


@pytest.mark.parametrize(("form", "member"), [("no_id", "message"), ("identity_profile", "identityProfile")])
async def test_the_conflict_has_other_forms_too(client: Client, form: str, member: str) -> None:
    """All three that were seen can be chosen."""
    client.crm.account.behaviour.change({"conflict_form": form})
    held = await client.make("contacts", email="ann@example.com")
    status, body = await client.call("POST", f"/crm/objects/{V}/contacts", {"properties": {"email": "Ann@example.com"}})

    assert status == 409
    assert member in body
    assert (body.get("identityProfile", {}).get("vid") == int(held)) == (form == "identity_profile")
    assert held not in body["message"]


async def test_the_same_id_twice_refuses_the_call(client: Client) -> None:
    """400 with the ids, trace ids or not; emails count in any case."""
    inputs = [
        traced(n, {"firstname": "A"}, id=address, idProperty="email") for n, address in enumerate(["a@x.de", "A@x.de"])
    ]
    status, body = await client.objects("contacts", "upsert", *inputs)

    assert (status, body["context"]["ids"]) == (400, ["a@x.de"])
    assert body["message"].startswith("Duplicate IDs found in batch input")


@pytest.mark.parametrize(("choice", "written"), [("refuse", ""), ("refuse_late", "1")])
async def test_two_names_of_one_record_refuse_the_call(client: Client, choice: str, written: str) -> None:
    """Before or after the first input was written: seen both ways."""
    client.crm.account.behaviour.change({"same_record_twice": choice})
    held = await client.make("contacts", email="ann@example.com")
    client.crm.people.add_email(held, "ann2@example.com")
    inputs = [
        traced(n, {"firstname": str(n)}, id=address, idProperty="email")
        for n, address in ((1, "ann@example.com"), (2, "ann2@example.com"))
    ]
    status, body = await client.objects("contacts", "upsert", *inputs)

    assert (status, body["context"]["ids"]) == (400, [held])
    _, shown = await client.call("GET", f"/crm/objects/{V}/contacts/{held}", properties="firstname")
    assert (shown["properties"]["firstname"] or "") == written


async def test_an_additional_email_leads_to_its_contact(client: Client) -> None:
    """An upsert by it lands there, and a new contact with it is a conflict."""
    held = await client.make("contacts", email="ann@example.com")
    client.crm.people.add_email(held, "ann2@example.com")
    item = {"id": "ANN2@example.com", "idProperty": "email", "properties": {"firstname": "Ann"}}
    _, body = await client.objects("contacts", "upsert", item)
    status, _ = await client.call("POST", f"/crm/objects/{V}/contacts", {"properties": {"email": "ann2@example.com"}})

    assert (body["results"][0]["id"], body["results"][0]["new"], status) == (held, False, 409)


async def test_a_call_takes_100_inputs(client: Client) -> None:
    """One more refuses the call."""
    inputs = [{"properties": {"email": f"{n}@example.com"}} for n in range(101)]
    assert (await client.objects("contacts", "create", *inputs))[0] == 400
    assert (await client.objects("contacts", "create", *inputs[:100]))[0] == 201
    assert client.crm.watch.watch.counts["over_100"] == 1


@pytest.mark.parametrize(
    ("kind", "verb", "name"),
    [("contacts", "update", "email"), ("contacts", "upsert", "firstname"), ("deals", "update", "hs_object_id")],
)
async def test_only_unique_properties_name_records(client: Client, kind: str, verb: str, name: str) -> None:
    """``email`` counts as unique for an upsert only, the record id for none."""
    status, body = await client.objects(kind, verb, {"id": "x", "idProperty": name, "properties": {}})
    assert status == 400
    assert "non-unique 0-" in body["message"]


async def test_an_update_names_missing_records_one_by_one(client: Client) -> None:
    """Even without trace ids the others are written."""
    held = await client.make("contacts", email="ann@example.com")
    inputs = [{"id": record_id, "properties": {"firstname": "Ann"}} for record_id in (held, "1")]
    status, body = await client.objects("contacts", "update", *inputs)

    assert (status, [result["id"] for result in body["results"]]) == (207, [held])
    assert (body["errors"][0]["category"], body["errors"][0]["context"]["ids"]) == ("OBJECT_NOT_FOUND", ["1"])


async def test_a_missing_record_can_be_named_by_coordinates(client: Client) -> None:
    """The older form, which ends with the property and the value."""
    client.crm.account.behaviour.change({"missing_form": "coordinates"})
    _, body = await client.objects("contacts", "update", {"id": "1", "properties": {"firstname": "A"}})
    assert body["errors"][0]["context"]["missingObjectPropertyValueCoordinates"] == ["hs_object_id:1"]


async def test_absent_stays_and_empty_clears(client: Client) -> None:
    """A read shows null for what has no value."""
    held = await client.make("contacts", email="ann@example.com", firstname="Ann", city="Ulm")
    await client.objects("contacts", "update", {"id": held, "properties": {"city": ""}})
    _, body = await client.call("GET", f"/crm/objects/{V}/contacts/{held}", properties="firstname,city,no_such")

    assert (body["properties"]["firstname"], body["properties"]["city"]) == ("Ann", None)
    assert "no_such" not in body["properties"]


async def test_a_read_by_key_names_what_is_missing(client: Client) -> None:
    """207, ``OBJECT_NOT_FOUND`` with the ids that were asked for."""
    await client.make_key("contacts")
    held = await client.make("contacts", magento_key="k1")
    asked = {"properties": ["magento_key"], "propertiesWithHistory": [], "idProperty": "magento_key"}
    status, body = await client.objects("contacts", "read", {"id": "k1"}, {"id": "k2"}, **asked)

    assert (status, [result["id"] for result in body["results"]]) == (207, [held])
    assert body["errors"][0]["context"]["ids"] == ["k2"]


async def test_a_taken_unique_value_is_told_in_a_sentence(client: Client) -> None:
    """The text ends with the other record's id and ``already has that value``."""
    held = await client.make("products", name="Bag", hs_sku="24-MB01")
    body_of = {"properties": {"name": "Other", "hs_sku": "24-MB01"}}
    status, body = await client.call("POST", f"/crm/objects/{V}/products", body_of)

    assert (status, body["category"]) == (400, "VALIDATION_ERROR")
    assert body["message"].startswith("Cannot set PropertyValueCoordinates{")
    assert body["message"].endswith(f"{held} already has that value.")


async def test_an_archived_record_is_not_read_and_frees_its_values(client: Client) -> None:
    """404, archived reads show it, its unique values can be used again, and archiving twice is done."""
    await client.make_key("contacts")
    held = await client.make("contacts", email="ann@example.com", magento_key="k1")
    for _ in range(2):
        assert (await client.objects("contacts", "archive", {"id": held}))[0] == 204
    assert (await client.call("GET", f"/crm/objects/{V}/contacts/{held}"))[0] == 404
    status, body = await client.call("GET", f"/crm/objects/{V}/contacts/{held}", archived="true")
    assert (status, body["archived"], "archivedAt" in body) == (200, True, True)
    assert await client.make("contacts", email="ann@example.com", magento_key="k1") != held


async def test_the_account_may_keep_unique_values_of_archived_records(client: Client) -> None:
    """Then an upsert by the key names the archived record; the address is free all the same."""
    client.crm.account.behaviour.archived_keeps_unique = True
    await client.make_key("contacts")
    held = await client.make("contacts", email="ann@example.com", magento_key="k1")
    await client.objects("contacts", "archive", {"id": held})
    item = {"id": "k1", "idProperty": "magento_key", "properties": {"email": "ann@example.com"}}
    status, body = await client.objects("contacts", "upsert", item)

    assert status == 400
    assert body["message"].endswith(f"{held} already has that value.")
    assert await client.make("contacts", email="ann@example.com")


@pytest.mark.parametrize(("record_id", "has_category"), [("123456", False), ("abc", True)])
async def test_not_found_has_two_bodies(client: Client, record_id: str, has_category: bool) -> None:
    """A number without category, anything else with OBJECT_NOT_FOUND."""
    status, body = await client.call("GET", f"/crm/objects/{V}/contacts/{record_id}")
    assert (status, "category" in body) == (404, has_category)


async def test_pages_lead_through_all_records(client: Client) -> None:
    """``after`` of a page is where the next one begins."""
    made = [await client.make("contacts", email=f"{n}@example.com") for n in range(5)]
    seen, after = [], "0"
    while after:
        _, body = await client.call("GET", f"/crm/objects/{V}/contacts", limit="2", after=after)
        seen += [record["id"] for record in body["results"]]
        after = body.get("paging", {}).get("next", {}).get("after", "")
    assert seen == made


async def test_a_sku_may_belong_to_several_products(client: Client) -> None:
    """Uniqueness of ``hs_sku`` is weakly confirmed, so an account can be without it."""
    client.crm.account.behaviour.sku_is_unique = False
    for _ in range(2):
        await client.make("products", name="Bag", hs_sku="24-MB01")
    _, body = await client.call("GET", f"/crm/properties/{V}/products/hs_sku")
    assert body["hasUniqueValue"] is False
    asked = {"properties": [], "propertiesWithHistory": [], "idProperty": "hs_sku"}
    assert (await client.objects("products", "read", {"id": "24-MB01"}, **asked))[0] == 400


async def test_a_read_may_not_see_a_new_record_yet(client: Client) -> None:
    """Nobody has confirmed that a sender reads its own writes; writes see them at once."""
    now_ms = client.crm.account.now_ms()
    client.crm.account.now_ms = lambda: now_ms
    client.crm.account.behaviour.read_lag_ms = 1000
    held = await client.make("contacts", email="ann@example.com")
    assert (await client.call("GET", f"/crm/objects/{V}/contacts/{held}"))[0] == 404
    assert (await client.objects("contacts", "update", {"id": held, "properties": {"city": "Ulm"}}))[0] == 200
    now_ms += 1000
    assert (await client.call("GET", f"/crm/objects/{V}/contacts/{held}"))[0] == 200


async def test_the_search_index_trails_behind(client: Client) -> None:
    """A new record is not found, a changed one is found by its old value, until the index has caught up."""
    now_ms = client.crm.account.now_ms()
    client.crm.account.now_ms = lambda: now_ms
    await client.make("contacts", email="ann@example.com")

    async def found(value: str) -> int:
        filters = [{"propertyName": "email", "operator": "EQ", "value": value}]
        body = {"filterGroups": [{"filters": filters}], "properties": [], "sorts": [], "limit": 10, "after": "0"}
        total: int = (await client.call("POST", f"/crm/objects/{V}/contacts/search", body))[1]["total"]
        return total

    assert await found("ann@example.com") == 0
    now_ms += 3000
    assert await found("ann@example.com") == 1
    held = next(iter(client.crm.account.records.live[ObjectType.CONTACT]))
    await client.objects("contacts", "update", {"id": held, "properties": {"email": "ann2@example.com"}})
    assert (await found("ann@example.com"), await found("ann2@example.com")) == (1, 0)
    now_ms += 3000
    assert (await found("ann@example.com"), await found("ann2@example.com")) == (0, 1)
