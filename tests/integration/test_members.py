"""Members on a real broker: one sends, the others know what was accepted, and any of them may end at any time."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from cdc.messages.refs import parse_refs
from cdc.model import Kind, ObjectRef, Transaction
from cdc.protocols import SinkSetup
from cdc.settings.config import Settings, load
from sinks.registry import make_sink
from tests.kit import topics
from tests.kit.broker import Broker
from tests.kit.canary import API_KEY
from tests.kit.crm_state import crm_difference
from tests.kit.daemon import wait_until
from tests.kit.foreign import Connector
from tests.kit.full_render import State, difference
from tests.kit.requests import FreeRequests
from tests.kit.sandbox import SandboxThread
from tests.kit.topics import Member, leader_of, pair
from tests.unit.kafka.test_foreign_shop import by_debezium, outbox_of, recorded

pytestmark = pytest.mark.slow


@pytest.fixture
def expected(request: pytest.FixtureRequest, tmp_path: Path) -> State:
    """What HubSpot should hold after the recorded day; by the stage's settings, if there is a stage."""
    (tmp_path / "day").mkdir()
    stage: Stage | None = request.getfixturevalue("stage") if "stage" in request.fixturenames else None
    return after_the_day(tmp_path / "day", stage.settings if stage is not None else None)


def after_the_day(folder: Path, settings: Settings | None = None) -> State:
    """What a receiver should hold by these settings."""
    group = (Transaction((change,), position, commit_ms) for change, position, commit_ms in recorded())
    found: State = {}
    for kind, identity, _, properties, refs in outbox_of(folder, group, unordered=False, settings=settings):
        ref = ObjectRef(Kind(kind), identity)
        links: dict[str, list[str]] = {}
        for other in parse_refs(refs):
            links.setdefault(other.object_type.value, []).append(other.external_id("magento"))
        found[ref.external_id("magento")] = {
            "type": ref.object_type.value,
            "properties": {name: value for name, value in orjson.loads(properties).items() if value},
            "associations": {name: sorted(ids) for name, ids in sorted(links.items())},
        }
    return found


@pytest.fixture
def sandbox() -> Iterator[SandboxThread]:
    made = SandboxThread()
    yield made
    made.close()


@cache
def the_day() -> list[topics.Message]:
    """The recorded day as a connector tells it."""
    return list(by_debezium(Connector(schemas=False)))


class Stage:
    """Topics that a connector fills, two members, a sandbox."""

    def __init__(self, broker: Broker, sandbox: SandboxThread, folder: Path, sink: str = "bridge") -> None:
        self.broker, self.sandbox, self.sink = broker, sandbox, sink
        prefix = f"t{uuid4().hex[:8]}"
        self.messages = [(f"{prefix}.{topic}", key, value) for topic, key, value in the_day()]
        names = sorted({topic for topic, _, _ in self.messages})
        topics.make(broker, names, partitions=2)
        self.folder, self.kafka = folder, {"prefix": prefix, "format": "debezium", "topics": names}
        toml = topics.settings_of(
            broker,
            self.kafka,
            sandbox.url,
            delivery={"max_deletes_per_hour": 1000, "max_deletes_share": 1},
            sink={"kind": sink, "access_token": API_KEY} if sink == "crm" else {},
        )
        self.members = pair(folder, toml)
        asyncio.run(_push(self.members[0]))

    @property
    def settings(self) -> Settings:
        """The members' own."""
        return load(self.members[0].folder / "magento-cdc.toml")

    def differences(self, expected: State) -> list[str]:
        """Where the receiver differs from what it should hold."""
        if self.sink == "crm":
            return crm_difference(expected, self.sandbox.crm_state(), self.settings)
        return difference(expected, self.sandbox.state())

    def sent(self) -> int:
        """What the receiver took so far: messages, or calls of the CRM but for the one look at its newest records."""
        calls = self.sandbox.crm.exchanges.counts
        return calls["all"] - calls["search"] if self.sink == "crm" else self.sandbox.accepted()

    def beside(self, account: str, url: str, mapping: str, **sink: str) -> Member:
        """A member of another account on the same topics."""
        (self.folder / account).mkdir()
        kafka = {**self.kafka, "account": account}
        toml = topics.settings_of(
            self.broker, kafka, url, delivery={"max_deletes_per_hour": 1000, "max_deletes_share": 1}, sink=sink
        )
        return Member(self.folder / account, toml + mapping)

    def close(self) -> None:
        for member in self.members:
            if member.is_running:
                member.kill()

    def settle(self, expected: State, limit_s: float = 60.0) -> None:
        """Wait for the end: HubSpot as expected, nothing waiting anywhere, both members alike."""
        self.until(lambda: self.differences(expected), "the sandbox is as expected", limit_s)
        topics.until_nothing_waits(self.members, limit_s)
        first, second = self.members
        self.until(
            lambda: [pair for pair in zip_longest(first.ledger(), second.ledger()) if pair[0] != pair[1]],
            "the ledgers are equal",
        )
        assert mapped(first.engine()) == mapped(second.engine())
        self.sandbox.assert_rules_kept()

    @staticmethod
    def until(differences: Callable[[], Sequence[object]], what: str, limit_s: float = 30.0) -> None:
        """Wait until there are none; they are shown if there always are."""
        found: list[object] = []

        def is_equal() -> bool:
            found[:] = differences()
            return not found

        try:
            wait_until(is_equal, limit_s, what)
        except AssertionError as late:
            raise AssertionError(f"{late}: {found[:6]}") from None


