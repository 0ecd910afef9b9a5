"""What the decoding process sends to the daemon: frames of one kind and a length each. Pure, but for the stream itself.

Both ends are the same program of the same version, started by the daemon; nobody else writes into the socket.
"""

from __future__ import annotations

import pickle
import struct
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

from cdc import errors
from cdc.change_codec import PlainChange, changes_of, pack, plain_changes, unpack
from cdc.errors import CdcError
from cdc.model import Change, Position, Transaction

_HEADER: Final = struct.Struct("<IB")

PlainTransaction = tuple[list[PlainChange], tuple[str, int, str, str, int], int, int, int, bytes]
"""Changes, end, commit time, size, count, and all other fields as a pickle (b"": they are empty)."""


class Kind(IntEnum):
    """The kinds of frames."""

    JOB = 1  # to the process: what it is to read
    TRANSACTIONS = 2
    PACK = 3  # some changes of a transaction that is larger than memory; its other fields follow as TRANSACTIONS
    STATE = 4  # the source's state: name, details
    LOG = 5  # a line for the log: level, event, fields
    COUNTS = 6  # the decoder's counters, and when the server was heard last
    ERROR = 7  # the source raised this error, which ends the reading
    END = 8  # the source has no more transactions
    SECRET = 9  # a password that was read again: the daemon's log must never show it


def frame(kind: Kind, body: bytes) -> bytes:
    """A frame as it goes over the socket."""
    return _HEADER.pack(len(body), kind) + body


def read_frame(stream: BinaryIO) -> tuple[Kind, bytes] | None:
    """The next frame; None if the other side has closed, also in the middle of a frame."""
    try:
        header = stream.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return None
        length, kind = _HEADER.unpack(header)
        body = stream.read(length)
    except OSError:  # reset: it ended with bytes of ours unread
        return None
    return (Kind(kind), body) if len(body) == length else None


def pack_object(value: object) -> bytes:
    """Any of our own objects as bytes."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def unpack_object(packed: bytes) -> Any:
    """What ``pack_object`` was given."""
    return pickle.loads(packed)  # noqa: S301  # from our own process


# ------------------------------------------------------------------------------------------------- transactions

_NOTHING: Final = Transaction((), Position("", 0), 0)


def plain_transaction(transaction: Transaction, changes: Sequence[Change] | None = None) -> PlainTransaction:
    """The transaction in a form for ``pack_transactions``. ``changes``: in place of its own."""
    end = transaction.end
    rest = replace(transaction, changes=(), end=_NOTHING.end, commit_ms=0, size=0, count=1)
    return (
        plain_changes(transaction.changes if changes is None else changes),
        (end.file, end.offset, end.gtid, end.server, end.born),
        transaction.commit_ms,
        transaction.size,
        transaction.count,
        b"" if rest == _NOTHING else pack_object(rest),
    )


def pack_transactions(transactions: list[PlainTransaction]) -> bytes:
    """The body of a TRANSACTIONS frame."""
    return pack(transactions)


def unpack_transactions(body: bytes) -> Iterable[Transaction]:
    """The transactions of a TRANSACTIONS frame, one at a time."""
    for changes, end, commit_ms, size, count, rest in unpack(body):
        held, at = changes_of(changes), Position(*end)
        if not rest:
            yield Transaction(held, at, commit_ms, size, count=count)
            continue
        other: Transaction = unpack_object(rest)
        yield replace(other, changes=held, end=at, commit_ms=commit_ms, size=size, count=count)


# ------------------------------------------------------------------------------------------------------- errors


def pack_error(error: Exception) -> bytes:
    """The error's kind, its arguments and its fields. An error that is none of ours becomes a CdcError."""
    if not isinstance(error, CdcError):
        error = _fault_of(error)
    # A kind of a module's own goes as the kind above it, which decides what the daemon does: repair, retry or end.
    name = next(kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    return pack_object((name, error.args, dict(vars(error))))


def _fault_of(error: Exception) -> CdcError:
    """A fault of the program, by kind and place: its text could hold values of rows, or things that cannot be sent."""
    found = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(found[-1].filename).name}:{found[-1].lineno}" if found else ""
    return CdcError(
        f"the decoding process ended with {type(error).__name__}{where}",
        hint="this is a fault of magento-cdc: report it with this line",
    )


def unpack_error(body: bytes) -> CdcError:
    """The error that ``pack_error`` was given, or what it became."""
    name, arguments, fields = unpack_object(body)
    kind = getattr(errors, name)
    error: CdcError = kind.__new__(kind, *arguments)
    error.args = arguments
    vars(error).update(fields)
    return error
