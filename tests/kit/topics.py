"""Topics for tests: made, filled, and members that read them."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cdc.replica.load_state import Phase
from tests.kit.broker import Broker
from tests.kit.canary import API_KEY
from tests.kit.daemon import Daemon, wait_until

Message = tuple[str, bytes | None, bytes | None]
Headed = tuple[str, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]


def make(broker: Broker, topics: Iterable[str], partitions: int = 1, settings: Mapping[str, str] | None = None) -> None:
    """Make topics, and wait until they have a leader."""

    async def work() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs=dict(settings or {})) for name in topics]
        )
        await admin.close()

    asyncio.run(work())


def remove(broker: Broker, topics: Sequence[str]) -> None:
    """Remove topics, as an operator does."""

    async def work() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.delete_topics(list(topics))
        await admin.close()

    asyncio.run(work())


def fill(broker: Broker, messages: Iterable[Message | Headed], since_ms: int | None = None) -> None:
    """Write messages, each to the partition of its key. ``since_ms``: the time stamp of the first record, which the
    others follow a millisecond apart; None: that of the moment.
    """

    async def work() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        for number, (topic, key, value, *headers) in enumerate(messages):
            written_ms = None if since_ms is None else since_ms + number
            told = list(headers[0]) if headers else []
            await producer.send(topic, value, key=key, headers=told, timestamp_ms=written_ms)
        await producer.flush()
        await producer.stop()

    asyncio.run(work())


def settings_of(broker: Broker, kafka: Mapping[str, Any], sandbox: str, **sections: Mapping[str, Any]) -> str:
    """A member's settings file: patience as short as tests need it."""
    tree: dict[str, dict[str, Any]] = {
        "source": {"kind": "kafka"},
        "kafka": {"brokers": [broker.bootstrap], "session_timeout_s": 3.0, "request_timeout_s": 10.0, **kafka},
        "sink": {"kind": "bridge", "base_url": sandbox, "api_key": API_KEY, "judge_poll_s": 0.5, "timeout_s": 2.0},
        "web": {"port": 0},
        "state": {"dir": "./state"},
    }
    for section, values in sections.items():
        tree.setdefault(section, {}).update(values)
    return "".join(
        f"[{section}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        for section, values in tree.items()
    )


POSITION = "SELECT value FROM meta WHERE key = 'position'"
WAITING = """
    SELECT (SELECT value ->> 'phase' FROM meta WHERE key = 'load_state'),
           (SELECT count(*) FROM outbox) + (SELECT count(*) FROM render_queue)
           + (SELECT count(*) FROM table_load WHERE done = 0)
"""
"""One statement, so one commit: an object that goes from the queue into the outbox is in one of them."""


class Member(Daemon):
    """``magento-cdc run`` on topics."""

    def role(self) -> str:
        """What it is now; "" while it cannot be asked."""
        try:
            return str(self.ask("/status")["member"]["role"]) if self.is_running else ""
        except (OSError, AssertionError, KeyError):
            return ""

    def measured_role(self) -> str:
        """What its metrics say that it is, a second late; "" before the first look."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port()}/metrics", timeout=5.0) as answer:
            page = answer.read().decode()
        found = re.search(r'^magento_cdc_member_role\{role="(\w+)"\} 1\.0$', page, re.MULTILINE)
        return found[1] if found else ""

    def ledger(self) -> list[tuple[Any, ...]]:
        """What it knows of every object that HubSpot ever heard of."""
        return self.rows(
            "SELECT kind, id, rendered_hash, rendered_at, rendered_delete, accepted_hash, accepted_at, accepted_delete,"
            " accepted_refs, record_id, address FROM ledger WHERE accepted_at > 0 ORDER BY kind, id"
        )

    def engine(self) -> dict[str, list[tuple[Any, ...]]]:
        """Its rows by table, without their LSNs: those may tell another order of topics."""
        tables = self.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'r\\_%' ESCAPE '\\'")
        return {
            name: sorted((row[:-1] for row in self.rows(f'SELECT * FROM "{name}"')), key=repr) for (name,) in tables
        }

    def why_waiting(self) -> str:
        """What waits and since when, and the end of the log: for the message of a test that waited in vain."""
        columns = "o.kind, o.id, action, urgency, blocked_by, attempts, not_before_ms, changed_at, rendered_at"
        entries = self.rows(
            f"SELECT {columns}, tried_at, accepted_at, o.hash = accepted_hash FROM outbox o"
            " LEFT JOIN ledger l ON l.kind = o.kind AND l.id = o.id ORDER BY seq LIMIT 10"
        )
        found = [
            f"{self.folder.name}: {self.role() or 'not running'}, at {self.rows(POSITION)}",
            f"outbox ({columns}, tried_at, accepted_at, is what was accepted):",
            *map(repr, entries),
            "to be rendered (kind, id, urgency, pull, not_before, commit_ms, force):",
            *map(repr, self.rows("SELECT * FROM render_queue LIMIT 10")),
            "to be loaded:",
            *map(repr, self.rows("SELECT tbl FROM table_load WHERE done = 0")),
            *(self.folder / "run.log").read_text(errors="replace").splitlines()[-12:],
        ]
        return "\n  ".join(found)

    def waiting(self) -> int:
        """Messages in its outbox and objects to be rendered; 1 until it is a whole member."""
        if self.role() not in ("leader", "follower"):
            return 1
        [(phase, waiting)] = self.rows(WAITING)
        return int(waiting) if phase == Phase.COMPLETE else 1


def leader_of(members: Sequence[Member], limit_s: float = 40.0) -> Member:
    """Wait until one of them leads."""
    found: list[Member] = []

    def one_leads() -> bool:
        found[:] = [member for member in members if member.role() == "leader"]
        return bool(found)

    wait_until(one_leads, limit_s, "a member leads")
    return found[0]


def pair(folder: Path, toml: str) -> tuple[Member, Member]:
    """Two members with states of their own."""
    made = []
    for name in ("a", "b"):
        (folder / name).mkdir()
        made.append(Member(folder / name, toml))
    return made[0], made[1]


def until_nothing_waits(members: Sequence[Member], limit_s: float) -> None:
    """Wait until all of them have sent and rendered everything; what they wait for if they never have."""
    try:
        wait_until(lambda: not any(member.waiting() for member in members), limit_s, "nothing waits")
    except AssertionError as late:
        raise AssertionError("\n".join([str(late), *(member.why_waiting() for member in members)])) from None


def pause(seconds: float) -> None:
    """Let the others go on for a while."""
    time.sleep(seconds)
