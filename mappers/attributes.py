"""EAV attributes of an entity type: the tables of their values, and the values as text.

Pure. Attribute ids differ from shop to shop, so attributes are found by code. ``backend_type`` decides the table of the
values, ``frontend_input`` decides their meaning. A store view's label of an option is preferred to the default scope's
label.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from cdc.model import Row, Value
from cdc.protocols import RowReader
from cdc.settings.mapping_columns import AttributeProperty, PropertyType
from mappers.formats import FORMATS
from mappers.text import clean

ADMIN: Final = 0  # store_id of the default scope
JOINT: Final = ";"  # between the labels of a multiselect: what HubSpot's own lists of choices are written with


class Attribute(NamedTuple):
    """A mapped attribute: its id in this shop, the table of its values, and its input in the admin's form."""

    code: str
    id: int
    table: str
    input: str


class Attributes:
    """The mapped attributes of one entity type. Answers are remembered, so make a new object when a
    reference row changes.
    """

    def __init__(
        self, rows: RowReader, entity_type: str, codes: Collection[str], tables: Mapping[str, str], view: Value
    ) -> None:
        """``tables``: backend type → table. ``view``: the store view whose labels are wanted."""
        self._rows = rows
        self._view = view
        self._types = {row["entity_type_id"] for row in rows.find("eav_entity_type", "entity_type_code", entity_type)}
        held = [row for code in sorted(codes) for row in rows.find("eav_attribute", "attribute_code", code)]
        # of every entity type: the type's own row may come after values; ids of other types stand in no value table
        self._mapped = frozenset(row["attribute_id"] for row in held)
        self._known: dict[Value, bool] = {}
        self._labels: dict[tuple[int, str], str] = {}
        self._has_options: dict[int, bool] = {}
        self.by_code: dict[str, Attribute] = {}
        self.by_table: dict[str, dict[Value, str]] = {}
        for row in held:
            self._take(row, tables)

    def _take(self, row: Row, tables: Mapping[str, str]) -> None:
        table, identity, code = tables.get(str(row.get("backend_type"))), row["attribute_id"], row["attribute_code"]
        # An attribute of another entity type, or of a backend without a table.
        if row.get("entity_type_id") in self._types and table and isinstance(identity, int) and isinstance(code, str):
            before = self.by_code.get(code)
            if before is not None:  # not in a sound shop: code and type are unique
                del self.by_table[before.table][before.id]
            self.by_code[code] = Attribute(code, identity, table, str(row.get("frontend_input")))
            self.by_table.setdefault(table, {})[identity] = code

    def needs(self, attribute_id: Value) -> bool:
        """Whether values of this attribute are kept: the mapped attributes, and those that are not known yet."""
        # An attribute that is mapped in any entity type is kept: its own row may come later.
        if attribute_id in self._mapped:
            return True
        # An attribute that is not known yet may turn out to be mapped.
        if attribute_id not in self._known:
            self._known[attribute_id] = self._rows.get("eav_attribute", attribute_id) is not None
        return not self._known[attribute_id]

    def properties(
        self, wanted: Mapping[str, AttributeProperty], values: Mapping[str, Value]
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """The properties made of these values (code → value), and a warning for each value that could not be read.

        An attribute that the shop does not have is left out, so HubSpot's value stays.
        """
        properties: dict[str, str] = {}
        warnings: list[str] = []
        for name, made in wanted.items():
            attribute = self.by_code.get(made.code)
            # Leaving it out keeps what HubSpot has; an empty value would clear it.
            if attribute is None:
                warnings.append(f"property {name} is left out: there is no attribute {made.code!r} with values")
                continue
            try:
                properties[name] = self._text(attribute, values.get(made.code), made.type)
            except ValueError as error:
                properties[name] = ""
                warnings.append(f"property {name} is left empty: attribute {made.code} {error}")
        return properties, tuple(warnings)

    def _text(self, attribute: Attribute, value: Value, kind: PropertyType | None) -> str:
        if value is None:
            return ""
        kind = kind or self._kind(attribute)
        # Numbers of options mean nothing outside of the shop.
        if kind is not PropertyType.OPTION:
            return FORMATS[kind](value, "")
        labels = (self._label(attribute.id, part.strip()) for part in str(value).split(","))
        return JOINT.join(label for label in labels if label)

    def _kind(self, attribute: Attribute) -> PropertyType:
        """The kind of the attribute, by its own definition."""
        match attribute.input:
            case "select" | "multiselect" if self._is_option(attribute.id):
                # A select without stored options has its list in PHP code.
                return PropertyType.OPTION
            case "boolean":
                return PropertyType.BOOL
            case "price":
                return PropertyType.MONEY
            case "datetime":
                return PropertyType.DATETIME
            case "date":
                return PropertyType.DATE
        return PropertyType.NUMBER if attribute.table.endswith("_decimal") else PropertyType.TEXT

    def _is_option(self, attribute_id: int) -> bool:
        """Whether its options are stored. A ``source_model`` lists options in PHP; then the value itself is
        the text.
        """
        if attribute_id not in self._has_options:
            found = self._rows.find("eav_attribute_option", "attribute_id", attribute_id)
            self._has_options[attribute_id] = bool(found)
        return self._has_options[attribute_id]

    def _label(self, attribute_id: int, option: str) -> str:
        """The option's label in the view, else in the default scope; "" for an option that no longer exists."""
        key = attribute_id, option
        if key not in self._labels:
            self._labels[key] = self._read_label(attribute_id, option)
        return self._labels[key]

    def _read_label(self, attribute_id: int, option: str) -> str:
        # Not a number of an option: the value was typed in, or is damaged.
        if not (option.isascii() and option.isdecimal() and len(option) <= 10):
            return ""
        held = self._rows.get("eav_attribute_option", int(option))
        # The option was deleted, or belongs to another attribute.
        if held is None or held.get("attribute_id") != attribute_id:
            return ""
        labels = {
            row.get("store_id"): clean(row.get("value"))
            for row in self._rows.find("eav_attribute_option_value", "option_id", int(option))
        }
        return labels.get(self._view) or labels.get(ADMIN, "")
