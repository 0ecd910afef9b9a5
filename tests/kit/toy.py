"""A three-table shop and its mapper: small enough that tests of the replica read like a story."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cdc.engine.engine import Engine
from cdc.errors import RenderError
from cdc.model import (
    BulkInvalidation,
    Change,
    DeleteRule,
    FetchByKey,
    ForeignKey,
    Kind,
    ObjectRef,
    ObjectType,
    Op,
    Position,
    Rendered,
    Row,
    RowsUsed,
    TableSpec,
    Transaction,
    Value,
)
from cdc.protocols import CartRules, RowReader
from cdc.replica.load_state import Phase

CUSTOMERS = TableSpec("customers", ("id",), ("id", "email", "grp"))
GROUPS = TableSpec("groups", ("id",), ("id", "code"), reference=True)
ORDERS = TableSpec("orders", ("id",), ("id", "customer_id", "total"), indexes=(("customer_id",),))
ITEMS = TableSpec("items", ("id",), ("id", "order_id", "sku"), indexes=(("order_id",),))
TABLES = (GROUPS, CUSTOMERS, ORDERS, ITEMS)
KEYS = (
    ForeignKey("orders", "customer_id", "customers", "id", DeleteRule.SET_NULL),
    ForeignKey("items", "order_id", "orders", "id", DeleteRule.CASCADE),
)


class ToyMapper:
    """Customers, orders and items; an order whose total is ``bad`` cannot be rendered."""

    tables: tuple[TableSpec, ...] = TABLES
    version = "toy-1"
    cart_rules: CartRules | None = None

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        return {}

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        return True

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        for row in (before, after):
            if row is None:
                continue
            if table == "customers":
                yield ObjectRef(Kind.CUSTOMER, int(row["id"]))  # type: ignore[arg-type]
            elif table == "groups":
                yield BulkInvalidation(Kind.CUSTOMER, "customers", "id", "grp", row["id"])
            elif table == "orders":
                yield ObjectRef(Kind.ORDER, int(row["id"]))  # type: ignore[arg-type]
            else:
                yield ObjectRef(Kind.ITEM, int(row["id"]))  # type: ignore[arg-type]
                if "order_id" in row:  # a before-image of the log may hold no more than the key
                    yield ObjectRef(Kind.ORDER, int(row["order_id"]))  # type: ignore[arg-type]

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        if ref.kind is Kind.CUSTOMER:
            row = rows.get("customers", ref.id)
            if row is None:
                return None
            number = row["grp"]
            group = rows.reference(f"group-{number!r}", lambda r: r.get("groups", number))
            return Rendered({"email": str(row["email"] or ""), "group": str(group["code"]) if group else ""})
        if ref.kind is Kind.ORDER:
            row = rows.get("orders", ref.id)
            if row is None:
                return None
            if row["total"] == "bad":
                raise RenderError("the total is no number")
            links = (ObjectRef(Kind.CUSTOMER, int(row["customer_id"])),) if row["customer_id"] is not None else ()
            items = rows.find("items", "order_id", ref.id)
            return Rendered({"total": str(row["total"]), "items": str(len(items))}, links)
        row = rows.get("items", ref.id)
        if row is None or rows.get("orders", row["order_id"]) is None:
            return None
        return Rendered({"sku": str(row["sku"])}, (ObjectRef(Kind.ORDER, int(row["order_id"])),))  # type: ignore[arg-type]

    def everything(self) -> tuple[BulkInvalidation, ...]:
        return (
            BulkInvalidation(Kind.CUSTOMER, "customers", "id"),
            BulkInvalidation(Kind.ORDER, "orders", "id"),
            BulkInvalidation(Kind.ITEM, "items", "id"),
        )

    def rows_used(self, kind: Kind) -> tuple[RowsUsed, ...]:
        return {
            Kind.CUSTOMER: (RowsUsed("customers", "id"),),
            Kind.ORDER: (RowsUsed("orders", "id"), RowsUsed("items", "order_id")),
            Kind.ITEM: (RowsUsed("items", "id"), RowsUsed("orders", "id", ("items", "order_id"))),
        }.get(kind, ())

    def placed_ms(self, ref: ObjectRef, rows: RowReader) -> int | None:
        """Nothing has a place in time."""
        return None

    def parts(self, ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
        """Nothing has parts."""
        return ()

    def main_row(self, ref: ObjectRef, rows: RowReader) -> Row | None:
        """No row stands for an object."""
        return None

    def types_affected_by(self, table: str) -> frozenset[ObjectType]:
        """Not known."""
        return frozenset()

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        if ref.kind is Kind.CUSTOMER:
            return (FetchByKey("customers", "id", ref.id),)
        if ref.kind is Kind.ORDER:
            return (FetchByKey("orders", "id", ref.id), FetchByKey("items", "order_id", ref.id))
        return (FetchByKey("items", "id", ref.id),)


class FixedClock:
    """A clock that stands where it was set."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


def position(offset: int, number: int = 1) -> Position:
    """A position in the toy log."""
    return Position(f"binlog.{number:06d}", offset)


def transaction(offset: int, *changes: Change, commit_ms: int = 0, number: int = 1) -> Transaction:
    """A transaction that ends at ``offset``."""
    return Transaction(changes, position(offset, number), commit_ms or 1_600_000_000_000 + offset)


def insert(table: str, *cells: Value) -> Change:
    """A row comes."""
    return Change(table, Op.INSERT, None, cells)


def update(table: str, before: tuple[Value, ...], after: tuple[Value, ...]) -> Change:
    """A row changes."""
    return Change(table, Op.UPDATE, before, after)


def delete(table: str, *cells: Value, cascades: bool = True) -> Change:
    """A row goes."""
    return Change(table, Op.DELETE, cells, None, cascades)


def toy_engine(folder: Path, *, phase: Phase = Phase.COMPLETE, clock: FixedClock | None = None) -> Engine:
    """An engine of the toy shop, begun at offset 4."""
    engine = Engine(folder, ToyMapper(), KEYS, clock or FixedClock())
    if engine.positions.position is None:
        with engine.store.transaction():
            engine.moves.begin(position(4), phase)
            engine.renderer.minimum_changed_at = 0
    return engine


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """All rows without their LSNs."""
    return {
        spec.name: sorted(stored[:-1] for stored in engine.rows.tables[spec.name].every()) for spec in engine.tables
    }


def outbox_rows(engine: Engine) -> dict[str, tuple[str, str, int]]:
    """The outbox: object → action, properties, changed_at."""
    rows = engine.store.db.execute("SELECT kind, id, action, properties, changed_at FROM outbox ORDER BY seq")
    return {f"{kind}-{key}": (action, properties, at) for kind, key, action, properties, at in rows}
