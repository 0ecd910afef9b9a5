"""The optional part of a TABLE_MAP: signs, character sets, names, labels (binlog_row_metadata).

Fields of (1 type, length, value) to the event's end. NO_LOG writes none, MINIMAL signs and character sets, FULL all.
Bit lists start at the highest bit and run over numeric columns only; character sets over character columns only, or in
FULL over ENUM and SET columns. https://dev.mysql.com/doc/dev/mysql-server/latest/ (Table_map_event, optional metadata).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cdc.binlog.rows.headers import cut, lenenc
from cdc.binlog.rows.table_map import ColumnType, Field

_T = ColumnType

NUMERIC: Final = frozenset({
    _T.TINY, _T.SHORT, _T.INT24, _T.LONG, _T.LONGLONG, _T.NEWDECIMAL, _T.FLOAT, _T.DOUBLE, _T.DECIMAL
})  # fmt: skip
CHARACTER: Final = frozenset({
    _T.VARCHAR, _T.VAR_STRING, _T.STRING, _T.BLOB, _T.TINY_BLOB, _T.MEDIUM_BLOB, _T.LONG_BLOB,
    _T.MARIADB_VARCHAR_COMPRESSED, _T.MARIADB_BLOB_COMPRESSED, _T.VECTOR,
})  # fmt: skip
LABELLED: Final = frozenset({_T.ENUM, _T.SET})


@dataclass(slots=True)
class Metadata:
    """What the log says of the columns, by column index. None or a missing key: the log does not say it."""

    names: tuple[str, ...] | None = None
    unsigned: dict[int, bool] = field(default_factory=dict)
    collations: dict[int, int] = field(default_factory=dict)
    labels: dict[int, tuple[bytes, ...]] = field(default_factory=dict)


def read_metadata(raw: bytes, fields: tuple[Field, ...], *, is_mariadb: bool) -> Metadata:
    """Parse the optional metadata of a table with these fields. ValueError or IndexError when it does not fit.

    MariaDB gives GEOMETRY columns a character set, MySQL does not; the lists are counted as the server wrote them.

    Unknown types of fields are skipped: they do not change how a row is read.
    """
    found = Metadata()
    characters = CHARACTER | {_T.GEOMETRY} if is_mariadb else CHARACTER
    labels: dict[ColumnType, Iterator[tuple[bytes, ...]]] = {}
    at = 0
    while at < len(raw):
        kind = raw[at]
        length, at = lenenc(raw, at + 1)
        value = cut(raw, at, length)
        at += length
        if kind == 1:
            signs = _bits(value, _indexes(fields, NUMERIC | {_T.YEAR}))  # YEAR has a bit, which says nothing
            found.unsigned = {index: bit for index, bit in signs.items() if fields[index].type is not _T.YEAR}
        elif kind in (2, 3, 10, 11):
            # 2 and 3 are character columns, 10 and 11 ENUM and SET; each as one default with exceptions, or one
            # by one.
            indexes = _indexes(fields, LABELLED if kind >= 10 else characters)
            read = _default_and_exceptions if kind in (2, 10) else _one_each
            found.collations.update(read(value, indexes))
        elif kind == 4:
            found.names = tuple(text.decode("utf-8") for text in _texts(value))
        elif kind in (5, 6):
            labels[_T.SET if kind == 5 else _T.ENUM] = _label_lists(value)
    # A wrong count shifts all names by one, and every value would land in another column.
    if found.names is not None and len(found.names) != len(fields):
        raise ValueError(f"{len(found.names)} names for {len(fields)} columns")
    for index, column in enumerate(fields):
        lists = labels.get(column.type)
        if lists is not None:
            found.labels[index] = next(lists, ())
    return found


def _indexes(fields: tuple[Field, ...], kinds: frozenset[ColumnType]) -> list[int]:
    return [index for index, column in enumerate(fields) if column.type in kinds]


def _bits(value: bytes, indexes: list[int]) -> dict[int, bool]:
    return {index: bool(value[number // 8] >> (7 - number % 8) & 1) for number, index in enumerate(indexes)}


def _default_and_exceptions(value: bytes, indexes: list[int]) -> dict[int, int]:
    default, at = lenenc(value, 0)
    found = dict.fromkeys(indexes, default)
    while at < len(value):
        number, at = lenenc(value, at)
        collation, at = lenenc(value, at)
        found[indexes[number]] = collation
    return found


def _one_each(value: bytes, indexes: list[int]) -> dict[int, int]:
    found = {}
    at = 0
    for index in indexes:
        found[index], at = lenenc(value, at)
    # Bytes are left over: the list was counted by other rules than ours.
    if at != len(value):
        raise ValueError("more character sets than character columns")
    return found


def _texts(value: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(value):
        length, at = lenenc(value, at)
        yield cut(value, at, length)
        at += length


def _label_lists(value: bytes) -> Iterator[tuple[bytes, ...]]:
    at = 0
    while at < len(value):
        count, at = lenenc(value, at)
        # A count from the log, checked before a loop over it.
        if count > len(value):
            raise ValueError("more labels than their bytes can hold")
        made = []
        for _ in range(count):
            length, at = lenenc(value, at)
            made.append(cut(value, at, length))
            at += length
        yield tuple(made)
