"""The end state is a function of the shop alone: any grouping, any crash, any chunk timing gives the same replica."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.engine.engine import Engine
from cdc.model import Cells, Change, Transaction
from cdc.replica.load_state import Phase
from tests.kit.example_count import example_count
from tests.kit.toy import KEYS, TABLES, contents, delete, insert, position, toy_engine, transaction, update

Rows = dict[str, dict[int, tuple[Any, ...]]]


@dataclass
class Shop:
    """A database with InnoDB's silent cascades, and its log; ``seen[i]`` is its content after i transactions."""

    rows: Rows = field(default_factory=lambda: {spec.name: {} for spec in TABLES})
    log: list[Transaction] = field(default_factory=list)
    seen: list[Rows] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._remember()

    def _remember(self) -> None:
        self.seen.append({table: dict(rows) for table, rows in self.rows.items()})

    def commit(self, ops: list[tuple[str, str, int, int, int]]) -> None:
        """Play one transaction; ops that make no sense now are left out."""
        changes = [change for op in ops if (change := self._play(*op)) is not None]
        if changes:
            self.log.append(transaction(100 * (len(self.log) + 1), *changes))
            self._remember()

    def _play(self, verb: str, table: str, key: int, other: int, value: int) -> Change | None:
        rows = self.rows[table]
        cells = {"customers": (key, f"c{value}@example.com", other), "groups": (key, f"g{value}"),
                 "orders": (key, other if other in self.rows["customers"] else None, str(value)),
                 "items": (key, other, f"s{value}")}[table]  # fmt: skip
        if table == "items" and other not in self.rows["orders"]:
            return None
        if verb == "put":
            before = rows.get(key)
            if before == cells:
                return None
            rows[key] = cells
            return insert(table, *cells) if before is None else update(table, before, cells)
        if key not in rows:
            return None
        before = rows.pop(key)
        if verb == "move" and table == "items" and value + 10 not in rows:
            after = (value + 10, *before[1:])
            rows[value + 10] = after
            return update(table, before, after)
        self._cascade(table, key)
        return delete(table, *before)

    def _cascade(self, table: str, key: int) -> None:
        if table == "orders":
            self.rows["items"] = {k: r for k, r in self.rows["items"].items() if r[1] != key}
        if table == "customers":
            orders = self.rows["orders"]
            self.rows["orders"] = {k: (r[0], None, r[2]) if r[1] == key else r for k, r in orders.items()}


small = st.integers(1, 4)
op = st.tuples(
    st.sampled_from(["put", "put", "put", "delete", "move"]),
    st.sampled_from([spec.name for spec in TABLES]),
    small, small, st.integers(1, 3),
)  # fmt: skip
history = st.lists(st.lists(op, min_size=1, max_size=4), min_size=1, max_size=12)


def expected(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(rows.values()) for table, rows in shop.seen[-1].items()}


def shop_of(transactions: list[list[tuple[str, str, int, int, int]]]) -> Shop:
    shop = Shop()
    for ops in transactions:
        shop.commit(ops)
    return shop


def apply_all(engine: Engine, log: list[Transaction], cuts: list[int]) -> None:
    """Apply the log in groups of the given sizes (again and again)."""
    at, turn = 0, 0
    while at < len(log):
        size = cuts[turn % len(cuts)]
        with engine.store.transaction():
            engine.apply_group(log[at : at + size])
        at, turn = at + size, turn + 1


@given(history, st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 12))
@settings(max_examples=example_count(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_grouping_and_any_replay_ends_the_same(
    transactions: list[list[tuple[str, str, int, int, int]]], cuts: list[int], replay_from: int
) -> None:
    """Cut the log into any groups, go back to any place and read on: the replica is the database."""
    shop = shop_of(transactions)
    with tempfile.TemporaryDirectory() as folder:
        engine = toy_engine(Path(folder))
        apply_all(engine, shop.log, cuts)
        back = min(replay_from, len(shop.log))
        if shop.log:
            with engine.store.transaction():
                engine.moves.rewind(shop.log[back - 1].end if back else position(4))
            apply_all(engine, shop.log[back:], cuts)

        assert contents(engine) == expected(shop)
        engine.close()


@given(history, st.data())
@settings(max_examples=example_count(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_chunks_read_at_any_moment_end_the_same(
    transactions: list[list[tuple[str, str, int, int, int]]], data: st.DataObject
) -> None:
    """A load loses nothing whose chunks show any moment after their safe position, at whatever pace the log is applied.

    The log may be ahead of what a SELECT shows (it is written before InnoDB shows a commit) and the stream anywhere
    between; only the safe position is known to be contained.
    """
    shop = shop_of(transactions)
    if not shop.log:
        return
    ends = [position(4), *(t.end for t in shop.log)]
    with tempfile.TemporaryDirectory() as folder:
        engine = toy_engine(Path(folder), phase=Phase.LOADING_REFERENCES)
        start = data.draw(st.integers(0, len(shop.log)), label="stream starts at")
        with engine.store.transaction():
            engine.moves.rewind(ends[start])
        applied, shown = start, start
        chunks: list[tuple[str, list[int]]] = [
            (spec.name, keys) for spec in TABLES for keys in ([1, 2], [3, 4, 11, 12, 13])
        ]
        for table, keys in chunks:
            shown = data.draw(st.integers(shown, len(shop.log)), label="SELECT shows")
            safe = data.draw(st.integers(start, shown), label="safe position")
            applied = data.draw(st.integers(applied, len(shop.log)), label="stream applied")
            _stream(engine, shop, applied)
            rows: list[Cells] = [shop.seen[shown][table][k] for k in keys if k in shop.seen[shown][table]]
            with engine.store.transaction():
                engine.ingest.load_chunk(table, rows, ends[safe], None, done=keys[0] == 3)
        _stream(engine, shop, len(shop.log))

        assert contents(engine) == expected(shop)
        engine.close()


def _stream(engine: Engine, shop: Shop, until: int) -> None:
    """Apply the log up to ``until`` transactions."""
    assert engine.positions.position is not None
    ready = [t for t in shop.log[:until] if t.end.offset > engine.positions.position.offset]
    if ready:
        with engine.store.transaction():
            engine.apply_group(ready)


def test_the_model_shop_has_the_replica_s_foreign_keys() -> None:
    """The model's cascades are those of the toy tables; a key added there must be added here."""
    assert [(k.child, k.parent) for k in KEYS] == [("orders", "customers"), ("items", "orders")]
