"""What the plan of a first load makes of counts: calls, time, days, words. Counting is tested on real servers."""

from __future__ import annotations

import math
from dataclasses import replace

from cdc.model import ObjectType
from cdc.protocols import CallFamily, SinkTraits
from cdc.snapshot.load_plan import LoadPlan, cost, duration

MESSAGES = {ObjectType.CONTACT: 1001, ObjectType.DEAL: 2000}


def traits(**families: CallFamily) -> SinkTraits:
    return SinkTraits(name="a sink", max_batch=100, families=families)


def test_each_type_fills_its_own_batches() -> None:
    """A batch holds one type, so a rest of one message is a call."""
    calls, seconds = cost(MESSAGES, traits(objects=CallFamily(190)), 200, 100)
    assert calls == 11 + 20
    assert seconds == 31 / 100 * 10


def test_the_smaller_of_settings_and_sink_decides() -> None:
    """Of batch and quota, what the operator set may only lower what the sink takes."""
    calls, seconds = cost(MESSAGES, traits(objects=CallFamily(50)), 10, 100)
    assert calls == 101 + 200
    assert seconds == 301 / 50 * 10


def test_a_sink_says_what_its_batches_cost() -> None:
    """Calls at the start, a look before each creation, and the polls during the load are among the calls."""
    sink = replace(
        traits(objects=CallFamily(190), search=CallFamily(40)),
        start_calls=6, calls_per_batch={ObjectType.CONTACT: 2}, poll_s=1.5,
    )  # fmt: skip
    calls, seconds = cost(MESSAGES, sink, 200, 100)
    assert calls == 6 + 2 * 11 + 20 + math.ceil(4.8 / 1.5)
    assert seconds == 52 / 100 * 10  # by the first family: the search is not used for new objects


def test_a_sink_without_quota_has_no_calls_to_plan() -> None:
    """A file takes lines, not calls."""
    assert cost(MESSAGES, traits(), 200, 100) == (None, None)


def test_the_plan_reads_as_sentences() -> None:
    """What is withheld, estimated, and a share of a day's limit is said."""
    plan = LoadPlan(
        {"sales_order": 61_700}, {ObjectType.DEAL: 61_700}, {ObjectType.DEAL: 50_000}, 500, 50.0, ("sales_order",), 12
    )
    assert plan.lines() == [
        "rows to read: 61,700 of 1 tables",
        "messages: 50,000 (50,000 DEAL)",
        "withheld by history.send: 11,700 objects",
        "calls: 500 (0.2% of a day's limit of 250,000), 50 s at the present quota",
        "disk for the state: up to 12 MB, an estimate from usual sizes of rows",
        "estimated by the server, not counted: sales_order",
    ]


def test_durations_are_as_people_say_them() -> None:
    """Seconds, minutes, hours: each in its range."""
    assert [duration(seconds) for seconds in (5, 89, 90, 3600, 12_030)] == [
        "5 s", "89 s", "2 min", "1 h 0 min", "3 h 20 min",
    ]  # fmt: skip
