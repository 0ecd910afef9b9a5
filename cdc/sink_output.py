"""``run``: messages to the sink, alone or as a member among others (Kafka)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cdc.collector import tune_collector
from cdc.daemon import Daemon, RunOptions
from cdc.delivery.engine import Delivery
from cdc.engine.engine import Engine
from cdc.engine.state_thread import StateThread
from cdc.errors import StateError, first_of
from cdc.log_events import get_logger
from cdc.members.leadership import Leadership
from cdc.messages import unconfirmed
from cdc.messages.contact_emails import EmailRule
from cdc.messages.verification import Expected
from cdc.model import ObjectType
from cdc.output import Reader, Running
from cdc.protocols import EmailChange, Mapper, Sink, SinkReader, SinkTraits
from cdc.settings.config import Settings
from cdc.state.run_mark import MarkFile
from cdc.state.store import Store
from mappers.mapping import MagentoMapping
from sinks.registry import entry_of, make_sink

log = get_logger(__name__)

MARK_S = 10.0  # how often it is noted beside the state how far the log was applied


class SinkOutput:
    """The ``Output`` that delivers (cdc/output.py)."""

    is_full = False
    """False: the outbox holds at most the newest message of each object, so its size is bounded."""

    def __init__(self, settings: Settings, sink: Sink | None = None) -> None:
        """``sink``: used instead of the sink in the settings, in a dry run, which works on a copy of the state.

        ConfigError for settings that cannot work.
        """
        self._settings = settings
        self._sink = sink or make_sink(settings)
        self._is_copy = sink is not None
        self._mark: MarkFile | None = None
        self._state: StateThread | None = None
        self._engine: Engine | None = None
        self._delivery: Delivery | None = None
        self._leadership: Leadership | None = None

    # ------------------------------------------------------------------------------------------------ opening

    async def open(self, stopping: asyncio.Event) -> None:
        """Nothing: the start position does not depend on the sink."""

    @property
    def contacts_by_email(self) -> bool:
        """As in the sink's traits."""
        return self._sink.traits.contacts_by_email

    def mapper(self, mapping: MagentoMapping) -> Mapper:
        """The mapper of the settings' mapping."""
        return mapping

    def prepare(self, engine: Engine) -> None:
        """Set up rendering for this sink."""
        self._engine = engine
        render_for(engine, self._sink.traits)
        engine.renderer.delete_grace_ms = int(self._settings.delivery.delete_grace_s * 1000)
        engine.renderer.withholding.before_ms = self._settings.history.withheld_before_ms
        with engine.store.transaction():
            # Before the log goes on: newer versions would take the place of these entries.
            unconfirmed.note_interrupted(engine.store)
        if not self._is_copy:
            with engine.store.transaction():
                engine.moves.take_up()
            self._mark = MarkFile(engine.store)
            self._mark.write(engine.positions.high)

    def attach(self, running: Running) -> None:
        """Create delivery. If the log comes from topics, members share the sending."""
        self._state = state = running.state
        clock = running.clock
        if self._settings.source.kind == "kafka":
            self._leadership = Leadership(self._settings, state, clock, running.parts.end)
        engine = running.parts.engine
        self._delivery = Delivery(
            self._sink,
            state,
            self._settings,
            clock,
            observer=running.observer,
            leader_gate=self._leadership,
            expected=Expected(engine.store, engine.mapper, engine.rows, self._settings.mapping.namespace),
        )

    def paced(self, loader: Reader) -> Reader:
        """The reader itself: loaded rows wait in the outbox, so it needs no slower pace."""
        return loader

    # ------------------------------------------------------------------------------------------------ running

    async def run(self) -> None:
        """Deliver, and lead or follow."""
        assert self._delivery is not None
        try:
            async with asyncio.TaskGroup() as tasks:
                marking = tasks.create_task(self._keep_mark(), name="run-mark")
                delivery = tasks.create_task(self._delivery.run(), name="delivery")
                delivery.add_done_callback(lambda _: marking.cancel())
                if self._leadership is not None:
                    tasks.create_task(self._leadership.run(self._delivery), name="leadership")
                    tasks.create_task(self._leadership.roster.keep(), name="roster")
        except BaseExceptionGroup as group:
            raise first_of(group) from group

    async def _keep_mark(self) -> None:
        """From time to time, write beside the state how far the log was applied: a later run recognises an older copy
        by it.
        """
        assert self._state is not None
        while self._mark is not None:
            await asyncio.sleep(MARK_S)
            applied = await self._state.call(lambda store: store.meta.applied_lsn)
            try:
                await asyncio.to_thread(self._mark.write, applied)
            except StateError as error:  # what lies there stays true, and is only older
                log.warning("run_mark_not_written", limit="run_mark", reason=str(error))

    def wake(self) -> None:
        """There may be new messages."""
        if self._delivery is not None:
            self._delivery.wake()

    async def drain(self, deadline: float) -> None:
        """Wait for the answers to the messages on the wire."""
        if self._delivery is not None:
            await self._delivery.drain(deadline)

    async def until_empty(self) -> str:
        """Wait until every message that can be sent is sent."""
        assert self._delivery is not None
        return await self._delivery.until_empty()

    def causes(self, store: Store) -> list[str]:
        """One line per message that cannot be sent."""
        assert self._delivery is not None
        return self._delivery.causes(store)

    async def reload(self, settings: Settings) -> None:
        """Pass the settings on to rendering and to delivery."""
        if self._engine is not None:
            # The state thread reads this number for each deletion; setting a number needs no turn of that thread.
            self._engine.renderer.delete_grace_ms = int(settings.delivery.delete_grace_s * 1000)
        if self._delivery is not None:
            await self._delivery.reload(settings, entry_of(settings).traits(settings))

    async def close(self) -> None:
        """Leave the members, then close the sink."""
        if self._leadership is not None:
            await self._leadership.close()
        await self._sink.close()

    # ------------------------------------------------------------------------------------------------ telling

    @property
    def is_accepting(self) -> bool:
        """Whether the sink takes messages."""
        return self._delivery is not None and self._delivery.is_accepting

    @property
    def reason(self) -> str:
        """Why the sink does not accept messages."""
        return self._delivery.reason if self._delivery is not None else "not started"

    @property
    def role(self) -> str:
        """See ``Leadership.role``."""
        return self._leadership.role if self._leadership is not None else "alone"

    def status(self) -> Mapping[str, object]:
        """Delivery's status."""
        return self._delivery.status() if self._delivery is not None else {}

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """The record's page in HubSpot, for a sink that can be read back."""
        return self._sink.record_link(object_type, record_id) if isinstance(self._sink, SinkReader) else ""

    def member(self) -> Mapping[str, object]:
        """Leadership's status."""
        return self._leadership.status() if self._leadership is not None else {"role": self.role}


def render_for(engine: Engine, traits: SinkTraits) -> None:
    """Set up rendering for a sink with these traits."""
    engine.renderer.emails = email_rule(traits)
    engine.renderer.object_types = traits.object_types


def email_rule(traits: SinkTraits) -> EmailRule:
    """How to render a changed email for a sink of these traits."""
    if traits.email_change is EmailChange.IN_PLACE:
        return EmailRule(address=traits.email_property if traits.contacts_by_email else "")
    return EmailRule(traits.email_property, leave_out=traits.email_change is EmailChange.LEAVE_OUT)


async def run_daemon(settings: Settings, options: RunOptions, sink: Sink | None = None) -> int:
    """Run a daemon in the current event loop; see ``Daemon.run``. ``sink``: instead of the sink in the settings."""
    tune_collector()
    return await Daemon(settings, options, SinkOutput(settings, sink)).run()
