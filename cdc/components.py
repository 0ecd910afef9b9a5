"""The objects that a run works with, whatever its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from cdc.engine.engine import Engine
from cdc.model import ForeignKey, Position, Transaction
from cdc.snapshot.reader import RowLoader
from cdc.snapshot.replica_reader import ReplicaReader
from cdc.source.unlogged import UnloggedWatch


@dataclass
class Components:
    """The objects of one run. ``loader`` reads rows from the server; None if there is no server."""

    engine: Engine
    keys: Sequence[ForeignKey]
    read: Callable[[], Iterator[Transaction]]
    close_source: Callable[[], None]
    end: Callable[[], Position | None]
    loader: RowLoader | None
    counters: Callable[[], Mapping[str, int]]
    tables: ReplicaReader | None = None
    """Reads whole tables in place of ``loader``; None if the settings name no replica."""
    unlogged: UnloggedWatch | None = None
    """Looks for rows that are missing from the log; None if there is no server."""
    heard_s: Callable[[], float] = monotonic
    """When the source last gave a sign of life, in monotonic seconds; files always count as alive."""
    shop_ms: Callable[[], int] = int
    """The time in the shop by its server, epoch milliseconds; 0 where no server can say it."""
    reasons: Callable[[], Sequence[str]] = tuple
    """Warnings for ``/ready``, a sentence each: the run works, and somebody should look."""
