"""One suite over every sink: what delivery may rely on, whichever sink is configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from pydantic import SecretStr

from cdc.errors import SendingStoppedError
from cdc.model import Action, Message, ObjectType, Outcome
from cdc.protocols import LaterVerdicts, Sink, SinkSetup
from cdc.settings.config import Settings
from cdc.settings.sink import SinkSettings
from sinks.registry import SINKS, make_sink
from sinks.sandbox.server import start
from tests.kit import crm as crm_kit
from tests.kit.requests import FreeRequests, RefusedRequests

NOW = 1_700_000_000_000


def contact(n: int, *, changed_at: int = NOW, **properties: str) -> Message:
    """An invented customer's message."""
    return Message(
        object_type=ObjectType.CONTACT,
        external_id=f"magento-customer-{n}",
        action=Action.UPSERT,
        changed_at=changed_at,
        properties={"email": f"customer{n}@example.com", "firstname": "Ann"} | properties,
        position="binlog.000001:4",
    )


def deletion(n: int, *, changed_at: int = NOW + 1) -> Message:
    """The deletion of that customer."""
    return Message(
        object_type=ObjectType.CONTACT,
        external_id=f"magento-customer-{n}",
        action=Action.DELETE,
        changed_at=changed_at,
    )


@dataclass
class Bench:
    """A sink under test, and what its receiver holds: external id → (action, changed_at, properties) as received."""

    sink: Sink
    received: Callable[[], Awaitable[list[tuple[str, str, int, dict[str, str]]]]]


@pytest.fixture
async def bridge_v1() -> AsyncIterator[Bench]:
    async with _bridge(1) as made:
        yield made


@pytest.fixture
async def bridge_v2() -> AsyncIterator[Bench]:
    async with _bridge(2) as made:
        yield made


@asynccontextmanager
async def _bridge(version: int) -> AsyncIterator[Bench]:
    server = await start()
    settings = {
        "kind": "bridge", "base_url": server.url, "api_key": "sandbox", "api_version": version, "store_label": "Custom"
    }  # fmt: skip
    sink = make_sink(Settings(sink=SinkSettings.model_validate(settings)))

    async def received() -> list[tuple[str, str, int, dict[str, str]]]:
        messages = [m for kind in server.store.objects.values() for held in kind.values() for m in held.history]
        messages.sort(key=lambda m: m.order)
        return [(m.external_id, m.action, m.changed_at, dict(m.properties)) for m in messages]

    yield Bench(sink, received)
    await sink.close()
    await server.close()


@pytest.fixture
async def jsonl(tmp_path: Path) -> AsyncIterator[Bench]:
    path = tmp_path / "out.jsonl"
    sink = make_sink(Settings(sink=SinkSettings(kind="jsonl", path=str(path))))

    async def received() -> list[tuple[str, str, int, dict[str, str]]]:
        text = await asyncio.to_thread(path.read_bytes) if path.exists() else b""
        lines: list[Any] = [orjson.loads(line) for line in text.splitlines()]
        return [(i["external_id"], i["action"], i["changed_at"], i["properties"]) for i in lines]

    yield Bench(sink, received)
    await sink.close()


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with crm_kit.bench() as made:
        account = made.crm.account

        async def received() -> list[tuple[str, str, int, dict[str, str]]]:
            rows: list[tuple[str, str, int, dict[str, str]]] = []
            for record in account.records.live[ObjectType.CONTACT].values():
                held = dict(record.properties)
                key, deleted_at = held["magento_key"], held.get("magento_deleted_at", "")
                if deleted_at:
                    moment_ms = round(datetime.fromisoformat(deleted_at).timestamp() * 1000)
                    rows.append((key, "DELETE", moment_ms, {}))
                else:
                    rows.append((key, "UPSERT", 0, held))
            return rows

        yield Bench(made.sink, received)


@pytest.fixture(params=["bridge_v1", "bridge_v2", "crm", "jsonl"])
def bench(request: pytest.FixtureRequest) -> Bench:
    chosen: Bench = request.getfixturevalue(request.param)
    return chosen


async def test_receipts_name_each_message_in_the_order_sent(bench: Bench) -> None:
    """A batch brings one receipt per message, in its order."""
    batch = [contact(n) for n in (3, 1, 2)]
    answer = await bench.sink.send(batch, FreeRequests())
    assert [(r.external_id, r.changed_at, r.outcome) for r in answer.receipts] == [
        (m.external_id, m.changed_at, Outcome.ACCEPTED) for m in batch
    ]
    assert [row[0] for row in await bench.received()] == [m.external_id for m in batch]


async def test_an_empty_batch_sends_nothing(bench: Bench) -> None:
    """No messages, no request, no receipts."""
    assert (await bench.sink.send([], FreeRequests())).receipts == ()
    assert await bench.received() == []


async def test_a_repeat_of_the_identical_message_is_accepted(bench: Bench) -> None:
    """Delivery is at least once: sending the same message again is no fault."""
    await bench.sink.send([contact(1)], FreeRequests())
    answer = await bench.sink.send([contact(1)], FreeRequests())
    assert answer.receipts[0].outcome is Outcome.ACCEPTED


async def test_a_deletion_is_accepted_and_arrives_without_properties(bench: Bench) -> None:
    """DELETE carries the id alone."""
    await bench.sink.send([contact(1)], FreeRequests())
    answer = await bench.sink.send([deletion(1)], FreeRequests())
    assert answer.receipts[0].outcome is Outcome.ACCEPTED
    assert (await bench.received())[-1] == ("magento-customer-1", "DELETE", NOW + 1, {})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('quotes " and \\ back-slash', id="quotes"),
        pytest.param("a\nb\tc\u2028d", id="line ends"),
        pytest.param("žluťoučký 日本語 🛒 \u0000", id="unicode"),
        pytest.param("<script>&amp;</script>; ' OR 1=1 --", id="markup"),
        pytest.param("x" * 65_536, id="longest value"),
    ],
)
async def test_special_characters_arrive_unchanged(bench: Bench, text: str) -> None:
    """A value's characters are the receiver's to keep, not ours to change."""
    await bench.sink.send([contact(1, firstname=text)], FreeRequests())
    assert (await bench.received())[0][3]["firstname"] == text


