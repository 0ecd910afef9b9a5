"""What a run works with, whatever its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from cdc.engine.engine import Engine
from cdc.model import ForeignKey, Position, Transaction
from cdc.snapshot.reader import RowLoader
from cdc.source.unlogged import UnloggedWatch

OnState = Callable[[str, Mapping[str, object]], None]


@dataclass
class Components:
    """What a run works with. ``loader`` reads rows from the server; None when there is none."""

    engine: Engine
    keys: Sequence[ForeignKey]
    read: Callable[[], Iterator[Transaction]]
    close_source: Callable[[], None]
    end: Callable[[], Position | None]
    loader: RowLoader | None
    counters: Callable[[], Mapping[str, int]]
    unlogged: UnloggedWatch | None = None
    """Looks for rows that are missing from the log; None where there is no server."""
    heard_s: Callable[[], float] = monotonic
    """When the source last gave a sign of life, in monotonic seconds; files are always there."""
    reasons: Callable[[], Sequence[str]] = tuple
    """What somebody should look at though it works, a sentence each: for ``/ready``."""
