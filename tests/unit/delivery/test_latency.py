"""The stages of a message's way, from the source's commit to the sink's acceptance."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cdc.delivery.latency import Latencies, latency_of, percentile
from cdc.messages.outbox import Entry
from cdc.messages.renderer import RenderRequest
from cdc.model import Action, Kind, Latency, ObjectRef, ObjectType, Urgency
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, product
from tests.kit.fakesink import FakeSink, Plan


def entry(urgency: Urgency = Urgency.LIVE, read_ms: int = 1_300) -> Entry:
    """A message of a change committed at 1 s, read 0.3 s later and rendered 0.2 s after that."""
    return Entry(
        ObjectRef(Kind.ORDER, 1), 1, Action.UPSERT, 1, b"", "{}", (), urgency, 1_000, 1_500, 0, "", read_ms=read_ms
    )


def test_the_stages_add_up() -> None:
    """Each stage runs from the one before it, and together they are the whole."""
    latency = latency_of(entry(), 2_500, 2_900)

    assert latency == Latency(0.3, 0.2, 1.0, 0.4, 1.9)


def test_what_is_not_known_or_not_live_is_left_out() -> None:
    """History waits on purpose; a message without a time of reading has no first stages."""
    assert latency_of(entry(Urgency.HISTORY), 2_500, 2_900) is None
    assert latency_of(entry(read_ms=0), 2_500, 2_900) == Latency(None, None, 1.0, 0.4, 1.9)


def test_a_clock_that_went_back_gives_no_negative_times() -> None:
    """Two machines' clocks, either of which may be set: nothing is ever under nought."""
    assert latency_of(entry(), 100, 50) == Latency(0.3, 0.2, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("per_cent", "value"), [(50, 50.0), (99, 99.0), (100, 100.0), (1, 1.0)])
def test_percentiles_are_values_that_were_seen(per_cent: int, value: float) -> None:
    """The nearest rank, nothing interpolated."""
    assert percentile([float(number) for number in range(1, 101)], per_cent) == value


def test_only_the_last_messages_count() -> None:
    """What was slow an hour ago is no news."""
    held = Latencies()
    for total in [9.0] * 600 + [1.0] * 500:
        held.add(ObjectType.DEAL, [Latency(None, None, 0.0, 0.0, total)])

    assert held.as_dict() == {
        "DEAL": {
            "sent": {"p50": 0.0, "p99": 0.0},
            "accepted": {"p50": 0.0, "p99": 0.0},
            "total": {"p50": 1.0, "p99": 1.0},
        }
    }


def test_a_delivered_message_is_timed(tmp_path: Path) -> None:
    """Commit, reading, rendering, sending and the answer are all in the status, per object type."""

    async def story() -> dict[str, dict[str, dict[str, float]]]:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(0.1, 0.3)))
        now_ms = harness.clock.now_ms()
        harness.books.put(product(1), urgency=Urgency.HISTORY)
        ref = customer(1)
        harness.books.shop[ref] = harness.books.shop[product(1)]
        with harness.books.store.transaction():
            cause = RenderRequest("binlog.000001:4", now_ms - 5_000, Urgency.LIVE, read_ms=now_ms - 1_000)
            harness.books.renderer.render(ref, cause)
        await harness.deliver()
        await asyncio.sleep(0)
        found: dict[str, dict[str, dict[str, float]]] = harness.delivery.status()["latency"]
        return found

    found = simulate(story())

    assert set(found) == {"CONTACT"}
    stages = {stage: round(times["p99"], 1) for stage, times in found["CONTACT"].items()}
    assert stages == {"read": 4.0, "rendered": 1.0, "sent": 0.0, "accepted": 0.4, "total": 5.4}
