"""``verify.every_h``: reads back a sample of the accepted objects and compares it with the shop, round after round.

Each round goes on where the last round ended, also after a restart, so in time every object is compared. A round
compares up to ``SAMPLE`` objects of each kind, and lists a few pages of the receiver's records that have our key. It
repairs nothing: ``magento-cdc verify --repair`` does. Its calls have the class of history, so live work goes first, and
only the leading member makes them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cdc.clock import iso_s
from cdc.delivery import silence
from cdc.delivery.context import Context
from cdc.delivery.quota import Traffic
from cdc.delivery.sink_start import StateNotes
from cdc.errors import SinkError
from cdc.log_events import get_logger
from cdc.messages.verification import Expected
from cdc.model import OBJECT_TYPE, Comparison, Drift, Kind, ObjectType, parse_external_id
from cdc.protocols import SinkReader

log = get_logger(__name__)

SAMPLE: Final = 500
"""Objects of each kind that one round compares."""

PAGE: Final = 100
"""Objects compared at once: one call reads so many records."""

KEY_PAGES: Final = 5
"""Pages of the receiver's own list that one round reads for each type."""

SHOWN: Final = 20
"""Objects that the log and ``/status`` name. If a round finds more, run ``verify --all``."""

TRY_AGAIN_S: Final = 60.0
"""The wait while this member follows or the receiver accepts nothing, and after a round that failed."""

NOTES: Final = "verify"
"""The owner under whose name the state keeps the positions of the rounds."""

IS_IN_ORDER: Final = frozenset({Drift.EQUAL, Drift.MERGED})
"""Results that need no repair: two records that people merged stay one record for both objects."""


@dataclass(frozen=True, slots=True)
class Round:
    """The results of one round. ``drifts``: the objects that are not equal."""

    at_ms: int
    counts: Mapping[Drift, int]
    drifts: Sequence[Comparison]


class DriftCheck:
    """The rounds of one delivery. ``last``: the newest round since the start, None before its end."""

    def __init__(self, context: Context, sink: SinkReader, expected: Expected, every_h: float) -> None:
        self._context, self._sink, self._expected = context, sink, expected
        self._every_s = every_h * 3600
        self._notes = StateNotes(context.state, NOTES)
        self.last: Round | None = None

    async def run(self) -> None:
        """Round after round, until cancelled. The first round is at once, unless the state knows of a recent one."""
        wait_s = await self._first_wait_s()
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self._every_s if await self.turn() else min(TRY_AGAIN_S, self._every_s)

    async def _first_wait_s(self) -> float:
        text = await self._notes.get("at_ms")
        ago_s = (self._context.clock.now_ms() - int(text)) / 1000 if text.isdecimal() else self._every_s
        return min(self._every_s, max(0.0, self._every_s - ago_s))  # a clock that was set back lengthens no wait

    async def turn(self) -> bool:
        """Run one round if it is due. False: ask again soon."""
        context = self._context
        if not context.permits.gate.may_send or context.health.fault(context.clock.monotonic()) is not None:
            return False
        try:
            found = await self._round()
        except SinkError as error:
            # whatever is wrong with the receiver, delivery meets it too and says so: a round just comes later
            await silence.heed(context, error)
            log.info("drift_check_put_off", reason=type(error).__name__.removesuffix("Error"))
            return False
        self.last = found
        await self._notes.put("at_ms", str(found.at_ms))
        self._tell(found)
        return True

    async def _round(self) -> Round:
        now_ms = self._context.clock.now_ms()
        text = await self._notes.get("cursors")
        cursors: dict[str, Any] = orjson.loads(text) if text else {}
        found: list[Comparison] = []
        for kind in Kind:
            if OBJECT_TYPE[kind] in self._context.sink.traits.object_types:
                found += await self._of_kind(kind, cursors)
        for object_type in ObjectType:
            if object_type in self._context.sink.traits.object_types:
                found += await self._extras(object_type, cursors, now_ms)
        await self._notes.put("cursors", orjson.dumps(cursors).decode())
        counts = Counter(one.drift for one in found)
        drifts = [one for one in found if one.drift is not Drift.EQUAL]
        return Round(now_ms, {drift: counts[drift] for drift in Drift}, drifts)

    async def _of_kind(self, kind: Kind, cursors: dict[str, Any]) -> list[Comparison]:
        found: list[Comparison] = []
        last = cursors.get(kind.value)
        for _ in range(SAMPLE // PAGE):
            after = last
            page = await self._context.state.call(lambda _: self._expected.page(kind, after, PAGE))  # noqa: B023  # called within this turn of the loop
            # asked for page by page: what is under way keeps an account that fails from being tried by others
            with self._context.permits.requests(Traffic.HISTORY) as requests:
                compared = await self._sink.compare(page.messages, requests)
            settled = await self._context.state.call(
                lambda _: self._expected.still_settled(page.messages, compared)  # noqa: B023  # called within this turn
            )
            found += settled
            last = page.last
            if last is None:  # the end: the next round begins at the first object
                break
        cursors[kind.value] = last
        return found

    async def _extras(self, object_type: ObjectType, cursors: dict[str, Any], since_ms: int) -> list[Comparison]:
        found: list[Comparison] = []
        after = str(cursors.get(object_type.value) or "")
        for _ in range(KEY_PAGES):
            with self._context.permits.requests(Traffic.HISTORY) as requests:
                keys, after = await self._sink.keys(object_type, after, requests)
            found += await self._context.state.call(lambda _: self._expected.extras(keys, since_ms))  # noqa: B023  # called within this turn of the loop
            if not after:
                break
        cursors[object_type.value] = after
        return found

    def _tell(self, found: Round) -> None:
        counts = {drift.value: count for drift, count in found.counts.items()}
        named = [one.external_id for one in found.drifts if one.drift not in IS_IN_ORDER]
        if named:
            log.warning("drift_found", counts=counts, objects=named[:SHOWN])
        else:
            log.info("drift_checked", counts=counts)

    def as_dict(self) -> dict[str, Any]:
        """For ``/status``: the newest round, its counts by class, and the first objects that are not equal."""
        if self.last is None:
            return {"at": "", "counts": {}, "drifts": []}
        return {
            "at": iso_s(self.last.at_ms),
            "counts": {drift.value: count for drift, count in self.last.counts.items()},
            "drifts": [
                {"object": one.external_id, "class": one.drift.value, "record": self._link(one) or one.record_id}
                for one in self.last.drifts[:SHOWN]
            ],
        }

    def _link(self, one: Comparison) -> str:
        object_type = parse_external_id(one.external_id, self._context.namespace).object_type
        return self._sink.record_link(object_type, one.record_id)
