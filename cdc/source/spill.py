"""A nameless file in the state folder for the changes of a transaction that is too large for memory.

The file disappears with the process, so kill -9 leaves nothing to clean up: the transaction is read again.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast, overload

from cdc.binlog.assembly import Overflow, Room
from cdc.change_codec import pack_changes, unpack_changes
from cdc.errors import StateError
from cdc.model import Change


def room_in(folder: Path, megabytes: int) -> Room:
    """Let a transaction's changes take ``megabytes`` of memory, and put further changes into files in ``folder``."""
    return Room(megabytes << 20, partial(SpillFile, folder))


class SpillFile(Overflow):
    """Packs of changes (``change_codec``), one behind the other, read back one pack at a time.

    Written by the thread that reads the log, then read by the thread that applies. The constructor and the methods
    raise StateError when the folder's disk is full or gone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._file = cast(BinaryIO, tempfile.TemporaryFile(dir=folder, buffering=0))  # noqa: SIM115  # see below
        except OSError as error:
            raise self._fault(error) from error
        weakref.finalize(self, self._file.close)
        self._packs: list[tuple[int, int]] = []  # offset, length
        self._firsts: list[int] = []  # number of the pack's first change
        self._packed = 0
        self._rest: Sequence[Change] = ()

    def add(self, changes: Sequence[Change]) -> None:
        """See Overflow."""
        # No empty packs.
        if not changes:
            return
        packed = pack_changes(changes)
        offset = sum(self._packs[-1]) if self._packs else 0
        view, at = memoryview(packed), offset
        try:
            while view:
                written = os.pwrite(self._file.fileno(), view, at)
                view, at = view[written:], at + written
        except OSError as error:
            raise self._fault(error) from error
        self._packs.append((offset, len(packed)))
        self._firsts.append(self._packed)
        self._packed += len(changes)

    def cut(self, length: int) -> None:
        """See Overflow."""
        if length < self._packed:
            keep = bisect_left(self._firsts, length)
            del self._packs[keep:], self._firsts[keep:]
            self._packed = length

    def finish(self, rest: Sequence[Change]) -> None:
        """See Overflow."""
        self._rest = rest

    def __len__(self) -> int:
        return self._packed + len(self._rest)

    def __iter__(self) -> Iterator[Change]:
        for number in range(len(self._packs)):
            yield from self._pack(number)
        yield from self._rest

    @overload
    def __getitem__(self, index: int) -> Change: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...

    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        if at >= self._packed:
            return self._rest[at - self._packed]
        number = bisect_right(self._firsts, at) - 1
        return next(islice(self._pack(number), at - self._firsts[number], None))

    def _pack(self, number: int) -> list[Change]:
        offset, length = self._packs[number]
        try:
            pieces = []
            while length:
                pieces.append(os.pread(self._file.fileno(), length, offset))
                if not pieces[-1]:
                    raise StateError("a file of spilled changes is cut short", hint="was the disk taken away?")
                length -= len(pieces[-1])
                offset += len(pieces[-1])
        except OSError as error:
            raise self._fault(error) from error
        beyond = self._firsts[number + 1] if number + 1 < len(self._firsts) else self._packed
        return unpack_changes(b"".join(pieces))[: beyond - self._firsts[number]]

    def _fault(self, error: OSError) -> StateError:
        return StateError(
            f"a large transaction cannot be kept in {self._folder}: {error.strerror}",
            hint="free some disk space there (state.dir); nothing is lost",
        )
