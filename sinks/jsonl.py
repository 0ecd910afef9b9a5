"""Writes each message as one line of JSON, appended to a file or to stdout.

The line (a contract): ``object_type``, ``external_id``, ``action``, ``changed_at``, ``properties``, ``associations``
(object type → list of external ids) and ``position``, keys sorted, UTF-8. A batch is accepted once it is on disk. The
part of a batch that failed is cut off again, so a reader sees whole lines only; the batch is sent again.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson

from cdc.errors import CdcError, SinkUnavailableError
from cdc.model import Action, Answer, CheckResult, Message, ObjectType, Outcome, Receipt
from cdc.protocols import NO_NOTES, Requests, SinkTraits
from cdc.settings.sink import SinkSettings

MAX_BATCH = 10_000
"""The most messages in one write, which bounds its memory."""

WRITE = "write"
"""The one family of calls; it has no quota."""

OPTIONAL_REFERENCES: Final = {
    ObjectType.DEAL: frozenset({ObjectType.CONTACT}),
    ObjectType.LINE_ITEM: frozenset({ObjectType.PRODUCT}),
    ObjectType.CART: frozenset({ObjectType.CONTACT, ObjectType.DEAL}),
}
"""A reader of lines can use a message without a reference that never comes; a line item without its deal is useless."""

_TYPES: Final = {object_type: object_type.value for object_type in ObjectType}
_ACTIONS: Final = {action: action.value for action in Action}
"""Looked up for each line: ``Enum.value`` takes three times as long."""

STDOUT = "-"
_OUR_START = b'{"action":"'  # what a line of ours begins with, keys being sorted


def line_of(message: Message) -> bytes:
    """One message as its line, with the line's end."""
    body = {
        "object_type": _TYPES[message.object_type],
        "external_id": message.external_id,
        "action": _ACTIONS[message.action],
        "changed_at": message.changed_at,
        "properties": dict(message.properties),
        "associations": {_TYPES[kind]: ids for kind, ids in message.associations.items()},
        "position": message.position,
    }
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


class JsonlSink:
    """Sink and SinkSetup (cdc/protocols.py) over a file. Accepts everything at once, without any quota."""

    def __init__(self, settings: SinkSettings) -> None:
        """Opens nothing: the file is opened for each batch, so that it may be rotated at any time."""
        self.traits = SinkTraits(
            name="jsonl",
            max_batch=min(MAX_BATCH, settings.max_batch),
            optional_references=OPTIONAL_REFERENCES,
        )
        self._path = settings.path
        # a thread lock: a cancelled send leaves its thread writing, and the next batch must wait for that
        self._writing = threading.Lock()

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """Append one batch and wait until it is on disk. SinkUnavailableError if it cannot be written.

        CdcError, which ends the run, if stdout is a pipe whose reader is gone.
        """
        lines = b"".join(line_of(message) for message in messages)
        if lines:
            async with requests.permit(WRITE):
                await asyncio.to_thread(self._append, lines)
        return Answer(tuple(Receipt(m.external_id, m.changed_at, Outcome.ACCEPTED) for m in messages))

    async def check(self, requests: Requests, notes: Mapping[str, str] = NO_NOTES) -> Sequence[CheckResult]:
        """Whether the file can be opened for appending (it is created if missing)."""
        try:
            await asyncio.to_thread(self._append, b"")
        except SinkUnavailableError as error:
            return [CheckResult("sink", False, error.message, fix=error.hint)]
        return [CheckResult("sink", True, f"{self._shown} can be written")]

    async def push_mapping(self, requests: Requests, *, dry_run: bool) -> Sequence[str]:
        """Nothing: a file needs no preparation."""
        return ["jsonl needs no mapping; nothing to do"]

    async def close(self) -> None:
        """Nothing: no file stays open. May be called twice."""

    @property
    def _shown(self) -> str:
        return "stdout" if self._path == STDOUT else self._path

    def _append(self, lines: bytes) -> None:
        with self._writing:
            try:
                if self._path == STDOUT:
                    _write_all(1, lines)
                    return
                handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
                try:
                    _write_durably(handle, lines)
                finally:
                    os.close(handle)
            except OSError as error:
                if self._path == STDOUT and isinstance(error, BrokenPipeError):
                    # no fault of a sink that may come back: a closed pipe never opens again
                    raise CdcError(
                        "stdout cannot be written: its reader went away",
                        hint="start again with a reader; messages that the reader did not take are sent again then",
                    ) from error
                hint = _hint(self._path)
                raise SinkUnavailableError(f"{self._shown} cannot be written: {error.strerror}", hint=hint) from error


def _hint(path: str) -> str:
    if path == STDOUT:
        return "look at the program that reads stdout"
    return f"look at the disk and the rights of {Path(path).absolute().parent}"


def _write_durably(handle: int, lines: bytes) -> None:
    """Append to an open file and wait for the disk. After a failed write, no half line is left."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        _write_all(handle, lines)  # a pipe or a terminal has no disk to wait for
        return
    _mend_tail(handle)
    size = os.fstat(handle).st_size
    try:
        _write_all(handle, lines)
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def _write_all(handle: int, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _mend_tail(handle: int) -> None:
    """Cut off a last line without its end: a crash cut it, so it was never accepted and will be sent again.

    Only a line that begins like ours is cut; any other line gets its missing end.
    """
    size = os.fstat(handle).st_size
    if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
        return
    start = size
    while start > 0:
        begin = max(0, start - 65536)
        at = os.pread(handle, start - begin, begin).rfind(b"\n")
        start = begin if at < 0 else begin + at + 1
        if at >= 0:
            break
    torn = os.pread(handle, len(_OUR_START), start)
    if _OUR_START.startswith(torn) or torn.startswith(_OUR_START):
        os.ftruncate(handle, start)
    else:
        os.write(handle, b"\n")
