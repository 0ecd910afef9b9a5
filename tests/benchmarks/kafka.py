"""Members over Kafka, on a broker beside them: changes a second into the replica, rebuild, and a takeover.

The topic is the relay's, made by its codec: customers that change, with one order each. Both members are the installed
command, so start and rendering are in the numbers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cdc.kafka.record import Mark, Origin, RowChange, encode
from cdc.model import Position, Row
from tests.benchmarks.row import Row as Line
from tests.kit import topics
from tests.kit.broker import Broker
from tests.kit.daemon import wait_until
from tests.kit.topics import Member, leader_of, pair

CHANGES = 60_000
CUSTOMERS = 3_000
ONLY_BY_NAME = True


def rows() -> Iterator[Line]:
    """Measured at the state's commits, as ``/status`` tells them."""
    with Broker() as broker, tempfile.TemporaryDirectory() as folder:
        topics.make(broker, ["bench.changes"])
        topics.fill(broker, messages(CHANGES))
        members = pair(Path(folder), settings(broker, folder))
        try:
            yield from _measured(broker, members)
        finally:
            for member in members:
                if member.is_running:
                    member.kill()


def _measured(broker: Broker, members: tuple[Member, Member]) -> Iterator[Line]:
    first, second = members
    first.start()
    first.port()
    started = time.monotonic()
    wait_until(lambda: loaded(first), 120, "the member is filled")
    yield Line("rebuild of an empty member", CHANGES / (time.monotonic() - started), "changes/s", note="from offset 0")
    leader_of([first])
    second.start()
    wait_until(lambda: second.role() in ("leader", "follower"), 60, "the second member joined")
    leader = leader_of(members)
    other = second if leader is first else first
    held = changes(leader)
    started = time.monotonic()
    topics.fill(broker, messages(CHANGES, at=1))
    wait_until(lambda: changes(leader) >= held + CHANGES * 0.98, 120, "the live changes are applied")
    yield Line(
        "member, live changes", CHANGES / (time.monotonic() - started), "changes/s", note="two members, their writer"
    )
    wait_until(lambda: changes(other) >= CHANGES * 0.98, 120, "the follower is there too")
    killed = time.monotonic()
    leader.kill()
    leader_of([other], 120)
    note = "kill -9; session 3 s, then sink.timeout_s 2 s"
    yield Line("takeover", time.monotonic() - killed, "s", "session + time-out", note)


def settings(broker: Broker, folder: str) -> str:
    """Two members that write lines."""
    return topics.settings_of(
        broker, {"prefix": "bench"}, "http://127.0.0.1:1", sink={"kind": "jsonl", "path": f"{folder}/out.jsonl"}
    )


def loaded(member: Member) -> bool:
    """Whether everything that was there is applied."""
    return any(line["event"] == "topics_loaded" for line in member.lines())


def changes(member: Member) -> int:
    """Row changes applied since its start, loading left out."""
    return int(member.ask("/status").get("changes", 0))


def messages(count: int, *, at: int = 0) -> Iterator[topics.Headed]:
    """Transactions of ten changed customers."""
    for number in range(count):
        transaction = at * count + number // 10 + 1
        position = Position("binlog.000001", transaction * 100, "", "server-1")
        identity = number % CUSTOMERS + 1
        origin = Origin(position, transaction, 1_770_000_000_000 + transaction)
        is_last = number % 10 == 9
        change = RowChange(
            "customer_entity", (identity,), None, customer(identity, f"{at}-{number}"), origin, f"t{transaction}",
            number % 10 + 1, is_last,
        )  # fmt: skip
        record = encode(change)
        yield "bench.changes", record.key, record.value, record.headers
        if is_last:
            mark = encode(Mark(transaction, "relay", position, transaction, is_complete=True))
            yield "bench.changes", mark.key, mark.value, ()


def customer(identity: int, name: str) -> Row:
    """A row with every published column."""
    values: dict[str, Any] = {
        "entity_id": identity, "website_id": 1, "email": f"c{identity}@example.com", "group_id": 1,
        "firstname": "Ann", "lastname": name, "dob": None, "default_billing": None,
        "created_at": "2026-01-01 10:00:00",
    }  # fmt: skip
    return values
