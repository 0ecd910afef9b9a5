"""A first load's progress with totals: the phase, and the done and expected numbers per table and per object type.

``load`` reads tables, ``render`` makes messages of their rows, ``send`` waits for the receiver. The expected numbers
are those of the plan, and 0 until the plan is counted. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from cdc.engine.engine import Engine


class LoadPhase(StrEnum):
    """The module's docstring explains the phases. NONE: no first load was seen, or it is finished."""

    NONE = ""
    LOAD = "load"
    RENDER = "render"
    SEND = "send"


def _phase_of(engine: Engine, waiting: Mapping[str, int]) -> LoadPhase:
    if not engine.first_load.is_open:
        return LoadPhase.NONE
    if not engine.load.is_complete:
        return LoadPhase.LOAD
    if waiting["bulk_invalidations"] or waiting["objects"]:
        return LoadPhase.RENDER
    return LoadPhase.SEND


def progress(engine: Engine, waiting: Mapping[str, int], outbox: Mapping[str, Any]) -> dict[str, Any]:
    """For /status, log lines and metrics. ``waiting``, ``outbox``: the counts of the render queue and of the outbox.

    ``tables`` and ``objects``: name → ``done`` and ``expected``; outside of them both are the sums of the phase.
    ``is_sent``: no message of the load waits any more.
    """
    phase, record = _phase_of(engine, waiting), engine.first_load.record
    plan: Mapping[str, Any] = record.get("plan") or {}
    if phase is LoadPhase.NONE:
        return {"phase": "", "tables": {}, "objects": {}, "is_sent": False}
    expected = plan.get("tables", {})
    tables = {
        name: {"done": state.rows, "expected": max(expected.get(name, 0), state.rows)}
        for name, state in engine.table_loads.states().items()
        if state.rows or expected.get(name)
    }
    pending = outbox["pending"]
    objects = {}
    is_growing = phase is not LoadPhase.SEND and not engine.store.meta.is_history_stopped
    for kind in {**plan.get("messages", {}), **record["rendered"]}:
        left = pending.get(kind, {}).get("history", 0)
        made = record["rendered"].get(kind, 0) - record["withheld"].get(kind, 0)
        objects[kind] = {
            "rendered": record["rendered"].get(kind, 0),
            "done": max(0, made - left),
            # what is rendered counts more than what was expected
            "expected": max(plan.get("messages", {}).get(kind, 0), made) if is_growing else made,
        }
    is_sent = phase is LoadPhase.SEND and not any(one["history"] for one in pending.values())
    found = {"phase": phase.value, "tables": tables, "objects": objects, "is_sent": is_sent,
             "started_ms": record["started_ms"], "calls": record.get("calls", 0),
             "seconds": record.get("seconds", 0.0)}  # fmt: skip
    done, total = totals(found)
    return found | {"done": done, "expected": total}


def totals(progress: Mapping[str, Any]) -> tuple[int, int]:
    """(done, expected) of the phase: rows while tables are read, rendered objects, then messages accepted."""
    if progress["phase"] == LoadPhase.LOAD.value:
        parts = progress["tables"].values()
        return sum(one["done"] for one in parts), sum(one["expected"] for one in parts)
    parts = progress["objects"].values()
    key = "rendered" if progress["phase"] == LoadPhase.RENDER.value else "done"
    return sum(one[key] for one in parts), sum(one["expected"] for one in parts)
