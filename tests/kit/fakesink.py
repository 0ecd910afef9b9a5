"""A sink in memory that does what it is told and checks the rules of delivery on every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cdc.errors import BatchRefusedError, SinkError
from cdc.model import (
    Action,
    Answer,
    Message,
    ObjectType,
    Outcome,
    Quota,
    Receipt,
    SyncError,
    SyncErrorPage,
    SyncStatus,
)
from cdc.protocols import CallFamily, Permit, Requests, SinkTraits
from sinks.bridge.error_types import ADVICE, says_no_record, scope_of
from sinks.jsonl import OPTIONAL_REFERENCES

FAMILY = "fake"

OVERLAP_MS = 60_000
"""How far each poll goes back: a receipt may not have been written down when its verdict was read first."""


def on_wire(message: Message) -> tuple[object, ...]:
    """What the receiver gets of a message: a repeat of it must be the same, whatever is known by then of records."""
    return message.action, message.changed_at, message.properties, message.associations


@dataclass
class Plan:
    """How one request goes: seconds before and after it takes effect, whether it does, and what comes back."""

    before_s: float = 0.02
    after_s: float = 0.02
    is_applied: bool = True
    error: SinkError | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """Messages with another outcome than ACCEPTED; those are not applied."""
    quota: Quota = field(default_factory=Quota)


class FakeSink:
    """Takes everything, unless ``plan`` says otherwise. A batch with one of ``poison`` in it is refused as a whole.

    It keeps the protocols Sink and LaterVerdicts; a send is one call. Its error types are the bridge's.

    ``held``: what the receiver holds now. ``requests``: (time, messages) of every request. Broken rules raise
    AssertionError, which no part of delivery catches, and are kept in ``broken``.
    """

    def __init__(self, *, max_batch: int = 200, plan: Callable[[Sequence[Message]], Plan] | None = None) -> None:
        self.traits = SinkTraits(
            name="fake",
            max_batch=max_batch,
            optional_references=OPTIONAL_REFERENCES,
            families={FAMILY: CallFamily(1_000_000)},
            advice=ADVICE,
        )
        self.plan = plan or (lambda _: Plan())
        self.poison: set[str] = set()
        self.held: dict[str, Message] = {}
        self.requests: list[tuple[float, tuple[Message, ...]]] = []
        self.verdicts: list[SyncError] = []
        self.unknown: set[str] = set()
        self.poll_error: SinkError | None = None
        self.broken: list[str] = []
        self._last: dict[str, Message] = {}
        self._in_flight: set[str] = set()
        self.most_in_flight = 0

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """One call, checked against the rules."""
        async with requests.permit(FAMILY) as permit:
            return await self._call(messages, permit)

    async def _call(self, messages: Sequence[Message], permit: Permit) -> Answer:
        self.requests.append((asyncio.get_running_loop().time(), tuple(messages)))
        self._check_arrival(messages)
        ids = {message.external_id for message in messages}
        self._in_flight |= ids
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
        try:
            plan = self.plan(messages)
            if ids & self.poison:
                plan = Plan(plan.before_s, plan.after_s, False, BatchRefusedError("refused", status=400))
            if plan.before_s:
                await asyncio.sleep(plan.before_s)
            if plan.is_applied:
                self._apply([m for m in messages if m.external_id not in plan.outcomes])
            if plan.after_s:
                await asyncio.sleep(plan.after_s)
            if plan.error is not None:
                raise plan.error
            permit.answered(plan.quota)
            return Answer(tuple(self._receipt(m, plan) for m in messages))
        finally:
            self._in_flight -= ids

    @staticmethod
    def _receipt(message: Message, plan: Plan) -> Receipt:
        outcome = plan.outcomes.get(message.external_id, Outcome.ACCEPTED)
        reason = "" if outcome is Outcome.ACCEPTED else "told so"
        return Receipt(message.external_id, message.changed_at, outcome, reason)

    def _rule(self, holds: bool, text: str) -> None:
        if not holds:
            self.broken.append(text)
            raise AssertionError(text)

    def _check_arrival(self, messages: Sequence[Message]) -> None:
        self._rule(0 < len(messages) <= self.traits.max_batch, f"a batch of {len(messages)}")
        self._rule(len({m.object_type for m in messages}) == 1, "a batch holds several object types")
        self._rule(len({m.external_id for m in messages}) == len(messages), "an object twice in one batch")
        for message in messages:
            name = message.external_id
            self._rule(name not in self._in_flight, f"{name}: two messages at the same time")
            last = self._last.get(name)
            if last is not None and message.changed_at <= last.changed_at:
                self._rule(on_wire(message) == on_wire(last), f"{name}: {message} after {last}")
            self._last[name] = message

    def _apply(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.action is Action.DELETE:
                self.held.pop(message.external_id, None)
                continue
            for others in message.associations.values():
                for other in others:
                    self._rule(other in self.held, f"{message.external_id} refers to {other}, which is not there")
            self.held[message.external_id] = message

    def late_verdicts(self, since_ms: int) -> Sequence[SyncError]:
        """The verdicts that are there."""
        return [verdict for verdict in self.verdicts if verdict.errored_at > since_ms]

    async def sync_errors(self, progress: str, requests: Requests) -> SyncErrorPage:
        """What ``late_verdicts`` says, on one page; blaming as the bridge's types do."""
        since_ms = int(progress or 0)
        async with requests.permit(FAMILY):
            self._check_poll()
            if self.poll_error is not None:
                raise self.poll_error
            found = [
                replace(one, scope=scope_of(one.kind), is_without_record=says_no_record(one.kind))
                for one in self.late_verdicts(since_ms - OVERLAP_MS)
            ]
        return SyncErrorPage(tuple(found), str(max((one.errored_at for one in found), default=since_ms)))

    def _check_poll(self) -> None:
        """For sinks that count every call."""

    async def sync_status(self, object_type: ObjectType, external_id: str, requests: Requests) -> SyncStatus | None:
        """Like is_known."""
        return SyncStatus(hubspot_id="1") if await self.is_known(object_type, external_id, requests) else None

    async def is_known(self, object_type: ObjectType, external_id: str, requests: Requests) -> bool:
        """Held, and not said to be unknown."""
        async with requests.permit(FAMILY):
            self._check_poll()
            return external_id in self.held and external_id not in self.unknown

    async def close(self) -> None:
        """Nothing to close."""
