"""Properties that are each made from one column, by one conversion. Pure.

The list of a kind's plain properties is made once. So rendering an object looks up its columns, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cdc.model import Row, Value
from mappers.currency import BASE

Conversion = Callable[[Value], str]
"""A column's value as a property's text. It must give "" for NULL, which ``PlainColumns`` does not ask it for."""


class PlainColumns:
    """Properties with their column and their conversion, in the shop's order currency and in its base currency."""

    def __init__(self, properties: Mapping[str, tuple[str, Conversion]]) -> None:
        """``properties``: name → (column, conversion). Amounts name the columns of the order's currency."""
        self.properties = properties
        self._asked = tuple((name, column, convert) for name, (column, convert) in properties.items())
        self._asked_in_base = tuple((name, BASE.get(column, column), convert) for name, column, convert in self._asked)

    def of(self, row: Row, *, in_base: bool = False) -> dict[str, str]:
        """The properties of this row. ``in_base``: amounts come from the columns in the website's base currency.

        A column that is missing counts as NULL. Raises what a conversion raises.
        """
        column_of = row.get
        # Many columns are NULL in nearly every row, and a NULL needs no conversion.
        return {
            name: "" if (value := column_of(column)) is None else convert(value)
            for name, column, convert in (self._asked_in_base if in_base else self._asked)
        }
