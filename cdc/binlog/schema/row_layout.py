"""The row layout of a mapped table: which columns are wanted, where they are in a row, and how to read them.

A row layout is made once for each distinct TABLE_MAP event, and kept under that event's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cdc.binlog.rows.metadata import Metadata
from cdc.binlog.rows.table_map import ColumnType, Field, TableMap
from cdc.binlog.schema.agreement import disagreement, labels_in, sign_in
from cdc.binlog.schema.columns import Column
from cdc.binlog.schema.undocumented import OLD_TIMES, decoder_by_schema, with_decimals
from cdc.binlog.values.charsets import BINARY, charset_of, text_decoder
from cdc.binlog.values.decode import Codec, Layout, Traits, codec_of, layout_of
from cdc.errors import UnsupportedEventError
from cdc.model import TableSpec

_ADVICE_METADATA = "SET GLOBAL binlog_row_metadata = 'FULL' on the server, and begin with transactions after it"
_ADVICE_SCHEMA = f"the table has changed since these rows were written: {_ADVICE_METADATA}, or import afresh"


@dataclass(frozen=True, slots=True, eq=False)
class RowLayout:
    """What row decoding needs to know of a table.

    ``cells[i]``: the column index in the log of the table's i-th mapped column; None when the table does not have that
    column. ``codecs``: by column index in the log, for wanted columns only. The first ``key_width`` cells are the
    mapped key. ``documents``: all columns of type JSON, wanted or not.
    """

    table: str
    layouts: tuple[Layout, ...]
    cells: tuple[int | None, ...]
    codecs: dict[int, Codec]
    key_width: int = 1
    documents: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many columns the log has."""
        return len(self.layouts)

    @property
    def bitmap_bytes(self) -> int:
        """Bytes of a bitmap over all columns."""
        return (self.count + 7) // 8


def make_row_layout(
    found: TableMap,
    metadata: Metadata,
    spec: TableSpec,
    columns: Sequence[Column] | None,
    *,
    is_mariadb: bool = False,
) -> RowLayout:
    """Join a table map with the table's mapped columns.

    ``columns`` gives the table's schema. It is needed where the log has no names, and for traits that no log has
    (undocumented.py). Raises UnsupportedEventError when there are no names, or when log and schema do not agree;
    ValueError for a table map that makes no sense.
    """
    names = metadata.names
    # binlog_row_metadata is not FULL: names come from a schema, if it fits.
    if names is None:
        names = _names_of_schema(found, metadata, columns)
    held = {column.name.lower(): column for column in columns or ()}
    # Only MariaDB has types whose widths the log does not hold.
    if is_mariadb:
        found = _with_widths(found, names, held)
    indexes = {name.lower(): index for index, name in enumerate(names)}
    cells = tuple(indexes.get(name.lower()) for name in spec.columns)
    codecs = {}
    for index in cells:
        # The table does not have this mapped column (any more).
        if index is not None:
            column = held.get(names[index].lower())
            decode = decoder_by_schema(found.fields[index], column)
            if metadata.names is not None:
                column = None  # the log says the rest, and says what held when the rows were written
            codecs[index] = Codec(decode) if decode else _codec(found, names[index], index, metadata, column)
    layouts = tuple(layout_of(field) for field in found.fields)
    documents = tuple(index for index, field in enumerate(found.fields) if field.type is ColumnType.JSON)
    return RowLayout(spec.name, layouts, cells, codecs, len(spec.key), documents)


def _with_widths(found: TableMap, names: Sequence[str], held: Mapping[str, Column]) -> TableMap:
    # Nothing to do for almost every table, and no copy.
    if not any(field.type in OLD_TIMES for field in found.fields):
        return found
    fields = list(found.fields)
    for index, field in enumerate(fields):
        if field.type in OLD_TIMES:
            try:
                fields[index] = with_decimals(field, held.get(names[index].lower()))
            except ValueError as error:
                raise UnsupportedEventError(
                    f"column {names[index]} of {found.database}.{found.table} cannot be read: {error}",
                    hint=f"ALTER TABLE {found.table} FORCE on the server gives it the form of today",
                ) from error
    return replace(found, fields=tuple(fields))


def _names_of_schema(found: TableMap, metadata: Metadata, columns: Sequence[Column] | None) -> tuple[str, ...]:
    if columns is None:
        raise UnsupportedEventError(
            f"the log does not name the columns of {found.database}.{found.table}, and there is no schema to name them",
            hint=_ADVICE_METADATA,
        )
    # One difference is enough: with names from another time values would land in the wrong columns.
    difference = disagreement(found.fields, metadata, columns)
    if difference:
        raise UnsupportedEventError(
            f"the log and the schema of {found.database}.{found.table} do not agree: {difference}", hint=_ADVICE_SCHEMA
        )
    return tuple(column.name for column in columns)


def _codec(found: TableMap, name: str, index: int, metadata: Metadata, column: Column | None) -> Codec:
    field = found.fields[index]
    try:
        return codec_of(field, _traits(field, index, metadata, column))
    except ValueError as error:
        raise UnsupportedEventError(
            f"column {name} of {found.database}.{found.table} cannot be read: {error}", hint=_ADVICE_METADATA
        ) from error


def _traits(field: Field, index: int, metadata: Metadata, column: Column | None) -> Traits:
    unsigned = metadata.unsigned.get(index)
    # The log does not say the sign (MINIMAL metadata of old servers), so the schema does.
    if unsigned is None:
        unsigned = column is not None and sign_in(column)
    collation = metadata.collations.get(index)
    charset = charset_of(collation) if collation is not None else None
    # A collation newer than our table, and no schema that names its character set.
    if collation is not None and charset is None and (column is None or column.charset is None):
        raise ValueError(f"its collation has number {collation}, which is not known")
    if charset is None and column is not None:
        charset = column.charset
    return Traits(unsigned, charset, _labels(field, index, metadata, column, charset))


def _labels(
    field: Field, index: int, metadata: Metadata, column: Column | None, charset: str | None
) -> tuple[str, ...]:
    if field.type not in (ColumnType.ENUM, ColumnType.SET):
        return ()
    held = metadata.labels.get(index)
    if held is None:
        # The log does not hold labels unless binlog_row_metadata is FULL.
        return labels_in(column) if column is not None else ()
    decode = text_decoder(charset if charset and charset != BINARY else "latin1")
    if decode is None:
        raise ValueError(f"the character set {charset}")
    return tuple(decode(label) for label in held)
