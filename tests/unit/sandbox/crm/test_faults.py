"""Faults on demand, quotas and the watch on the sender."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from cdc.model import ObjectType
from sinks.sandbox.crm.faults import CrmFaults
from sinks.sandbox.crm.quota import OBJECTS, CallQuota
from tests.kit.crm_client import Client, V, definition


async def set_fault(client: Client, *faults: dict[str, Any]) -> None:
    """By HTTP, as a test in another process does."""
    status, body = await client.call("POST", "/_sandbox/crm/faults", list(faults))
    assert status == 200, body


async def test_a_fault_hits_the_paths_that_it_names(client: Client) -> None:
    """Others pass; it ends after its count; Retry-After and the policy are sent."""
    await set_fault(
        client, {"status": 503, "retry_after": 2, "path": "deals/batch"}, {"status": 429, "policy": "DAILY"}
    )
    status, body = await client.objects("contacts", "create", {"properties": {"email": "ann@example.com"}})
    assert (status, body["policyName"], body["errorType"]) == (429, "DAILY", "RATE_LIMIT")
    status, body = await client.objects("deals", "create", {"properties": {"dealname": "#1"}})
    assert (status, client.answer_headers["Retry-After"]) == (503, "2")
    assert (await client.objects("deals", "create", {"properties": {"dealname": "#1"}}))[0] == 201
    assert (await client.call("GET", "/_sandbox/crm/faults"))[1] == {"faults": []}


@pytest.mark.parametrize(("when", "written"), [("before", 0), ("after", 1)])
async def test_an_answer_is_cut_before_or_after_the_write(client: Client, when: str, written: int) -> None:
    """Either way the sender gets no answer; a repetition after it breaks no rule."""
    await client.make_key("contacts")
    await set_fault(client, {"cut": when})
    item = {"id": "k1", "idProperty": "magento_key", "properties": {"firstname": "Ann"}}
    with pytest.raises(aiohttp.ClientError):
        await client.objects("contacts", "upsert", item)
    assert client.crm.account.records.count(ObjectType.CONTACT) == written
    assert client.crm.exchanges.kept[-1].status == 0

    await client.objects("contacts", "upsert", item)
    assert client.crm.watch.watch.counts == {}
    await client.objects("contacts", "upsert", item)
    assert client.crm.watch.watch.counts == {"write_without_change": 1}


async def test_an_empty_success_does_nothing(client: Client) -> None:
    """2xx with no results and no errors: a sender that does not count its inputs loses them."""
    await set_fault(client, {"empty": True}, {"html": True})
    status, body = await client.objects("contacts", "create", {"properties": {"email": "ann@example.com"}})
    assert (status, body["results"], "errors" in body) == (200, [], False)
    status, page = await client.objects("contacts", "create", {"properties": {"email": "ann@example.com"}})
    assert (status, page.startswith("<!doctype html>")) == (200, True)
    assert client.crm.account.records.count(ObjectType.CONTACT) == 0


async def test_an_answer_may_leave_inputs_out(client: Client) -> None:
    """They were written all the same."""
    await set_fault(client, {"omit": 1})
    inputs = [{"properties": {"email": f"{n}@example.com"}} for n in range(3)]
    _, body = await client.objects("contacts", "create", *inputs)
    assert len(body["results"]) == 2
    assert client.crm.account.records.count(ObjectType.CONTACT) == 3


@pytest.mark.parametrize(
    "spec",
    [
        "x",
        {},
        {"status": 200},
        {"cut": "middle"},
        {"hang": 1.5},
        {"empty": 1},
        {"omit": -1},
        {"status": 500, "typo": 1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(spec: Any) -> None:
    """A test with a typing error must not pass by accident."""
    with pytest.raises(ValueError, match=r"\w"):
        CrmFaults().add(spec)


def test_a_rate_hits_the_same_calls_each_run() -> None:
    """Some pass, and a run can be repeated."""
    hits = []
    for _ in range(2):
        faults = CrmFaults()
        faults.add({"status": 503, "rate": 0.25})
        hits.append([faults.next("/crm") is not None for _ in range(1000)])
    assert 200 < sum(hits[0]) < 300
    assert hits[0] == hits[1]


def test_the_day_ends_at_the_accounts_midnight() -> None:
    """DAILY until then; the window counts on its own."""
    quota = CallQuota(OBJECTS, "America/New_York")
    quota.set(100, 10_000, 1)
    noon_ms = 1_796_040_000_000  # 2026-11-30 12:00 UTC, 07:00 in New York
    assert quota.take(noon_ms).policy == ""
    assert quota.take(noon_ms + 12 * 3_600_000).policy == "DAILY"  # midnight in UTC only
    assert quota.resets_at(noon_ms).isoformat() == "2026-12-01T05:00:00+00:00"
    assert quota.take(noon_ms + 17 * 3_600_000).policy == ""


def test_the_window_counts_calls_that_were_taken() -> None:
    """A refused call does not count; the headers say what is left."""
    quota = CallQuota(OBJECTS, "UTC")
    quota.set(2, 10_000, None)
    assert [quota.take(1_000_000 + n).policy for n in range(3)] == ["", "", "TEN_SECONDLY_ROLLING"]
    assert quota.take(1_010_000).headers["X-HubSpot-RateLimit-Remaining"] == "1"


async def test_search_has_its_own_limit_and_no_headers(client: Client) -> None:
    """429 with the policy SECONDLY."""
    client.crm.quotas["search"].set(1, 60_000, None)
    assert (await client.call("POST", f"/crm/objects/{V}/contacts/search", {}))[0] == 200
    assert "X-HubSpot-RateLimit-Max" not in client.answer_headers
    status, body = await client.call("POST", f"/crm/objects/{V}/contacts/search", {})
    assert (status, body["policyName"]) == (429, "SECONDLY")


async def test_quotas_are_set_by_http(client: Client) -> None:
    """The next call is held to it."""
    assert (await client.call("PUT", "/_sandbox/crm/quota", {"family": "none", "limit": 1}))[0] == 400
    assert (await client.call("PUT", "/_sandbox/crm/quota", {"family": "objects", "limit": 0}))[0] == 200
    assert (await client.call("GET", f"/crm/objects/{V}/contacts"))[0] == 429


async def test_what_was_sent_once_is_noted_when_it_comes_again(client: Client) -> None:
    """A write that changes nothing, and a record that nobody can find by key."""
    held = await client.make("contacts", email="ann@example.com")
    await client.objects("contacts", "update", {"id": held, "properties": {"email": "ANN@example.com"}})
    assert client.crm.watch.watch.counts == {"record_without_key": 1, "write_without_change": 1}


async def test_a_sender_that_lost_its_state_may_repeat_everything_once(client: Client) -> None:
    """The test says so; the second repetition is noted."""
    await client.make_key("contacts")
    held = await client.make("contacts", magento_key="k1", firstname="Ann")
    await client.call("POST", "/_sandbox/crm/forgive")
    for count in (0, 1):
        await client.objects("contacts", "update", {"id": held, "properties": {"firstname": "Ann"}})
        assert client.crm.watch.watch.counts["write_without_change"] == count


async def test_a_key_that_is_not_unique_lets_a_second_record_happen(client: Client) -> None:
    """HubSpot takes it; the watch notes it."""
    await client.call("POST", f"/crm/properties/{V}/contacts", definition("magento_key"))
    for _ in range(2):
        await client.make("contacts", magento_key="k1")
    assert client.crm.watch.watch.counts == {"second_record": 1}


async def test_the_report_names_broken_rules_of_both_worlds(client: Client) -> None:
    """One list, with the object's key or record id."""
    held = await client.make("contacts", email="ann@example.com")
    _, report = await client.call("GET", "/_sandbox/report")
    assert report["rules_broken"] == {"record_without_key": 1}
    assert report["violations"][0]["external_id"] == held


async def test_a_reset_makes_a_new_account(client: Client) -> None:
    """Records, properties, calls and broken rules are gone."""
    await client.make_key("contacts")
    await client.make("contacts", email="ann@example.com")
    assert (await client.call("POST", "/_sandbox/reset"))[0] == 204
    _, summary = await client.call("GET", "/_sandbox/crm/summary")
    assert (summary["records"]["contacts"], summary["calls"]) == (0, {})
    assert (await client.call("GET", f"/crm/properties/{V}/contacts/magento_key"))[0] == 404
    assert client.crm.watch.watch.counts == {}
    await client.make("contacts", email="bob@example.com")
    assert (await client.call("GET", "/_sandbox/report"))[1]["rules_broken"] == {"record_without_key": 1}
