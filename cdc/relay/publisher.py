"""Publishes the journal's pieces, each exactly once, as the output of ``relay``.

A Kafka transaction holds some pieces and the mark behind them. The pieces are removed locally afterwards. After a crash
in between, the topic's last mark shows which pieces it holds. The mark is read after every error too, since the outcome
of the transaction is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from aiokafka.errors import KafkaConnectionError, KafkaError

from cdc.engine.state_thread import StateThread
from cdc.errors import CdcError
from cdc.kafka.connect import client_arguments, refusal
from cdc.kafka.record import Mark, encode
from cdc.log_events import get_logger
from cdc.model import Position
from cdc.protocols import Clock
from cdc.relay import journal, local
from cdc.relay.journal import Piece
from cdc.relay.topic import Topic
from cdc.relay.writer import Writer
from cdc.retry_pause import jittered_s
from cdc.settings.config import Settings
from cdc.state.store import Store

log = get_logger(__name__)

TROUBLES: Final = (KafkaError, OSError, TimeoutError)
_MB: Final = 1024 * 1024
_LOOK_S: Final = 0.5
_DRAIN_S: Final = 3.0  # a transaction that is cut off is no loss: the next start asks the topic what became of it
_IDLE_MARK_S: Final = 5.0  # how old the topic's position may get while nothing happens that is published
_IDLE_LOOK_S: Final = 5.0  # how often it is looked whether brokers answer, meanwhile
_BACKOFF_S: Final = (0.4, 5.0)
_SLOW_S: Final = 5.0  # far over what a Kafka transaction takes
_WHY_S: Final = 3.0  # for asking a broker why it lets us not in
_QUEUE_BYTES: Final = 256 * _MB  # waiting for brokers on disk; then the log is read no further
_QUEUE_PIECES: Final = 20_000


class RelayFencedError(CdcError):
    """Another relay writes this topic now."""


class Publisher:
    """The publisher of one run. Call ``connect`` first, then ``attach``, then ``run``.

    ``arguments``: of all its clients.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._kafka = settings.kafka
        self.arguments = client_arguments(settings.kafka)
        self._clock = clock
        self._topic = Topic(settings.kafka, self.arguments)
        self._writer = Writer(settings.kafka, self.arguments)
        self._state: StateThread | None = None
        self._name = ""
        self._last: Mark | None = None
        self._marked_at = self._looked_at = 0.0
        self._wake = asyncio.Event()
        self._ending = False
        self._idle = asyncio.Event()
        self._ended = asyncio.Event()
        self._waiting = (0, 0)
        self._failures = 0
        self.is_accepting = False
        self.reason = "not connected yet"
        self.records = 0
        self.transactions = 0

    @property
    def topic(self) -> Topic:
        """The topic that is written."""
        return self._topic

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be published that nothing more should be read. Any thread may ask."""
        return self._waiting[0] > _QUEUE_PIECES or self._waiting[1] > _QUEUE_BYTES

    def renew_login(self) -> None:
        """Read password and certificates again from their files."""
        self._writer.renew_login()

    async def connect(self) -> Mark | None:
        """Take over the topic and return its last position. Raises SetupError, KafkaError, OSError, TimeoutError."""
        await self._topic.ensure()
        await self._writer.open()
        return await self._topic.last_mark("read_committed")

    def attach(self, state: StateThread, name: str, last: Mark | None) -> None:
        """The state is level with the topic's last position; this run is called ``name``."""
        self._state, self._name, self._last = state, name, last
        self.is_accepting, self.reason = True, ""

    # --------------------------------------------------------------------------------------------- publishing

    async def run(self) -> None:
        """Publish until cancelled. Raises RelayFencedError, and CdcError for a record that is too large."""
        try:
            await self._publish_all()
        finally:
            self._ended.set()

    async def _publish_all(self) -> None:
        await self._until_written(self._claim)
        while not self._ending:
            self._wake.clear()
            # Nothing to publish: the topic may still need a newer position, and followers a sign of life.
            if not await self._until_written(self._publish):
                await self._until_written(self._mark_idle)
                self._idle.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _LOOK_S)

    async def _until_written(self, work: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        """Run ``work`` and return its result. After an error of the brokers, go on from the topic's last mark and try
        again.
        """
        # When ending, only a transaction that was begun is finished; nothing new is tried.
        while not self._ending or self._writer.is_open:
            try:
                # After an error the producer is gone, and what it wrote is settled first.
                if not self._writer.is_open:
                    await self._take_up_again()
                done = await self._watched(work())
            except TROUBLES as error:
                await self._on_trouble(error)
                continue
            # Said once per outage.
            if self._failures:
                log.info("kafka_back", failures=self._failures)
            self._failures, self.is_accepting, self.reason = 0, True, ""
            return done
        return False  # asked to end while brokers are away: what waits stays in the state

    async def _on_trouble(self, error: Exception) -> None:
        self._failures += 1
        wait_s = jittered_s(self._failures, *_BACKOFF_S)
        self.is_accepting, self.reason = False, f"Kafka: {type(error).__name__}"
        await self._writer.discard()
        why = await self._why(error)
        self.reason = f"Kafka: {why!r}"
        log.warning("kafka_unreachable", reason=repr(why), failures=self._failures, retry_in_s=round(wait_s, 1))
        await self._look()
        await asyncio.sleep(wait_s)

    async def _watched(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Run ``work`` and return its result. aiokafka retries inside it for a long time; meanwhile the relay is not
        ready.
        """
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_SLOW_S))[0]:
                self._writer.renew_login()  # the broker may refuse the password that the producer began with
                why = await self._why(KafkaConnectionError("no answer"))
                # The first sign; further ones in this outage would only repeat it.
                if self.is_accepting:
                    self._failures += 1
                    log.warning("kafka_unreachable", reason=repr(why), failures=self._failures, retry_in_s=_SLOW_S)
                self.is_accepting, self.reason = False, f"Kafka: {why!r}"
            return await task
        finally:
            task.cancel()

    async def _why(self, error: Exception) -> Exception:
        """The reason for a failed connection.

        aiokafka only reports that it found no broker. A refused login is worth naming. It is retried here, because the
        login was accepted at the start, so the change is on the brokers' side.
        """
        # A refused login shows up as "no broker": asking directly tells the operator what to mend.
        if isinstance(error, KafkaConnectionError):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WHY_S):
                    return await refusal(self.arguments) or error
        return error

    async def _take_up_again(self) -> None:
        """Recover from an error: once the new producer has started, the begun transaction is either in the topic or
        undone.
        """
        found = await self._topic.last_mark("read_uncommitted")
        self._must_be_ours(found)
        await self._writer.open()
        last = await self._topic.last_mark("read_committed")
        self._must_be_ours(last)
        assert self._state is not None
        # What reached the topic is done, even if its answer was lost.
        if last is not None:
            await self._done(last)

    def _must_be_ours(self, found: Mark | None) -> None:
        known = {self._name, self._last.relay if self._last else self._name}
        # Somebody else has written since: two writers would mix their numbering, and followers could not tell.
        if found is not None and found.relay not in known:
            raise RelayFencedError(
                f"another relay writes topic {self._topic.name} as {self._kafka.writer!r} since sequence"
                f" {found.sequence}; this relay stops",
                hint="run one relay per kafka.prefix",
            )

    async def _claim(self) -> bool:
        """Write this run's name into the topic, so that an earlier relay notices that another relay writes."""
        mark = await self._call_look()
        await self._write_mark(replace(mark, sequence=self._last.sequence if self._last else 0))
        return True

    async def _publish(self) -> bool:
        """Publish waiting pieces in one Kafka transaction; False if none wait."""
        assert self._state is not None
        after = self._last.sequence if self._last else 0
        most = self._kafka.max_transaction_mb * _MB
        found: list[Piece] = await self._state.call(lambda store: journal.pieces(store, after, most))
        # Every piece is in the topic.
        if not found:
            return False
        self._idle.clear()
        mark = replace(found[-1].mark, sequence=found[-1].sequence, relay=self._name, at_ms=self._clock.now_ms())
        records = [record for piece in found for record in piece.records]
        await self._writer.write([*records, encode(mark)])
        self.records += len(records)
        self.transactions += 1
        await self._done(mark)
        return True

    async def _done(self, mark: Mark) -> None:
        self._last, self._marked_at = mark, time.monotonic()
        assert self._state is not None
        engine = self._state.engine

        def forget(store: Store) -> tuple[int, int]:
            local.published(engine, mark.sequence)
            return journal.waiting(store)

        self._waiting = await self._state.call(forget)

    async def _mark_idle(self) -> bool:
        """Nothing waits: publish the position, if it is new."""
        assert self._last is not None
        mark = await self._call_look()
        flags = (mark.is_complete, mark.is_settled) != (self._last.is_complete, self._last.is_settled)
        moved = (mark.position, self._last.rows) != (self._last.position, 0)
        # The mark is a record too: it is written for news only, or now and then while the position moves.
        if mark.position.file and (flags or (moved and time.monotonic() - self._marked_at >= _IDLE_MARK_S)):
            await self._write_mark(replace(mark, sequence=self._last.sequence))
        elif time.monotonic() - max(self._marked_at, self._looked_at) >= _IDLE_LOOK_S:
            # Without traffic an outage of the brokers would go unnoticed.
            await self._writer.look()
            self._looked_at = time.monotonic()
        return True

    async def _call_look(self) -> Mark:
        """The state's position as a mark. While pieces wait, it is the last mark
        again, since the state is ahead of them.
        """
        assert self._state is not None
        engine, last = self._state.engine, self._last

        def look(store: Store) -> Mark:
            kept_by = engine.journal
            assert isinstance(kept_by, journal.Journal)
            # Pieces wait, so the topic must not claim a position behind them.
            if journal.waiting(store)[0]:
                return last or Mark(0, "", Position("", 0), 0)
            return kept_by.position()

        return await self._state.call(look)

    async def _write_mark(self, mark: Mark) -> None:
        whole = replace(mark, relay=self._name, at_ms=self._clock.now_ms())
        await self._writer.write([encode(whole)])
        self.transactions += 1
        await self._done(whole)

    async def _look(self) -> None:
        if self._state is not None:
            self._waiting = await self._state.call(journal.waiting)

    # ------------------------------------------------------------------- what the daemon asks of its output

    def wake(self) -> None:
        """A commit is on disk."""
        self._idle.clear()
        self._wake.set()

    async def drain(self, deadline: float) -> None:
        """Finish the present transaction, by ``deadline`` (monotonic) at the
        latest. Waiting pieces stay in the state.
        """
        self._ending = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), max(0.0, min(_DRAIN_S, deadline - time.monotonic())))

    async def until_empty(self) -> str:
        """Wait until everything that is committed is published."""
        self._idle.clear()
        self._wake.set()
        await self._idle.wait()
        return "empty"

    def status(self) -> dict[str, object]:
        """For /status."""
        last = self._last
        return {
            "kind": "relay",
            "topic": self._topic.name,
            "accepting": self.is_accepting,
            "reason": self.reason,
            "sequence": last.sequence if last else 0,
            "published_position": str(last.position) if last else "",
            "is_complete": last.is_complete if last else False,
            "records": self.records,
            "transactions": self.transactions,
            "waiting_pieces": self._waiting[0],
            "waiting_bytes": self._waiting[1],
        }

    async def close(self) -> None:
        """Close the producer."""
        await self._writer.close()
