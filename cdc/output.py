"""The output of a run: messages for a sink, or rows for a topic. The daemon is given one output."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cdc.components import Components
from cdc.delivery.observer import Observer
from cdc.engine.engine import Engine
from cdc.engine.state_thread import StateThread
from cdc.model import ObjectType
from cdc.protocols import Clock, Mapper
from cdc.settings.config import Settings
from cdc.snapshot.reader import RowLoader
from cdc.state.store import Store
from mappers.mapping import MagentoMapping

Reader = TypeVar("Reader", bound=RowLoader)


@dataclass(frozen=True, slots=True)
class Running:
    """The daemon's objects that an output uses. ``state`` is not started yet; ``stop`` is set when reading must end."""

    state: StateThread
    parts: Components
    clock: Clock
    observer: Observer
    stop: threading.Event


class Opening(Protocol):
    """An output's decisions while the state and the source are opened (called in the opening thread)."""

    @property
    def contacts_by_email(self) -> bool:
        """Whether there is one contact for each email address, as in ``SinkTraits``."""
        ...

    def mapper(self, mapping: MagentoMapping) -> Mapper:
        """The mapper that decides which rows the replica keeps, and that renders."""
        ...

    def prepare(self, engine: Engine) -> None:
        """The state is open, and the start position is not chosen yet."""
        ...


class Output(Opening, Protocol):
    """One run's output, called in the event loop: ``open``, ``attach``, ``run``, ``drain``, ``close``, in this order.

    ``close`` also comes without the others, after a failed start.
    """

    @property
    def is_accepting(self) -> bool:
        """Whether the receiver accepts the output, as far as is known; False before ``run``."""
        ...

    @property
    def reason(self) -> str:
        """Why the receiver does not accept it; "" if it does."""
        ...

    @property
    def role(self) -> str:
        """``alone``, or this process's role among the members that share the account."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more should be applied. Any thread may call."""
        ...

    async def open(self, stopping: asyncio.Event) -> None:
        """Ask the receiver for what decides the start position. Returns early if ``stopping`` is set. May raise
        SetupError.
        """
        ...

    def attach(self, running: Running) -> None:
        """State and source are open."""
        ...

    def paced(self, loader: Reader) -> Reader:
        """A reader of the snapshot's rows, slowed to the pace at which the output accepts them."""
        ...

    async def run(self) -> None:
        """Work until cancelled, or until drained."""
        ...

    def wake(self) -> None:
        """A commit is on disk."""
        ...

    async def drain(self, deadline: float) -> None:
        """Finish the running work, by ``deadline`` (monotonic seconds) at the latest."""
        ...

    async def until_empty(self) -> str:
        """Wait until there is nothing left to do; "stuck" if something cannot be done."""
        ...

    def causes(self, store: Store) -> list[str]:
        """What cannot be done, and why (called in the state thread)."""
        ...

    def status(self) -> Mapping[str, object]:
        """For /status."""
        ...

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """The address of a record's page at the receiver; "" if there is none."""
        ...

    def member(self) -> Mapping[str, object]:
        """For /status: this process among the members, ``role`` at least."""
        ...

    async def reload(self, settings: Settings) -> None:
        """Use other settings from now on (SIGHUP). Only those in ``CHANGEABLE`` (cdc/settings/reload.py) may differ."""
        ...

    async def close(self) -> None:
        """Close all connections. May be called twice."""
        ...
