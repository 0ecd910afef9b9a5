"""What a run makes of what the state holds: messages for a sink, or rows for a topic. The daemon is given one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class Running:
    """What an output gets of the daemon. ``state`` is not started yet; ``stop`` is set when reading is to end."""

    state: StateThread
    parts: Components
    clock: Clock
    observer: Observer
    stop: threading.Event


class Opening(Protocol):
    """What an output decides while the state and the source are opened (called in the opening thread)."""

    @property
    def contacts_by_email(self) -> bool:
        """Whether one contact stands for each email address, as in ``SinkTraits``."""
        ...

    def mapper(self, mapping: MagentoMapping) -> Mapper:
        """What the replica keeps rows for and renders with."""
        ...

    def prepare(self, engine: Engine) -> None:
        """The state is open, and where to begin reading is not decided yet."""
        ...


class Output(Opening, Protocol):
    """One run's output, called in the event loop: ``open``, ``attach``, ``run``, ``drain``, ``close``, in this order.

    ``close`` also comes without the others, after a failed start.
    """

    @property
    def is_accepting(self) -> bool:
        """Whether what is made is taken, as far as is known; False before ``run``."""
        ...

    @property
    def reason(self) -> str:
        """Why it is not; empty if it is."""
        ...

    @property
    def role(self) -> str:
        """``alone``, or what this process does among the members that share the account."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more should be applied. Called from any thread."""
        ...

    async def open(self, stopping: asyncio.Event) -> None:
        """Reach what decides where to begin; returns early if ``stopping`` is set meanwhile. May raise SetupError."""
        ...

    def attach(self, running: Running) -> None:
        """State and source are open."""
        ...

    def paced(self, loader: RowLoader) -> RowLoader:
        """The loader of the snapshot's rows, held to the pace at which the output takes them."""
        ...

    async def run(self) -> None:
        """Work until cancelled, or until drained."""
        ...

    def wake(self) -> None:
        """Something was committed."""
        ...

    async def drain(self, deadline: float) -> None:
        """Finish what is under way, at ``deadline`` (monotonic seconds) the latest."""
        ...

    async def until_empty(self) -> str:
        """Wait until nothing is left to do; "stuck" if something cannot be done."""
        ...

    def causes(self, store: Store) -> list[str]:
        """What is stuck, and why (called in the state thread)."""
        ...

    def status(self) -> Mapping[str, object]:
        """For /status."""
        ...

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """The address of a record's page at the receiver; "" where there is none."""
        ...

    def member(self) -> Mapping[str, object]:
        """For /status: this process among the members, ``role`` at least."""
        ...

    async def reload(self, settings: Settings) -> None:
        """Other settings hold from now on (SIGHUP): those of ``CHANGEABLE`` (cdc/settings/reload.py) may differ."""
        ...

    async def close(self) -> None:
        """Let go of connections. May be called twice."""
        ...
