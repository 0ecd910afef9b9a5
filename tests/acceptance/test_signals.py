"""Ending: the first signal drains within the grace time, the second ends the process at once."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import Daemon, wait_until

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)


def with_a_request_under_way(rig: Rig, daemon: Daemon) -> None:
    """The daemon runs, and one request of it gets no answer."""
    daemon.start()
    wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 30, "the first load")
    rig.sandbox.set_fault({"hang": 100})
    rig.shop.register()
    wait_until(lambda: daemon.ask("/status")["delivery"]["in_flight"] > 0, 30, "a request is under way")


def test_the_first_signal_waits_for_answers_only_within_the_grace_time(rig: Rig) -> None:
    """A sink that never answers holds up the end no longer than shutdown.grace_s; the exit code is still 0."""
    rig.toml += "[shutdown]\ngrace_s = 4\n"
    with rig.daemon() as daemon:
        with_a_request_under_way(rig, daemon)
        started = time.monotonic()

        assert daemon.stop() == 0
        assert time.monotonic() - started < 8
    assert "delivery_cut_off" in [line["event"] for line in daemon.lines()]


def test_the_second_signal_ends_at_once(rig: Rig) -> None:
    """While the first signal drains, another one ends the process; what was sent is sent again at the next start."""
    with rig.daemon() as daemon:
        with_a_request_under_way(rig, daemon)
        daemon.signal()
        wait_until(lambda: "stopping" in [line["event"] for line in daemon.lines()], 10, "it drains")
        time.sleep(0.1)  # two signals within 10 ms count as one

        assert daemon.stop(limit_s=5) == 128 + 15
        daemon.start()
        rig.sandbox.clear_faults()
        rig.wait_for_equality()
    assert rig.sandbox.violations() == {}


def test_a_signal_as_soon_as_it_listens_ends_with_0(rig: Rig) -> None:
    """While a start still imports, opens its state and looks at the server, SIGTERM ends it well, every time."""
    for _ in range(3):
        with rig.daemon() as daemon:
            daemon.start()
            assert daemon.port() > 0  # waits until it listens
            assert daemon.stop() == 0


def test_a_start_that_waits_for_the_server_ends_at_once(rig: Rig) -> None:
    """While a statement of the start-up waits on the server (here for a lock), SIGTERM does not wait for its answer."""
    holder = rig.server.connect(database=rig.database)
    with rig.daemon() as daemon, holder.cursor() as cursor:
        cursor.execute("LOCK TABLES customer_entity WRITE")
        daemon.start()

        def waits() -> bool:
            cursor.execute("SHOW PROCESSLIST")
            return any("metadata lock" in str(row) for row in cursor.fetchall())

        wait_until(waits, 30, "a statement waits for the lock")
        assert daemon.stop(limit_s=5) == 0
        cursor.execute("UNLOCK TABLES")
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
        rig.shop.register()
        rig.wait_for_equality()
        assert daemon.stop() == 0
    holder.close()
