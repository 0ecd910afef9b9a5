"""A receiver that checks every request by the rules of delivery, whatever the network and the process do meanwhile.

It adds to ``FakeSink``: requests that land late (after a time-out, or after the process that sent them died), quotas
with headers, and the rules that need memory over restarts. Rules are numbered as in
tests/unit/delivery/test_schedules.py.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

from cdc.errors import OutcomeUnknownError, SinkThrottledError, SinkUnauthorizedError
from cdc.model import Action, Answer, Message, ObjectType, Outcome, Quota, SyncErrorPage, SyncStatus
from cdc.protocols import Permit, Requests
from tests.kit.fakesink import FakeSink, Plan

GRACE_S = 0.05
"""What was decided before an answer came may still arrive so much later: two calls of the state."""

LATE_S = 60.0
"""A request that got no answer lands within this time, if it does."""

HOUR_S = 3600.0


class StrictSink(FakeSink):
    """``limit``: requests in any ten seconds; ``tells``: whether answers say so. ``may_hold``: whether an object may go
    on referring to another that is being deleted.
    """

    def __init__(self, random: Random, *, limit: int, tells: bool, max_deletes: int, max_batch: int) -> None:
        super().__init__(max_batch=max_batch)
        self._random = random
        self._limit, self._tells, self._max_deletes = limit, tells, max_deletes
        self.taken: defaultdict[str, set[int]] = defaultdict(set)
        self.known: set[str] = set()
        """What exists by the requests that took effect in time."""
        self.restarts = [0.0]
        self.deaths: list[float] = []
        self._told_s = -1.0
        """When an answer last said how much of the quota is left."""
        self.released_ms = 0
        """Deletions rendered before this were let go."""
        self.may_hold: Callable[[str, str], bool] = lambda referrer, referred: False
        self._arrivals: list[float] = []
        self._deletes: dict[tuple[str, int], float] = {}
        self._quiet = (0.0, 0.0)
        self._refused_s: float | None = None
        self._late_starts: dict[int, float] = {}
        self._held_refs: dict[str, set[str]] = {}

    @property
    def now_s(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()

    async def _call(self, messages: Sequence[Message], permit: Permit) -> Answer:
        """One call: checked, carried out at some time, answered or not."""
        self.requests.append((self.now_s, tuple(messages)))
        self._check_rate()
        self._check_pauses()
        self._check_arrival(messages)
        self._check_references(messages)
        self._check_deletes(messages)
        ids = {message.external_id for message in messages}
        self._in_flight |= ids
        number = len(self.requests)
        self._late_starts[number] = self.now_s
        has_landed = False
        plan = self.plan(messages)
        try:
            await asyncio.sleep(plan.before_s)
            if plan.is_applied:
                self._apply([m for m in messages if m.external_id not in plan.outcomes])
            has_landed = plan.is_applied or not isinstance(plan.error, OutcomeUnknownError | None)
            await asyncio.sleep(plan.after_s)
            if plan.error is not None:
                self._note(plan.error)
                raise plan.error
            self._refused_s = None
            for message in messages:
                if message.action is Action.DELETE:
                    self._deletes.setdefault((message.external_id, message.changed_at), self.now_s)
            permit.answered(self._quota())
            return Answer(tuple(self._receipt(m, plan) for m in messages))
        finally:
            self._in_flight -= ids
            del self._late_starts[number]
            if not has_landed and self._random.random() < 0.5:  # the sender gave up, or died; the network did not
                loop = asyncio.get_running_loop()
                loop.call_later(self._random.uniform(0, LATE_S), self._land_late, tuple(messages))

    def _land_late(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.action is Action.DELETE:
                self.held.pop(message.external_id, None)
            else:
                self.held[message.external_id] = message

    def _apply(self, messages: Sequence[Message]) -> None:
        for message in messages:
            name = message.external_id
            self.taken[name].add(message.changed_at)
            if message.action is Action.DELETE:
                self.held.pop(name, None)
                self.known.discard(name)
                self._held_refs.pop(name, None)
            else:
                self.held[name] = message
                self.known.add(name)
                self._held_refs[name] = {other for others in message.associations.values() for other in others}

    def _note(self, error: Exception) -> None:
        if isinstance(error, SinkThrottledError):
            self._quiet = (self.now_s, self.now_s + (error.retry_after_s or 1.0))
        if isinstance(error, SinkUnauthorizedError) and self._refused_s is None:
            self._refused_s = self.now_s

    def _quota(self) -> Quota:
        if not self._tells:
            return Quota()
        self._told_s = self.now_s
        used = sum(1 for at in self._arrivals if at > self.now_s - 10)
        return Quota(self._limit, max(0, self._limit - used), 10_000)

    def _check_rate(self) -> None:
        """Rule 6. A process that died remembers nothing: the one after it may only feel its way to the first answer
        that says what is left. An answer of 503 says nothing of it.
        """
        now_s = self.now_s
        self._arrivals = [at for at in self._arrivals if at > now_s - 10 + 1e-6]
        self._arrivals.append(now_s)
        began_s = max(0.0, self.restarts[-1])
        mine = sum(1 for at in self._arrivals if at >= began_s)
        self._rule(mine <= self._limit, f"{mine} requests within ten seconds")
        if self._told_s > self.restarts[-1]:
            births = sum(1 for at in self.restarts if at > now_s - 10 - LATE_S)
            most = self._limit + 3 * births  # each process asks for verdicts, and once before it has an answer
            self._rule(len(self._arrivals) <= most, f"{len(self._arrivals)} requests in 10 s over {births} starts")

    def _check_pauses(self) -> None:
        """Rule 5: nobody sends while throttled; one at a time while refused for the key.

        A process that was born after such an answer need not know of it: the one that heard it may have died first.
        """
        now_s = self.now_s
        told_s, end_s = self._quiet
        if self.restarts[-1] <= told_s:
            self._rule(not told_s + GRACE_S < now_s < end_s - 0.002, f"a request {end_s - now_s:.3f} s before the time")
        refused_s = self._refused_s
        if refused_s is not None and self.restarts[-1] <= refused_s:
            known_s = refused_s + GRACE_S
            beside = [at for at in self._late_starts.values() if at > known_s]
            self._rule(not (beside and now_s > known_s), "two requests at once while the key is refused")

    def _check_references(self, messages: Sequence[Message]) -> None:
        """Rule 2: what a message refers to was accepted and not deleted since; nobody refers to what is deleted."""
        for message in messages:
            for others in message.associations.values():
                for other in others:
                    self._rule(other in self.known, f"{message.external_id} refers to {other}, which is not there")
            if message.action is Action.DELETE:
                for referrer, refs in self._held_refs.items():
                    if message.external_id in refs:
                        allowed = self.may_hold(referrer, message.external_id)
                        self._rule(allowed, f"{message.external_id} is deleted under {referrer}")

    def _check_deletes(self, messages: Sequence[Message]) -> None:
        """Rule 9: no more objects deleted within an hour than the circuit breaker allows, unless they were released.

        A deletion whose receipt died with its process is known to nobody once its object came back.
        """
        sent = {
            name
            for (name, changed_at), at in self._deletes.items()
            if at > self.now_s - HOUR_S and changed_at > self.released_ms and not self._died_with_its_receipt(at)
        }
        fresh = {m.external_id for m in messages if m.action is Action.DELETE and m.changed_at > self.released_ms}
        count = len(sent | fresh)
        self._rule(count <= self._max_deletes, f"{count} deletions within an hour")

    def _died_with_its_receipt(self, answered_s: float) -> bool:
        """Whether the process died before it can have written down an answer of this time."""
        return any(answered_s <= death <= answered_s + GRACE_S for death in self.deaths)

    def _check_poll(self) -> None:
        """Counted like any call."""
        self._check_rate()


class Wire:
    """One process's line to the receiver: cut when the process dies, whatever its tasks still do."""

    def __init__(self, sink: StrictSink) -> None:
        self._sink = sink
        self.traits = sink.traits
        self.is_cut = False

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """See ``Sink``."""
        return await self._sink.send(messages, _Line(self, requests))

    async def sync_errors(self, progress: str, requests: Requests) -> SyncErrorPage:
        """See ``LaterVerdicts``."""
        return await self._sink.sync_errors(progress, _Line(self, requests))

    async def is_known(self, object_type: ObjectType, external_id: str, requests: Requests) -> bool:
        """See ``LaterVerdicts``."""
        return await self._sink.is_known(object_type, external_id, _Line(self, requests))

    async def sync_status(self, object_type: ObjectType, external_id: str, requests: Requests) -> SyncStatus | None:
        """See ``LaterVerdicts``."""
        return None

    async def close(self) -> None:
        """See ``Sink``."""


class _Line:
    """Requests of which a dead process makes none: a permit that it still gets never begins."""

    def __init__(self, wire: Wire, requests: Requests) -> None:
        self._wire, self._requests = wire, requests

    @asynccontextmanager
    async def permit(self, family: str) -> AsyncIterator[Permit]:
        """See ``Requests``."""
        async with self._requests.permit(family) as permit:
            if self._wire.is_cut:
                await asyncio.Event().wait()
            yield permit


__all__ = ["GRACE_S", "LATE_S", "Outcome", "Plan", "StrictSink", "Wire"]
