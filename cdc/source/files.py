"""Reads binlog files without a server: the demo, a replay, an archive.

Files are read in order of their names' numbers, plain, gzip (``.gz``) or zstd (``.zst``). The log must have been
written with binlog_row_metadata = FULL, unless ``schemas`` can name the columns.
"""

from __future__ import annotations

import glob
import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, cast

import zstandard

from cdc.binlog.assembly import Room
from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import HEADER, HEADER_BYTES, MAGIC, MAGIC_ENCRYPTED
from cdc.binlog.schema.columns import SchemaLookup
from cdc.errors import LogFormatError, PositionLostError, SetupError
from cdc.log_events import get_logger
from cdc.model import LSN_FILE_BITS, Position, Start, StartKind, TableSpec, Transaction

log = get_logger(__name__)

_READ_BYTES: Final = 1 << 20
_PACKED: Final = re.compile(r"\.(gz|zst)$")
_FIRST_OFFSET: Final = len(MAGIC)
_32_BITS: Final = 0xFFFFFFFF
_LAST_NUMBER: Final = (1 << LSN_FILE_BITS) - 2


class FilesSource:
    """Binlog files as a source of transactions. ``files`` are paths or globs; ``room``: see LogDecoder.

    Raises SetupError when no file matches.
    """

    def __init__(
        self,
        files: Sequence[str],
        tables: Sequence[TableSpec],
        *,
        database: str,
        prefix: str = "",
        schemas: SchemaLookup | None = None,
        room: Room | None = None,
    ) -> None:
        self._paths = matching_files(files)
        self._tables = tables
        self._database = database
        self._prefix = prefix
        self._schemas = schemas
        self._room = room
        self._counters: dict[str, int] = {}

    def first_file(self) -> str:
        """The oldest file's name in the log, without folder and compression suffix."""
        return log_name(self._paths[0])

    @property
    def counters(self) -> dict[str, int]:
        """The decoder's counters (``LogDecoder.counters``), of the call of ``transactions`` that read furthest."""
        return self._counters

    def transactions(self, start: Start) -> Iterator[Transaction]:
        """Every transaction from ``start`` on: EARLIEST, or a position in one of the files.

        Blocks on the disk only. Raises PositionLostError when no file has that name, SetupError for a start that files
        cannot give, LogFormatError and UnsupportedEventError for events in the log.
        """
        first, position = self._begin(start)
        decoder = LogDecoder(
            self._tables,
            database=self._database,
            prefix=self._prefix,
            schemas=self._schemas,
            start=position,
            room=self._room,
        )
        for path in self._paths[first:]:
            offset = position.offset if path == self._paths[first] else _FIRST_OFFSET
            yield from self._file(path, decoder, offset)
            self._counters = decoder.counters

    def _begin(self, start: Start) -> tuple[int, Position]:
        # No offset is needed, and the first file has the log's beginning.
        if start.kind is StartKind.EARLIEST:
            return 0, Position(self.first_file(), _FIRST_OFFSET)
        # Files know neither GTIDs nor what is newest.
        if start.kind is not StartKind.FILE_OFFSET or start.position is None:
            raise SetupError(
                f"files cannot be read from {start}", hint="start at earliest or at a position: file:offset"
            )
        names = [log_name(path) for path in self._paths]
        # The file may have been left out of the settings.
        if start.position.file not in names:
            raise PositionLostError(
                f"no file of the {len(names)} given is called {start.position.file}",
                hint="add it to source.files, or start at earliest",
            )
        return names.index(start.position.file), start.position

    def _file(self, path: Path, decoder: LogDecoder, offset: int) -> Iterator[Transaction]:
        name = log_name(path)
        try:
            with _opened(path) as file:
                _check_magic(file.read(len(MAGIC)), path)
                decoder.begin_file(name, offset)
                head = _go_to(file, offset, decoder, path) if offset != _FIRST_OFFSET else b""
                yield from _events(file, decoder, path, head)
        except (OSError, EOFError, zstandard.ZstdError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SetupError(f"{path} cannot be read: {reason}", hint="check the file and its permissions") from error


def matching_files(patterns: Sequence[str]) -> list[Path]:
    """The files that these paths and globs match, by number. SetupError when a pattern matches none, or a name has no
    number.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        paths = [Path(text) for text in glob.glob(pattern)]
        if not paths:
            raise SetupError(f"{pattern!r} names no file", hint="set source.files to binlog files or globs")
        # The index file of the log has no events.
        found.update(dict.fromkeys(path for path in paths if not path.name.endswith(".index")))
    if not found:
        raise SetupError("source.files names no binlog file", hint="set source.files to binlog files or globs")
    return _in_order(found)


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort by the number at the end of the name, which orders the files of a log. SetupError for a name without a
    number.
    """
    numbered: dict[int, Path] = {}
    for path in paths:
        number = log_name(path).rpartition(".")[2]
        # The number orders the files; a wrong one would mix up the log.
        if not number.isascii() or not number.isdecimal() or "." not in log_name(path) or int(number) > _LAST_NUMBER:
            raise SetupError(
                f"{path} does not end in the number of a log file, which tells its position in the log",
                hint="give the file a name as the server does: binlog.000001",
            )
        other = numbered.setdefault(int(number), path)
        # Two copies of one file would apply its changes twice.
        if other != path:
            raise SetupError(
                f"{other} and {path} have the same number, so that nobody can tell which comes first",
                hint="name the files of one log in source.files, each once",
            )
    return [numbered[number] for number in sorted(numbered)]


def log_name(path: Path) -> str:
    """The name that the server gave the file: ``binlog.000001`` for ``backup/binlog.000001.gz``."""
    return _PACKED.sub("", path.name)


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return cast(BinaryIO, zstandard.open(path, "rb"))
    return path.open("rb", buffering=0)


def _check_magic(magic: bytes, path: Path) -> None:
    # Only the server has the key.
    if magic == MAGIC_ENCRYPTED:
        raise LogFormatError(f"{path} is encrypted", hint="read it through the server (source.kind = binlog)")
    if magic != MAGIC:
        raise LogFormatError(f"{path} is no binlog file", hint="binlog files begin with the bytes FE 62 69 6E")


def _read_exactly(file: BinaryIO, count: int, path: Path) -> bytes:
    pieces = []
    while count > 0:
        piece = file.read(count)
        # The position lies beyond the end.
        if not piece:
            raise LogFormatError(
                f"{path} ends before the position to start at", hint="start at a position inside the file"
            )
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _read_format(file: BinaryIO, decoder: LogDecoder, path: Path) -> int:
    """Feed the file's first event, which says how to read the other events. Returns the bytes read."""
    head = _read_exactly(file, HEADER_BYTES, path)
    length = int.from_bytes(head[9:13], "little")
    # The first event says how to read all others.
    if not HEADER_BYTES < length <= _READ_BYTES:
        raise LogFormatError(f"{path} does not begin with a format description")
    decoder.read_format(memoryview(head + _read_exactly(file, length - HEADER_BYTES, path)))
    return length


def _go_to(file: BinaryIO, offset: int, decoder: LogDecoder, path: Path) -> bytes:
    """Skip the bytes before ``offset``. Returns the header of the event at ``offset`` (b"" at the file's end).

    The header must state where its event ends: bytes in the middle of an event may look like a header.
    """
    skip = offset - _FIRST_OFFSET - _read_format(file, decoder, path)
    while skip > 0:
        skip -= len(_read_exactly(file, min(skip, _READ_BYTES), path))
    head = file.read(HEADER_BYTES)
    says = HEADER.unpack(head) if len(head) == HEADER_BYTES else None
    # Bytes inside an event may look like a header; the end position tells.
    if skip < 0 or (says is not None and says[4] != (offset + says[3]) & _32_BITS):
        raise LogFormatError(
            "no event begins", position=f"{log_name(path)}:{offset}", hint="start at the beginning of a transaction"
        )
    return head


def _events(file: BinaryIO, decoder: LogDecoder, path: Path, head: bytes) -> Iterator[Transaction]:
    """Read on in large pieces into one buffer, which grows only for an event that does not fit. ``head``: bytes already
    read.
    """
    buffer = bytearray(2 * _READ_BYTES)
    held = len(head)
    buffer[:held] = head
    while True:
        # An event larger than the buffer: twice the room.
        if held == len(buffer):
            buffer += bytes(len(buffer))
        view = memoryview(buffer)
        got = file.readinto(view[held:])  # type: ignore[attr-defined]  # every file we open has it
        if not got:
            view.release()
            break
        held += got
        at = 0
        while True:
            done, used = decoder.feed_file(view[at:], held - at)
            yield from done
            at += used
            # Nothing more is whole in the buffer.
            if not used or at == held:
                break
        buffer[: held - at] = buffer[at:held]
        held -= at
        view.release()
    # A file that is still written, or was cut off.
    if held:
        raise LogFormatError(
            f"{path} ends inside an event", position=str(decoder.reading), hint="the file is cut off; copy it again"
        )


def without_repairs(transactions: Iterator[Transaction]) -> Iterator[Transaction]:
    """Read on without a server that could show how a definition changed rows (files): log it and go on."""
    has_said_keys = False
    for transaction in transactions:
        for stale_table in transaction.stale:
            log.warning(
                "table_not_read_again",
                table=stale_table.table,
                reason=stale_table.reason,
                position=str(transaction.end),
            )
        if transaction.keys_of and not has_said_keys:  # files of a shop's first day have a CREATE TABLE for each table
            has_said_keys = True
            log.warning(
                "foreign_keys_not_followed",
                tables=transaction.keys_of,
                position=str(transaction.end),
                reason="files do not tell foreign keys: Magento's own are followed, here and for all tables behind",
            )
        yield replace(transaction, stale=()) if transaction.stale else transaction
