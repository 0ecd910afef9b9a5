"""``magento-cdc relay``: the daemon with a publisher in the place of its delivery."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import structlog

from cdc.components import Components
from cdc.daemon import RETRY_START_S, Daemon, RunOptions
from cdc.engine.engine import Engine
from cdc.errors import ConfigError
from cdc.kafka.connect import client_arguments, login_fault, refusal
from cdc.kafka.record import KafkaRecord, Mark
from cdc.relay.local import prepare
from cdc.relay.publisher import TROUBLES, Publisher
from cdc.relay.rows import RowsOnly
from cdc.settings.config import Settings
from cdc.snapshot.reader import Chunk, RowLoader
from cdc.startup import RelayHook
from cdc.status import Output
from cdc.stopping import unless
from mappers.mapping import MagentoMapping

log = structlog.get_logger(__name__)

_FULL_WAIT_S: Final = 0.1
_CHUNK: Final = 1000  # records handed from the loop to the opening thread at once


class Relay(Daemon):
    """One run. As ``Daemon``, but rows are published and nothing is rendered. Raises ConfigError for what cannot be."""

    def __init__(self, settings: Settings, *, until_end: bool = False) -> None:
        super().__init__(settings, RunOptions(until_end=until_end))
        if settings.source.kind == "kafka":
            raise ConfigError(['source.kind = "kafka": relay reads the shop\'s log, and members read what it writes'])
        if settings.source.start != "import" and settings.source.kind == "binlog":
            raise ConfigError(
                [f'source.start = {settings.source.start!r}: relay publishes the whole store, so it must be "import"']
            )
        self._publisher = Publisher(settings, self._clock)
        self._mark: Mark | None = None
        self._name = ""

    async def _open(self) -> None:
        """Take over the topic, then open state and source as its last position asks. SetupError for a bad login."""
        failures = 0
        while not self._stopping.is_set():
            try:
                self._mark = await unless(self._stopping, self._publisher.connect())
                break
            except TROUBLES as error:
                connect = client_arguments(self._settings.kafka)
                why = await unless(self._stopping, refusal(connect)) or error
                fault = login_fault(why, connect)
                if fault is not None:
                    raise fault from error
                failures += 1
                log.warning("kafka_unreachable", reason=repr(why), failures=failures, retry_in_s=RETRY_START_S)
                self._publisher.reason = f"Kafka: {why!r}"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RETRY_START_S)
        await super()._open()

    # ------------------------------------------------------------------------------- what startup asks of a relay

    def mapper(self, mapping: MagentoMapping) -> RowsOnly:
        """Rows are kept, nothing is rendered."""
        return RowsOnly(mapping)

    def prepare(self, engine: Engine) -> None:
        """Opening thread: bring the state level with the topic."""
        self._name = prepare(engine, self._mark, self._topic())
        engine.reread()  # what the state says now

    def _topic(self) -> Iterator[KafkaRecord]:
        """Opening thread: the topic's records, read in the loop."""
        reading = self._publisher.topic.read_all()

        async def some() -> list[KafkaRecord]:
            got: list[KafkaRecord] = []
            async for record in reading:
                got.append(record)
                if len(got) == _CHUNK:
                    break
            return got

        while chunk := asyncio.run_coroutine_threadsafe(some(), self._loop).result():
            yield from chunk

    def _relay_hook(self) -> RelayHook:
        return self

    def _make_delivery(self, parts: Components) -> Output:
        assert self._state is not None
        publisher = self._publisher
        self._state.is_held = lambda: publisher.is_full
        self._publisher.attach(self._state, self._name, self._mark)
        if parts.loader is not None:
            rate = self._settings.kafka.history_rows_per_s
            parts.loader = Throttled(parts.loader, publisher, rate, self._stop_reading)  # type: ignore[assignment]
        return publisher

    def _make_sink(self) -> None:
        """A relay sends no messages."""
        return None

    async def _close_delivery(self) -> None:
        await self._publisher.close()


class Throttled:
    """A ``RowLoader`` that reads history no faster than asked, and not while too much waits to be published."""

    def __init__(self, loader: RowLoader, publisher: Publisher, rows_per_s: int, stop: threading.Event) -> None:
        self._loader = loader
        self._publisher = publisher
        self._rows_per_s = rows_per_s
        self._stop = stop
        self._free_at = 0.0

    def chunk(self, *arguments: Any, **named: Any) -> Chunk:
        """As the loader's, later."""
        while self._publisher.is_full and not self._stop.wait(_FULL_WAIT_S):
            pass
        self._stop.wait(max(0.0, self._free_at - time.monotonic()))
        chunk = self._loader.chunk(*arguments, **named)
        if self._rows_per_s:
            self._free_at = time.monotonic() + len(chunk.rows) / self._rows_per_s
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


async def run_relay(settings: Settings, *, until_end: bool = False) -> int:
    """Run until SIGTERM or, with ``until_end``, until what is in the log now is published; the exit code."""
    return await Relay(settings, until_end=until_end).run()
