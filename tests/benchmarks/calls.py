"""What the CRM sink's work costs in calls to /crm/objects and /crm/associations, beside the fewest that could do it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tests.benchmarks.row import Row
from tests.kit.crm import bench
from tests.kit.crm_cost import COSTS, Cost


def rows() -> Iterator[Row]:
    """One line per kind of work, counted by the sandbox."""
    for name, cost in COSTS.items():
        calls = asyncio.run(_calls(cost))
        yield Row(name, calls, "calls", f"<= {cost.allowed}", f"minimum {cost.minimum}")


async def _calls(cost: Cost) -> int:
    async with bench() as crm:
        return len(await cost.work(crm))
