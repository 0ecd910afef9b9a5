"""What a race (races.py) should end as: the shop's rows as the server has them, and the objects that they make."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pymysql.connections import Connection

from cdc.model import BulkInvalidation, Kind, Message, ObjectRef, Rendered, Row
from cdc.protocols import RowReader
from tests.kit.replica_harness import NAMESPACE
from tests.kit.servers import Server
from tests.kit.toy import TABLES, ToyMapper

DATABASE: Final = "races"


class RaceMapper(ToyMapper):
    """The toy mapper; an order that comes or goes bears on its items too, as a shop without its keys may keep them."""

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        yield from super().affected(table, before, after, rows)
        if table == "orders":
            for row in (before, after):
                if row is not None:
                    yield BulkInvalidation(Kind.ITEM, "items", "id", "order_id", row["id"])

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        made = super().render(ref, rows)
        if made is None or ref.kind is not Kind.ORDER:
            return made
        # A reference to a customer that is gone is no reference, whatever the shop's keys say.
        return Rendered(made.properties, tuple(one for one in made.references if rows.get("customers", one.id)))


def shop_rows(server: Server) -> dict[str, list[tuple[object, ...]]]:
    """What the server holds in the mapped columns; NULL in a column that it does not have."""
    found = {}
    with contextlib.closing(open_connection(server, DATABASE)) as connection, connection.cursor() as cursor:
        for spec in TABLES:
            cursor.execute(f"SHOW COLUMNS FROM `{spec.name}`")
            there = {str(row[0]) for row in cursor.fetchall()}
            columns = ", ".join(f"`{name}`" if name in there else "NULL" for name in spec.columns)
            cursor.execute(f"SELECT {columns} FROM `{spec.name}`")
            found[spec.name] = sorted(cursor.fetchall())
    return found


class _ShopRows:
    """The shop's rows as renderers read them."""

    def __init__(self, shop: dict[str, list[tuple[object, ...]]]) -> None:
        columns = {spec.name: spec.columns for spec in TABLES}
        self._rows = {
            table: {row[0]: dict(zip(columns[table], row, strict=True)) for row in rows} for table, rows in shop.items()
        }

    def get(self, table: str, *key: object) -> Any:
        return self._rows[table].get(key[0])

    def find(self, table: str, column: str, value: object) -> Sequence[Any]:
        return [row for row in self._rows[table].values() if row[column] == value]

    def reference(self, name: str, make: Any) -> Any:
        return make(self)


def expected_objects(shop: dict[str, list[tuple[object, ...]]]) -> dict[str, object]:
    """What a receiver should hold of this shop: external id → properties and links."""
    mapper, rows = RaceMapper(), _ShopRows(shop)
    refs = [
        ObjectRef(kind, int(str(row[0])))
        for table, kind in (("customers", Kind.CUSTOMER), ("orders", Kind.ORDER), ("items", Kind.ITEM))
        for row in shop[table]
    ]
    made = {ref.external_id(NAMESPACE): mapper.render(ref, rows) for ref in refs}  # type: ignore[arg-type]
    return {
        key: (_filled(one.properties), sorted(ref.external_id(NAMESPACE) for ref in one.references))
        for key, one in made.items()
        if one is not None
    }


def shown(message: Message) -> object:
    """What a receiver holds after this message, as ``expected_objects`` shows it."""
    return _filled(message.properties), sorted(key for keys in message.associations.values() for key in keys)


def _filled(properties: Mapping[str, str]) -> dict[str, str]:
    """An empty property is sent only where it was filled before."""
    return {name: value for name, value in properties.items() if value}


def difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """The first entries that differ, a line each."""
    lines = [
        f"{key}: expected {expected.get(key)}, found {found.get(key)}"
        for key in sorted({*expected, *found})
        if expected.get(key) != found.get(key)
    ]
    return "\n".join(lines[:10])


def open_connection(server: Server, database: str | None = None) -> Connection[Any]:
    """A connection as root, without TLS: a race opens many, and a TLS context takes longer than the rest of it."""
    return server.connect(database=database, ssl_disabled=True)
