"""Nobody reads the daemon's log: it goes on, says so later, and ends well."""

from __future__ import annotations

import os
import socket
import time

import pytest

from cdc.model import ObjectType
from tests.acceptance.conftest import Rig
from tests.kit.daemon import fetch, wait_until

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def test_a_log_that_nobody_reads_holds_nothing_up(rig: Rig) -> None:
    """With a full pipe as standard output the daemon applies, delivers, answers and ends as ever."""
    port = free_port()
    daemon = rig.daemon()
    people = [rig.shop.register() for _ in range(60)]
    rig.sandbox.set_fault({"refuse_ids": [f"magento-customer-{person}" for person in people]})
    for _ in range(20):
        rig.shop.register()  # HubSpot takes these: a batch that is refused as a whole would be the account's fault
    with daemon:
        reader = daemon.start_unread(port)
        try:
            # a line a dead letter: more than the pipe holds
            wait_until(lambda: answer(port, "/status").get("dead_letters", 0) == len(people), 60, "all are refused")
            product = rig.shop.create_product("late-1", "Late", "5.00")
            name = f"magento-product-{product}"
            wait_until(lambda: rig.sandbox.has_accepted(ObjectType.PRODUCT, name), 30, "a later change arrives")

            assert answer(port, "/live")["live"] is True
            started = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - started < 15
        finally:
            os.close(reader)


def answer(port: int, path: str) -> dict[str, object]:
    """A page of the daemon; nothing while it does not listen yet."""
    try:
        found: dict[str, object] = fetch(f"http://127.0.0.1:{port}{path}")
    except OSError:
        return {}
    return found
