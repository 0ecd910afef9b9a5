"""The mapper of a relay: keeps the rows that the mapping needs, and renders nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, ObjectType, Rendered, Row, RowsUsed, Value
from cdc.protocols import CartRules, Mapper, RowReader


class RowsOnly:
    """A ``Mapper`` that renders no object. The mapping decides which rows are kept, as in ``run``."""

    version = "relay"
    cart_rules: CartRules | None = None

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper
        self.tables = mapper.tables

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        """As the mapping does."""
        return self._mapper.derive(table, row)

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        """As the mapping does."""
        return self._mapper.keep(table, row, rows)

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        """Nothing."""
        return iter(())

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        """Nothing."""
        return None

    def everything(self) -> tuple[BulkInvalidation, ...]:
        """Nothing."""
        return ()

    def rows_used(self, kind: Kind) -> tuple[RowsUsed, ...]:
        """Nothing."""
        return ()

    def placed_ms(self, ref: ObjectRef, rows: RowReader) -> int | None:
        """No object."""
        return None

    def parts(self, ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
        """No object."""
        return ()

    def main_row(self, ref: ObjectRef, rows: RowReader) -> Row | None:
        """No row stands for an object."""
        return None

    def types_affected_by(self, table: str) -> frozenset[ObjectType]:
        """No object."""
        return frozenset()

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        """Nothing."""
        return ()
