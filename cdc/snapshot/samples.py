"""Reads sample rows with the position in the log at which they were so; ``cdc/source/unlogged.py`` compares them."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.model import Cells, FetchByKey, Position
from cdc.snapshot.reader import RowLoader


class RowSamples:
    """Reads samples with a row loader of its own; used by one thread."""

    def __init__(self, loader: RowLoader) -> None:
        self._loader = loader

    def read(self, fetches: Sequence[FetchByKey]) -> tuple[Sequence[tuple[str, Sequence[Cells]]], Position]:
        """The rows with these keys, and the snapshot's own position, or the end of the log after it.

        Raises SourceDisconnectedError, SetupError.
        """
        read, snapshot = self._loader.by_key(fetches)
        return read, snapshot.safe if snapshot.exact else self._loader.position()

    def close(self) -> None:
        """Close the connection. May be called twice."""
        self._loader.close()