async def test_a_full_batch_goes_in_one_request(bench: Bench) -> None:
    """``max_batch`` messages are taken at once."""
    batch = [contact(n) for n in range(bench.sink.traits.max_batch)]
    answer = await bench.sink.send(batch, FreeRequests())
    assert len(answer.receipts) == len(batch) == (100 if bench.sink.traits.name == "crm" else 200)
    assert len(await bench.received()) == len(batch)


async def test_lanes_may_send_at_once(bench: Bench) -> None:
    """``send`` may be called by several tasks; no batch is torn or lost."""
    batches = [[contact(n) for n in range(k, k + 20)] for k in range(0, 200, 20)]
    await asyncio.gather(*(bench.sink.send(batch, FreeRequests()) for batch in batches))
    assert {row[0] for row in await bench.received()} == {m.external_id for batch in batches for m in batch}


async def test_a_cancelled_send_leaves_the_sink_usable(bench: Bench) -> None:
    """Cancelling at any await leaves nothing half-sent: the batch is whole or absent, and the next one arrives."""
    for steps in range(12):
        batch = [contact(steps * 10 + n) for n in range(3)]
        task = asyncio.create_task(bench.sink.send(batch, FreeRequests()))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await bench.sink.send([contact(999)], FreeRequests())
    ids = [row[0] for row in await bench.received()]
    assert "magento-customer-999" in ids
    for steps in range(12):
        arrived = [f"magento-customer-{steps * 10 + n}" in ids for n in range(3)]
        assert all(arrived) or not any(arrived)


async def test_close_may_be_called_twice(bench: Bench) -> None:
    """Closing a closed sink does nothing."""
    await bench.sink.send([contact(1)], FreeRequests())
    await bench.sink.close()
    await bench.sink.close()


async def test_check_is_all_good_and_there_is_nothing_to_push(bench: Bench) -> None:
    """A receiver that is ready gives only good findings and needs no mapping."""
    assert isinstance(bench.sink, SinkSetup)
    assert all(finding.ok for finding in await bench.sink.check(FreeRequests()))
    assert "nothing to do" in (await bench.sink.push_mapping(FreeRequests(), dry_run=False))[0]


async def test_settings_lower_the_batch_size_but_never_raise_it() -> None:
    """``sink.max_batch`` is capped by the sink's own limit."""
    most = {"crm": 100, "bridge": 200}
    for kind, limit in most.items():
        given = [{"kind": kind, "access_token": "sandbox", "max_batch": size} for size in (50, 5000)]
        small, big = (make_sink(Settings(sink=SinkSettings.model_validate(one))) for one in given)
        assert (small.traits.max_batch, big.traits.max_batch) == (50, limit)


def test_limits_grow_only_where_nobody_set_them() -> None:
    """Without ``sink.max_requests_per_10s`` the CRM's calls to objects may grow beyond 100; what is set is the most."""
    token = {"kind": "crm", "access_token": "sandbox"}
    free, capped = (
        make_sink(Settings(sink=SinkSettings.model_validate({**token, **more}))).traits.families
        for more in ({}, {"max_requests_per_10s": 150})
    )
    assert {name for name, family in free.items() if family.may_grow} == {"objects"}
    assert free["objects"].per_10s == 100
    assert not any(family.may_grow for family in capped.values())
    assert capped["objects"].per_10s == 150


async def test_an_object_is_known_once_it_was_taken(bench: Bench) -> None:
    """``is_known`` says yes when the receiver has the object; a sink that validates at once has nothing to ask."""
    if not isinstance(bench.sink, LaterVerdicts):
        assert bench.sink.traits.name in ("jsonl", "crm")
        return
    await bench.sink.send([contact(1)], FreeRequests())
    for _ in range(500):
        if await bench.sink.is_known(ObjectType.CONTACT, "magento-customer-1", FreeRequests()):
            return
        await asyncio.sleep(0.005)  # the sandbox validates a moment later, in its own time
    pytest.fail("never known")


async def test_every_call_is_made_under_a_permit_of_a_family_of_its_own(bench: Bench) -> None:
    """A sink with a quota names its families, and takes a permit for each call; a sink without a quota only counts."""
    requests = FreeRequests()
    await bench.sink.send([contact(1)], requests)
    assert len(requests.families) == (8 if bench.sink.traits.name == "crm" else 1)  # crm reads the account first
    families = bench.sink.traits.families
    assert set(requests.families) <= set(families) or not families


async def test_nothing_is_sent_without_a_permit(bench: Bench) -> None:
    """A refused permit comes out of the sink as it is, and the receiver gets nothing."""
    with pytest.raises(SendingStoppedError):
        await bench.sink.send([contact(1)], RefusedRequests())
    assert await bench.received() == []


def test_every_kind_of_sink_has_its_entry() -> None:
    """``sink.kind`` and the registry name the same sinks, and each entry makes the sink of its name."""
    kinds = get_args(SinkSettings.model_fields["kind"].annotation)
    assert set(kinds) == set(SINKS)
    for kind in kinds:
        settings = Settings(sink=SinkSettings(kind=kind, access_token=SecretStr("sandbox")))
        traits = make_sink(settings).traits
        assert (traits.name, traits.contacts_by_email) == (kind, SINKS[kind].contacts_by_email)
