"""One transaction as ``apply`` sees it, and the objects that its changes affect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cdc.model import BulkInvalidation, ObjectRef
from cdc.replica.rows import Stored


@dataclass(frozen=True, slots=True)
class When:
    """One transaction as ``apply`` sees it: its LSN, whether it was applied before (a replay), its commit time."""

    lsn: int
    replayed: bool
    commit_ms: int

    @property
    def row_lsn(self) -> int:
        """The LSN of rows that this pass writes.

        In a replay it is one less than the transaction's LSN, which is no other transaction's LSN. So the rest of the
        transaction applies to these rows, and not to rows that have had all of it since the first pass.
        """
        return self.lsn - self.replayed

    def is_in(self, held: Stored | None) -> bool:
        """Whether the replica's row already contains this transaction's changes to it."""
        if held is None or held[-1] < self.lsn:
            return False
        return self.replayed or bool(held[-1] > self.lsn)


class AffectedObjects:
    """The objects and bulk invalidations that changes affect, in order, with their newest commit time.

    When there are ``most`` of them, ``on_full`` is called with ``self`` and takes them. So memory stays flat, however
    many objects a transaction affects.
    """

    def __init__(self, most: int = 0, on_full: Callable[[AffectedObjects], None] | None = None) -> None:
        self.objects: dict[ObjectRef, int] = {}
        self.invalidations: dict[BulkInvalidation, None] = {}
        self._most = most
        self._on_full = on_full

    def add(self, affected: Iterable[ObjectRef | BulkInvalidation], commit_ms: int) -> None:
        """Note the objects and bulk invalidations. A later commit time wins."""
        for item in affected:
            if isinstance(item, ObjectRef):
                self.objects[item] = max(commit_ms, self.objects.get(item, 0))
            else:
                self.invalidations[item] = None
        if self._on_full is not None and len(self.objects) + len(self.invalidations) >= self._most:
            self._on_full(self)
            self.clear()

    def clear(self) -> None:
        """Forget them: they were taken."""
        self.objects.clear()
        self.invalidations.clear()