def mapped(engine: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """Without values of attributes: who met one before its attribute kept it, mapped or not."""
    return {name: rows for name, rows in engine.items() if not name.endswith(("_int", "_text", "_varchar", "_decimal"))}


async def _push(member: Member) -> None:
    settings = load(member.folder / "magento-cdc.toml")
    sink = make_sink(settings)
    assert isinstance(sink, SinkSetup)
    await sink.push_mapping(FreeRequests(), dry_run=False)
    await sink.close()


@pytest.fixture
def stage(request: pytest.FixtureRequest, kafka: Broker, sandbox: SandboxThread, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(kafka, sandbox, tmp_path, getattr(request, "param", "bridge"))
    yield made
    made.close()


both_sinks = pytest.mark.parametrize("stage", ["bridge", "crm"], indirect=True)
"""The bridge and the CRM in turn."""


def knows_both(member: Member) -> bool:
    """Whether this member lists two members of its account, itself once, and the one that leads."""
    seen = member.ask("/status")["member"]
    listed = seen["members"]
    [us] = [one for one in listed if one["is_us"]] or [{}]
    leads = [one for one in listed if one["leads"]]
    return len(listed) == 2 and len(leads) == 1 and us.get("leads") is (seen["role"] == "leader")


@both_sinks
def test_one_sends_and_the_other_knows(stage: Stage, expected: State) -> None:
    """A member sends, the other's outbox empties by what it is told; when the first stops, nothing is sent again."""
    first, second = stage.members
    topics.fill(stage.broker, stage.messages)
    first.start()
    leader_of([first])
    second.start()
    stage.settle(expected)
    assert {first.role(), second.role()} == {"leader", "follower"}
    roles = [member.role() for member in stage.members]
    assert [member.ask("/ready")["role"] for member in stage.members] == roles
    wait_until(lambda: [m.measured_role() for m in stage.members] == roles, 10, "the metrics say the roles")
    wait_until(lambda: all(map(knows_both, stage.members)), 30, "each member lists both, and marks the leader")
    topics.until_nothing_waits(stage.members, 60.0)
    leader = leader_of(stage.members)
    sent = stage.sent()
    assert leader.stop() == 0
    calls = stage.sandbox.crm.exchanges.counts["all"]  # a link may be on the wire until the leader ends
    other = second if leader is first else first
    leader_of([other])
    topics.pause(0.5)

    if stage.sink == "crm":  # a new leader's sink reads the account before it would send anything; it writes nothing
        assert not [one.path for one in stage.sandbox.crm.exchanges.kept if one.number > calls and one.inputs]
    else:
        assert stage.sent() == sent
    assert other.stop() == 0


def test_a_receipts_topic_made_anew_is_filled_again(stage: Stage, expected: State) -> None:
    """An operator removed it: the next leader tells again all that it knows; a member without a state sends nothing."""
    first, second = stage.members
    for member in (first, second):
        member.start()
    topics.fill(stage.broker, stage.messages)
    stage.settle(expected)
    for member in (first, second):
        assert member.stop() == 0
    topics.remove(stage.broker, [f"{stage.kafka['prefix']}.receipts.bridge"])
    sent = stage.sandbox.accepted()
    (stage.folder / "c").mkdir()
    third = Member(stage.folder / "c", (first.folder / "magento-cdc.toml").read_text())
    first.start()
    leader_of([first])
    with third:
        for member in (second, third):
            member.start()
        stage.settle(expected)
        topics.until_nothing_waits([third], 60.0)
        stage.until(
            lambda: [pair for pair in zip_longest(first.ledger(), third.ledger()) if pair[0] != pair[1]], "alike"
        )

        assert stage.sandbox.accepted() == sent
        assert "receipts_made_anew" in (first.folder / "run.log").read_text()


@both_sinks
def test_kills_under_load(stage: Stage, expected: State) -> None:
    """Leader and follower are killed, frozen out and stopped while topics fill: each object ends right, in order."""
    rng = random.Random(int(os.environ.get("SOAK_SEED", "5")))
    turns = 16 if "SOAK_SEED" in os.environ else 4
    for member in stage.members:
        member.start()
    size = len(stage.messages) // turns + 1
    for number in range(turns):
        topics.fill(stage.broker, stage.messages[number * size : (number + 1) * size])
        topics.pause(rng.uniform(0.2, 1.2))
        if number % 2:
            victim = rng.choice(stage.members)
            if number == turns // 2 + 1:
                victim.stop()
            else:
                victim.kill()
            topics.pause(rng.uniform(0.0, 0.5))
            victim.start()
    stage.settle(expected, 90.0)
    for member in stage.members:
        assert member.stop() == 0


def half_way(stage: Stage) -> tuple[Member, list[topics.Message]]:
    """Half of the day lies in the topics and the members run → (who leads, the other half)."""
    half = len(stage.messages) // 2
    topics.fill(stage.broker, stage.messages[:half])
    for member in stage.members:
        member.start()
    return leader_of(stage.members), stage.messages[half:]


@both_sinks
def test_a_frozen_leader_sends_nothing_when_it_wakes(stage: Stage, expected: State) -> None:
    """A leader that is stopped by the system loses its lease: the other sends on, and the first one follows it."""
    leader, rest = half_way(stage)
    other = next(member for member in stage.members if member is not leader)
    os.kill(leader.pid, signal.SIGSTOP)
    try:
        topics.fill(stage.broker, rest)
        leader_of([other])
        Stage.until(lambda: stage.differences(expected), "the other sends on", 40.0)
        Stage.until(lambda: [1] if other.waiting() else [], "the other has sent all")
        sent = stage.sent()
    finally:
        os.kill(leader.pid, signal.SIGCONT)
    topics.pause(1.0)

    assert stage.sent() == sent
    stage.settle(expected)


def test_accounts_on_the_same_topics_do_not_know_each_other(stage: Stage, expected: State, tmp_path: Path) -> None:
    """Two HubSpot accounts, one of a part of the shop, and a file: each holds its own, whatever befalls the others."""
    second = SandboxThread()
    main, _ = stage.members
    part = stage.beside("part", second.url, '[mapping.filter]\nstores = { without = ["default"] }\n')
    lines = stage.beside("lines", "http://127.0.0.1:1", "", kind="jsonl", path=str(tmp_path / "out.jsonl"))
    asyncio.run(_push(part))
    wanted = after_the_day(tmp_path, load(part.folder / "magento-cdc.toml"))
    assert 0 < len(wanted) < len(expected)
    half = len(stage.messages) // 2
    with part, lines:
        for member in (main, part, lines):
            member.start()
        topics.fill(stage.broker, stage.messages[:half])
        for member in (main, part, lines):
            leader_of([member])
        main.kill()
        second.set_fault({"hang": 3})
        topics.fill(stage.broker, stage.messages[half:])
        main.start()
        for member, sandbox, state in ((main, stage.sandbox, expected), (part, second, wanted)):
            Stage.until(partial(lambda box, held: difference(held, box.state()), sandbox, state), member.folder.name)
        topics.until_nothing_waits((main, part, lines), 60.0)

        assert [member.ask("/status")["member"]["generation"] for member in (part, lines)] == [1, 1]
    told = {line["external_id"] for line in map(orjson.loads, (tmp_path / "out.jsonl").read_bytes().splitlines())}
    assert told >= expected.keys()
    assert (stage.sandbox.violations(), second.violations()) == ({}, {})
    second.close()


@pytest.mark.skipif("SOAK_SEED" not in os.environ, reason="takes a minute: part of `make soak`")
def test_the_broker_is_killed_under_the_members(sandbox: SandboxThread, tmp_path: Path, expected: State) -> None:
    """kill -9 of the broker: members wait for it, and go on where they were."""
    with Broker() as broker:
        stage = Stage(broker, sandbox, tmp_path)
        try:
            _, rest = half_way(stage)
            broker.kill()
            topics.pause(4.0)
            broker.start()
            topics.fill(broker, rest)
            stage.settle(expected, 90.0)
            assert all(member.is_running for member in stage.members)
        finally:
            stage.close()


@pytest.mark.skipif("SOAK_SEED" not in os.environ, reason="takes a minute: part of `make soak`")
def test_the_broker_is_frozen_under_the_members(sandbox: SandboxThread, tmp_path: Path, expected: State) -> None:
    """A broker that holds its connections and answers nobody: no one sends without a lease, and all go on after."""
    with Broker() as broker:
        stage = Stage(broker, sandbox, tmp_path)
        try:
            _, rest = half_way(stage)
            broker.freeze()
            topics.pause(6.0)  # over the lease
            sent = sandbox.accepted()
            topics.pause(24.0)
            assert sandbox.accepted() == sent
            assert [member.ask("/live")["live"] for member in stage.members] == [True, True]
            broker.thaw()
            topics.fill(broker, rest)
            stage.settle(expected, 90.0)
            assert all(member.is_running for member in stage.members)
        finally:
            broker.thaw()
            stage.close()
