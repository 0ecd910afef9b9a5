"""One transaction as apply sees it, and what its changes bear on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cdc.model import BulkInvalidation, ObjectRef
from cdc.replica.rows import Stored


@dataclass(frozen=True, slots=True)
class When:
    """One transaction as apply sees it: its LSN, whether it was applied before (a replay), its commit time."""

    lsn: int
    replayed: bool
    commit_ms: int

    @property
    def row_lsn(self) -> int:
        """What rows carry that this pass puts. A replay's are one less, which is no other transaction's LSN: so the
        rest of the transaction applies to them, and not to rows that hold all of it since the first time.
        """
        return self.lsn - self.replayed

    def is_in(self, held: Stored | None) -> bool:
        """Whether the row held already contains what this transaction did to it."""
        if held is None or held[-1] < self.lsn:
            return False
        return self.replayed or bool(held[-1] > self.lsn)


class AffectedObjects:
    """The objects and bulk invalidations that changes affect, in the order met, with their newest commit time.

    ``on_full`` is called with ``self`` when there are ``most`` of them, and takes them: memory stays flat however much
    a transaction affects.
    """

    def __init__(self, most: int = 0, on_full: Callable[[AffectedObjects], None] | None = None) -> None:
        self.objects: dict[ObjectRef, int] = {}
        self.invalidations: dict[BulkInvalidation, None] = {}
        self._most = most
        self._on_full = on_full

    def add(self, affected: Iterable[ObjectRef | BulkInvalidation], commit_ms: int) -> None:
        """Note them; a later commit time wins."""
        for item in affected:
            if isinstance(item, ObjectRef):
                self.objects[item] = max(commit_ms, self.objects.get(item, 0))
            else:
                self.invalidations[item] = None
        if self._on_full is not None and len(self.objects) + len(self.invalidations) >= self._most:
            self._on_full(self)
            self.clear()

    def clear(self) -> None:
        """They are taken care of."""
        self.objects.clear()
        self.invalidations.clear()
