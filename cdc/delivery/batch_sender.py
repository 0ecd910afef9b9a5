"""Handles one request from beginning to end: sends a batch, decides on its outcome, writes the outcome down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from cdc.delivery import silence
from cdc.delivery.backoff import BackOff
from cdc.delivery.blame import SplitWatch, alike, words_of
from cdc.delivery.context import Context
from cdc.delivery.daily_reset import daily_hint, daily_wait_s
from cdc.delivery.latency import latency_of
from cdc.delivery.public_text import public_text
from cdc.delivery.quota import Call, Traffic
from cdc.delivery.verdict import Step, Verdict, decide, kind_of, message_retry_s
from cdc.errors import (
    BatchRefusedError,
    OutcomeUnknownError,
    SendingStoppedError,
    SinkError,
    SinkThrottledError,
)
from cdc.log_events import get_logger
from cdc.messages import contact_emails, ledger, unconfirmed
from cdc.messages.outbox import LONGEST_DELAY_MS, SUSPECT, Entry
from cdc.messages.receipts import Settlement, SettleResult, settle
from cdc.model import OBJECT_TYPE, Action, Answer, Latency, Message, ObjectRef, ObjectType, Outcome, Receipt, Reference
from cdc.state.store import Store

log = get_logger(__name__)

_NO_RECEIPT = Receipt("", 0, Outcome.RETRY, "no_receipt", "the answer does not mention this message")


_ACCEPTED: Final = Outcome.ACCEPTED
_TRIED_AGAIN: Final = (Outcome.RETRY, Outcome.WRITTEN)

OTHERS_FIRST_S: Final = 1.0
"""How much longer messages stay in back-off that may be the cause of a refusal blamed on the account."""

VAIN_PIECES: Final = 20
"""A split gives up after this many pieces in a row failed for a reason other than their content: over 2 · log2(200)."""


def _outcomes(settlements: Sequence[Settlement]) -> dict[str, int]:
    # Nearly always everything was accepted, and the line is only written at level debug.
    if all([one.outcome is _ACCEPTED for one in settlements]):
        return {_ACCEPTED.value: len(settlements)}
    return dict(Counter(one.outcome.value for one in settlements))


def message_of(entry: Entry, namespace: str) -> Message:
    """The entry in the form that the sink sends."""
    references = _references(entry, entry.refs, namespace)
    before = _references(entry, (entry.predecessor,), namespace) if entry.predecessor is not None else (None,)
    associations: dict[ObjectType, tuple[str, ...]] = {}
    for object_type, external_id, _ in references:
        associations[object_type] = (*associations.get(object_type, ()), external_id)
    return Message(
        object_type=OBJECT_TYPE[entry.ref.kind],
        external_id=entry.ref.external_id(namespace),
        action=entry.action,
        changed_at=entry.changed_at,
        properties=orjson.loads(entry.properties) if entry.action is Action.UPSERT else {},
        associations=associations,
        position=entry.position,
        record_id=entry.record_id,
        was_accepted=entry.was_accepted,
        references=references,
        linked=references if entry.linked == entry.refs else _references(entry, entry.linked, namespace),
        linked_records=entry.linked_records,
        only_links=entry.only_links,
        is_backfill=entry.is_backfill,
        may_repeat=entry.may_repeat,
        predecessor=before[0],
    )


def _references(entry: Entry, refs: Sequence[ObjectRef], namespace: str) -> tuple[Reference, ...]:
    if not refs:
        return ()
    records = entry.record_ids
    return tuple([Reference(OBJECT_TYPE[ref.kind], ref.external_id(namespace), records.get(ref, "")) for ref in refs])


class BatchSender:
    """Sends the batches of one lane. Entries handed over are in flight until they are settled."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.back_off = BackOff()

    async def deliver(
        self,
        entries: Sequence[Entry],
        traffic: Traffic,
        *,
        reserved: Call | None = None,
        is_open: Callable[[], bool] = lambda: True,
        watch: SplitWatch | None = None,
    ) -> bool:
        """Send ``entries`` and settle them. False: they are still in flight and have to be split.

        ``reserved``: room in the first family's window. ``is_open``: whether permits may still be given.
        """
        context = self._context
        messages = [message_of(entry, context.namespace) for entry in entries]
        sent_ms, successes = context.clock.now_ms(), context.health.successes
        try:
            with context.permits.requests(traffic, reserved=reserved, is_open=is_open) as requests:
                answer = await context.sink.send(messages, requests)
        except SendingStoppedError:  # nothing was sent: the batch is taken again later, or by the next leader
            self.release(entries)
            return True
        except SinkError as error:
            context.report.batch_sent(len(messages))
            return await self._failed(entries, error, watch)
        context.report.batch_sent(len(messages))
        settlements = self._settlements(entries, messages, answer)
        log.debug(
            "batch_answered",
            object_type=entries[0].ref.object_type.value,
            first=str(entries[0].ref),
            outcomes=_outcomes(settlements),
        )
        # During a split single refusals are expected; the split itself decides about the account at its end.
        if watch is None and await self._is_accounts_fault(settlements, successes):
            return True
        # An answer for which nobody was called says nothing of the receiver.
        has_called = requests.made > 0 or not context.sink.traits.families
        # The first success after a silence: other lanes rest for no reason now.
        if has_called and context.health.succeeded(context.clock.monotonic()):
            context.hub.warm_up()
        if watch is not None and has_called:
            watch.vain, watch.has_accepted = 0, True
            await self._reject_held(watch)
        self.back_off.forget(entries)
        await self._settle(settlements, sent_ms)
        return True

    async def _is_accounts_fault(self, settlements: Sequence[Settlement], successes: int) -> bool:
        """Whether every message was refused with the same text and no other message was accepted since; then all of
        them wait.

        ``successes``: of all lanes before these messages were sent.
        """
        # Not every message was refused, so the account is not to blame.
        if any(settlement.outcome is not Outcome.REJECTED for settlement in settlements):
            return False
        texts = [f"{one.reason}: {one.detail}" if one.detail else one.reason for one in settlements]
        return await self._wait_for_account([s.entry for s in settlements], texts, successes)

    async def _wait_for_account(
        self, entries: Sequence[Entry], texts: Sequence[str], successes: int, batch: Sequence[Entry] = ()
    ) -> bool:
        """Let ``entries``, refused with ``texts``, wait if the account may be the cause. Returns whether it may be.

        ``batch``: the messages they were sent with, which wait too.
        """
        health = self._context.health
        account = health.account
        words = alike(texts, account.words if account.reason and account.is_at_once else "")
        others = health.successes > successes or self.back_off.others_succeed(entries, health.successes)
        # Different words, or others succeed: the messages are to blame.
        if not words or others:
            return False
        now_s = self._context.clock.monotonic()
        health.account_refused_at_once(texts[0], words_of(texts[0]), now_s)
        # what was refused rests a moment longer than the wait: others are tried first, which tells whom to blame
        until_s = account.next_s + OTHERS_FIRST_S
        self.back_off.note(batch or entries, until_s, health.successes)
        self.back_off.delay_all(until_s)
        await self._not_taken(entries)
        await self._give_back(entries, texts[0])
        return True

    def _settlements(self, entries: Sequence[Entry], messages: Sequence[Message], answer: Answer) -> list[Settlement]:
        receipts = {receipt.external_id: receipt for receipt in answer.receipts}
        now_ms = self._context.clock.now_ms()
        settlements = []
        for entry, message in zip(entries, messages, strict=True):
            receipt = receipts.get(message.external_id, _NO_RECEIPT)
            retry_at_ms = 0
            # A message may ask for its own wait, and the sink for a longer one.
            if receipt.outcome in _TRIED_AGAIN:
                wait_s = max(message_retry_s(entry.attempts, self._context.random), receipt.retry_after_s)
                retry_at_ms = now_ms + int(min(wait_s, LONGEST_DELAY_MS / 1000) * 1000)
            gone = self._gone(entry, receipt) if receipt.gone else ()
            settlement = Settlement(
                entry, receipt.outcome, receipt.reason, receipt.detail, retry_at_ms, False, receipt.record_id,
                receipt.is_record_gone, gone,
            )  # fmt: skip
            settlements.append(settlement)
        return settlements

    def _gone(self, entry: Entry, receipt: Receipt) -> tuple[ObjectRef, ...]:
        return tuple(ref for ref in entry.refs if ref.external_id(self._context.namespace) in receipt.gone)

    async def _failed(self, entries: Sequence[Entry], error: SinkError, watch: SplitWatch | None) -> bool:
        context = self._context
        health = context.health
        # The request may still land, so the newest state is sent once more after the next acceptance.
        if isinstance(error, OutcomeUnknownError):
            await context.state.call(lambda store: unconfirmed.note_unanswered(store, entries))
        is_suspect = entries[0].attempts >= SUSPECT
        failures = max(self.back_off.failures(entries) + 1, entries[0].attempts if is_suspect else 0)
        # while the sink takes nothing from anybody, no message is to blame
        others = not health.is_probing and self.back_off.others_succeed(entries, health.successes)
        # In a split a whole refused batch is progress: it gets smaller each time.
        if watch is not None:
            watch.vain = 0 if isinstance(error, BatchRefusedError) else watch.vain + 1
            # A single message alone: only what was taken since the split began can show that the sink works.
            if len(entries) == 1:
                others = not health.is_probing and health.successes > watch.successes
            others = others and watch.vain < VAIN_PIECES
        verdict = decide(
            error,
            failures=failures,
            others_succeed=others,
            size=len(entries),
            random=context.random,
            streak=health.failures + 1,
            daily_s=daily_wait_s(context.clock.now_ms(), self._time_zone(error)),
        )
        # Only the account's time zone tells when its day ends.
        if isinstance(error, SinkThrottledError) and error.policy == "DAILY":
            error.hint = daily_hint(self._time_zone(error))
        now_s = context.clock.monotonic()
        quiet_s = health.quiet_s
        health.failed(error, verdict, now_s, own_fault=is_suspect or watch is not None)
        await silence.keep(context, quiet_s)
        log.debug(
            "request_decided",
            step=verdict.step.value,
            wait_s=round(verdict.wait_s, 3),
            status=kind_of(error),
            messages=len(entries),
        )
        # The caller splits; nothing is settled here.
        if verdict.step is Step.SPLIT:
            return False
        await self._carry_out(entries, error, verdict, watch)
        return True

    def _time_zone(self, error: SinkError) -> str:
        """The account's time zone as set by the merchant, else as the sink learned it; "" if neither is known."""
        learnt = error.time_zone if isinstance(error, SinkThrottledError) else ""
        return self._context.settings.sink.time_zone or learnt

    async def _carry_out(
        self, entries: Sequence[Entry], error: SinkError, verdict: Verdict, watch: SplitWatch | None
    ) -> None:
        context = self._context
        # After an unknown outcome the sink may have learned the address.
        if not isinstance(error, OutcomeUnknownError):
            await self._not_taken(entries)
        if verdict.step is Step.REJECT:
            await self._refused(entries[0], error, watch)
        elif verdict.step is Step.PARK:
            retry_at_ms = context.clock.now_ms() + int(verdict.wait_s * 1000)
            log.warning(
                "message_parked",
                object=str(entries[0].ref),
                retry_s=round(verdict.wait_s, 1),
                reason=public_text(error.message),
            )
            park = Settlement(entries[0], Outcome.RETRY, kind_of(error), error.message, retry_at_ms, park=True)
            await self._settle([park])
        else:
            # WAIT and STOP hold back all lanes, so these messages need no rest of their own.
            if verdict.step is Step.RETRY:
                until_s = context.clock.monotonic() + verdict.wait_s
                self.back_off.note(entries, until_s, context.health.successes)
            await self._give_back(entries, f"{kind_of(error)}: {public_text(error.message)}")

    async def _refused(self, entry: Entry, error: SinkError, watch: SplitWatch | None) -> None:
        """One message was refused alone: it becomes a dead letter, unless the account may be the cause."""
        kind, text = kind_of(error), error.message
        # Not in a split: the refusal stands alone.
        if watch is None:
            if not await self._wait_for_account([entry], [text], self._context.health.successes):
                await self._settle([Settlement(entry, Outcome.REJECTED, kind, text)])
            return
        watch.refused.append((entry, kind, text))  # in flight still, until it is known what becomes of the others
        # A success, or refusals in different words, show that the messages are at fault, not the account.
        if watch.has_accepted or not alike([held for _, _, held in watch.refused], at_least=1):
            await self._reject_held(watch)

    async def decide_on_held(self, watch: SplitWatch) -> None:
        """A split has ended: messages that were refused alone become dead letters, or wait for the account."""
        held = watch.refused
        if held and not await self._wait_for_account(
            [entry for entry, _, _ in held], [text for _, _, text in held], watch.successes, watch.entries
        ):
            await self._reject_held(watch)

    async def _reject_held(self, watch: SplitWatch) -> None:
        held, watch.refused = watch.refused, []
        if held:
            await self._settle([Settlement(entry, Outcome.REJECTED, kind, text) for entry, kind, text in held])

    async def _not_taken(self, entries: Sequence[Entry]) -> None:
        """These attempts were certainly not accepted, so the sink did not learn an address from them."""
        failed = [(entry.ref, entry.changed_at, entry.email) for entry in entries if entry.email]
        if failed:
            await self._context.state.call(lambda store: contact_emails.not_taken(store, failed))

    async def _give_back(self, entries: Sequence[Entry], answer: str) -> None:
        """Return the entries to the outbox as they are. The ledger keeps the answer to the attempt, for ``trace``."""
        self._context.report.retried(len(entries))
        answers = [(entry.ref, answer) for entry in entries]
        now_ms = self._context.clock.now_ms()
        await self._context.state.call(lambda store: ledger.note_answers(store, answers, now_ms))
        self.release(entries)

    def release(self, entries: Sequence[Entry]) -> None:
        """Return entries to the outbox as they are."""
        self._context.in_flight_set.remove(entries)

    async def _settle(self, settlements: Sequence[Settlement], sent_ms: int = 0) -> SettleResult:
        """Write receipts; returns when they are on disk. ``sent_ms``: when the
        request was sent, for accepted entries.
        """
        context = self._context
        now_ms = context.clock.now_ms()

        def work(store: Store) -> SettleResult:
            accepted = [s.entry for s in settlements if s.outcome is Outcome.ACCEPTED]
            context.circuit_breaker.count_deletes(store, accepted, now_ms)
            return settle(
                store, settlements, now_ms, unknown_resend_ms=int(context.settings.sink.unknown_resend_s * 1000)
            )

        result = await context.state.call(work)
        context.in_flight_set.remove([settlement.entry for settlement in settlements])
        self._tell(settlements, sent_ms)
        # A dead letter may trip the circuit breaker, and it must hold before the next batch goes.
        if result.rejected:
            reasons = await context.state.call(lambda store: context.circuit_breaker.reasons(store, now_ms))
            for name, reason in reasons.items():
                context.health.set_breaker(name, reason)
        context.hub.wake()
        return result

    def _tell(self, settlements: Sequence[Settlement], sent_ms: int) -> None:
        context = self._context
        now_ms = context.clock.now_ms()
        retried = 0
        accepted: dict[ObjectType, list[Latency | None]] = {}
        for settlement in settlements:
            entry, outcome, reason = settlement.entry, settlement.outcome, settlement.reason
            if outcome is _ACCEPTED:
                latency = latency_of(entry, sent_ms, now_ms)
                accepted.setdefault(OBJECT_TYPE[entry.ref.kind], []).append(latency)
            elif outcome is Outcome.REJECTED:
                context.report.dead_lettered(reason)
                # HubSpot's details may quote property values: they stay in the dead letter (deadletter show)
                log.error("dead_letter", object=str(entry.ref), reason=reason, position=entry.position)
            else:
                retried += 1
        for object_type, latencies in accepted.items():
            context.report.accepted(object_type, latencies)
        if retried:
            context.report.retried(retried)
