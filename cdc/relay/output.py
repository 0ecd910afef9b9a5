"""The output of ``relay``: all rows, and every change of a row, go to a Kafka topic."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cdc.clock import SystemClock
from cdc.daemon import RETRY_START_S, Daemon, RunOptions
from cdc.engine.engine import Engine
from cdc.errors import ConfigError
from cdc.kafka.connect import login_fault, refusal
from cdc.kafka.record import KafkaRecord, Mark
from cdc.log_events import get_logger
from cdc.model import ObjectType
from cdc.output import Reader, Running
from cdc.relay.local import prepare
from cdc.relay.publisher import TROUBLES, Publisher
from cdc.relay.rows import RowsOnly
from cdc.settings.config import Settings
from cdc.snapshot.reader import Chunk
from cdc.state.store import Store
from cdc.stopping import unless
from mappers.mapping import MagentoMapping

log = get_logger(__name__)

_FULL_WAIT_S: Final = 0.1
_CHUNK: Final = 1000  # records handed from the loop to the opening thread at once


class RelayOutput:
    """The ``Output`` that publishes rows (cdc/output.py). Raises ConfigError for settings that cannot work."""

    contacts_by_email = False
    """False: a relay makes no contacts. Each member has its own sink."""

    role = "alone"
    """The relay's role. Relays share nothing with each other."""

    def __init__(self, settings: Settings) -> None:
        # A relay of a relay would publish the same rows under other positions.
        if settings.source.kind == "kafka":
            raise ConfigError(['source.kind = "kafka": relay reads the shop\'s log, and members read what it writes'])
        # Members could never tell a missing row from a deleted one.
        if settings.source.start != "import" and settings.source.kind == "binlog":
            raise ConfigError(
                [f'source.start = {settings.source.start!r}: relay publishes the whole store, so it must be "import"']
            )
        self._settings = settings
        self._publisher = Publisher(settings, SystemClock())
        self._loop = asyncio.get_running_loop()
        self._mark: Mark | None = None
        self._name = ""
        self._stop = threading.Event()

    # ------------------------------------------------------------------------------------------------ opening

    async def open(self, stopping: asyncio.Event) -> None:
        """Take over the topic, and read its last position. Waits for brokers; SetupError for a bad login."""
        failures = 0
        while not stopping.is_set():
            try:
                self._mark = await unless(stopping, self._publisher.connect())
                return
            except TROUBLES as error:
                why = await unless(stopping, refusal(self._publisher.arguments)) or error
                fault = login_fault(why, self._publisher.arguments)
                # A wrong login does not pass by waiting.
                if fault is not None:
                    raise fault from error
                failures += 1
                log.warning("kafka_unreachable", reason=repr(why), failures=failures, retry_in_s=RETRY_START_S)
                self._publisher.reason = f"Kafka: {why!r}"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), RETRY_START_S)

    def mapper(self, mapping: MagentoMapping) -> RowsOnly:
        """A mapper that keeps rows and renders nothing."""
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

    def attach(self, running: Running) -> None:
        """The state is level with the topic: begin to publish."""
        self._stop = running.stop
        self._publisher.attach(running.state, self._name, self._mark)

    def paced(self, loader: Reader) -> Reader:
        """A reader that is no faster than ``kafka.history_rows_per_s``, and that
        waits while too much is to be published.
        """
        rate = self._settings.kafka.history_rows_per_s
        return Throttled(loader, self._publisher, rate, self._stop)  # type: ignore[return-value]  # hands the rest on

    # ------------------------------------------------------------------------------------------------ running

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._publisher.run()

    async def reload(self, settings: Settings) -> None:
        """Read the login to the brokers again; a relay has no other settings that can change while it runs."""
        self._publisher.renew_login()

    def wake(self) -> None:
        """A commit is on disk."""
        self._publisher.wake()

    async def drain(self, deadline: float) -> None:
        """Finish the present transaction. Waiting pieces stay in the state."""
        await self._publisher.drain(deadline)

    async def until_empty(self) -> str:
        """Wait until everything that is committed is published."""
        return await self._publisher.until_empty()

    def causes(self, store: Store) -> list[str]:
        """Always empty: a relay holds nothing back."""
        return []

    async def close(self) -> None:
        """Close the producer."""
        await self._publisher.close()

    # ------------------------------------------------------------------------------------------------ telling

    @property
    def is_accepting(self) -> bool:
        """Whether the brokers accept rows."""
        return self._publisher.is_accepting

    @property
    def reason(self) -> str:
        """Why the brokers do not accept rows."""
        return self._publisher.reason

    @property
    def is_full(self) -> bool:
        """Whether enough pieces wait to be published."""
        return self._publisher.is_full

    def status(self) -> Mapping[str, object]:
        """The publisher's status."""
        return self._publisher.status()

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """None: a topic has no records in HubSpot."""
        return ""

    def member(self) -> Mapping[str, object]:
        """None: a relay is not a member."""
        return {"role": self.role}


class Throttled:
    """A ``RowLoader`` that reads history at a limited pace, and waits while too much is to be published."""

    def __init__(self, loader: Any, publisher: Publisher, rows_per_s: int, stop: threading.Event) -> None:
        self._loader = loader
        self._publisher = publisher
        self._rows_per_s = rows_per_s
        self._stop = stop
        self._free_at = 0.0

    def chunk(self, *arguments: Any, **named: Any) -> Chunk:
        """The loader's chunk, after a pause."""
        # Loading faster than publishing would fill the disk.
        while self._publisher.is_full and not self._stop.wait(_FULL_WAIT_S):
            pass
        self._stop.wait(max(0.0, self._free_at - time.monotonic()))
        chunk: Chunk = self._loader.chunk(*arguments, **named)
        # The pace counts from the end of the chunk.
        if self._rows_per_s:
            self._free_at = time.monotonic() + len(chunk.rows) / self._rows_per_s
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


async def run_relay(
    settings: Settings, *, until_end: bool = False, reload: Callable[[], Settings] | None = None
) -> int:
    """Run until SIGTERM or, with ``until_end``, until everything in the log now is published. Returns the exit code."""
    return await Daemon(
        settings, RunOptions(until_end=until_end, is_relay=True, reload=reload), RelayOutput(settings)
    ).run()
