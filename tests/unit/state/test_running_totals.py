"""Running totals: right after every kind of write, made anew when their definition changes, gone when nobody asks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.model import Row, RunningTotals, TableSpec, Value
from cdc.replica.load_state import LoadState, Phase
from cdc.replica.rows import ReplicaRows
from cdc.state.store import Store

TOTALS = RunningTotals("totals_group", ("buyer", "shop"), ("buyer",), "totals_amount", ("at", "id"))
SPEC = TableSpec(
    "orders",
    ("id",),
    ("id", "buyer", "shop", "at"),
    indexes=(("totals_group", "at", "id"),),
    derived=("totals_group", "totals_amount"),
    totals=TOTALS,
)
PLAIN = replace(SPEC, totals=None)


def opened(folder: Path, spec: TableSpec = SPEC) -> tuple[Store, ReplicaRows]:
    """The state of one table, complete."""
    store = Store(folder, [spec])
    with store.transaction():
        LoadState(store.meta).begin(Phase.COMPLETE)
    return store, ReplicaRows(store, [spec])


@pytest.fixture
def opened_state(tmp_path: Path) -> Iterator[tuple[Store, ReplicaRows]]:
    """An empty state."""
    store, rows = opened(tmp_path)
    yield store, rows
    store.close()


def row(key: int, buyer: int | None, at: str, amount: int | None, shop: int = 1) -> tuple[Value, ...]:
    """A row as it is stored; without a buyer it counts nowhere."""
    group = None if buyer is None else f"{buyer}|{shop}"
    return key, buyer, shop, at, group, amount


def counted(held: dict[int, tuple[Value, ...]]) -> dict[Value, Row]:
    """The totals of these rows, counted one by one."""
    groups: dict[Value, list[tuple[Value, ...]]] = {}
    for one in held.values():
        if one[4] is not None:
            groups.setdefault(one[4], []).append(one)
    found: dict[Value, Row] = {}
    for group, members in groups.items():
        ordered = sorted(members, key=lambda one: (str(one[3]), one[0]))
        readable = [one[5] for one in members if isinstance(one[5], int)]
        found[group] = {
            "totals_group": group, "buyer": members[0][1], "shop": members[0][2], "row_count": len(members),
            "amount": sum(readable), "unreadable": len(members) - len(readable), "first_key": ordered[0][0],
            "last_key": ordered[-1][0],
        }  # fmt: skip
    return found


def kept(rows: ReplicaRows) -> dict[Value, Row]:
    """The totals that the state holds of the buyers 1 to 3."""
    found = [total for buyer in (1, 2, 3) for total in rows.totals("orders", "buyer", buyer) or ()]
    return {total["totals_group"]: total for total in found}


@pytest.mark.parametrize("seed", range(20))
def test_totals_are_those_of_the_rows_after_every_write(opened_state: tuple[Store, ReplicaRows], seed: int) -> None:
    """Rows come, are replaced, move between groups, go alone or all at once: each time as if counted one by one."""
    chance, (_, rows) = random.Random(seed), opened_state
    table, held = rows.tables["orders"], dict[int, tuple[Value, ...]]()
    for step in range(150):
        key = chance.randrange(12)
        if chance.random() < 0.25:
            table.delete((key,))
            held.pop(key, None)
        elif chance.random() < 0.01:
            table.clear()
            held.clear()
        else:
            at = f"2026-01-0{chance.randrange(1, 4)}"
            made = row(
                key, chance.choice((1, 1, 2, 3, None)), at, chance.choice((5, 7, -2, None)), chance.choice((1, 2))
            )
            table.put(made, step)
            held[key] = made

        assert kept(rows) == counted(held), step


def test_a_statement_over_many_rows_is_counted(opened_state: tuple[Store, ReplicaRows]) -> None:
    """Upserts and statements over several rows fire the same triggers, whoever writes them."""
    store, rows = opened_state
    for key in range(4):
        rows.tables["orders"].put(row(key, 1, "2026-01-01", 5), 1)
    store.db.execute("UPDATE r_orders SET totals_amount = 6 WHERE id < 2")
    store.db.execute(
        "INSERT INTO r_orders (id, buyer, shop, at, totals_group, totals_amount, lsn)"
        " VALUES (3, 1, 1, '2026-01-01', '1|1', 9, 1)"
        " ON CONFLICT (id) DO UPDATE SET totals_amount = excluded.totals_amount"
    )

    assert kept(rows)["1|1"]["amount"] == 6 + 6 + 5 + 9


def test_totals_are_undone_with_their_rows(opened_state: tuple[Store, ReplicaRows]) -> None:
    """They change in the transaction of the rows; when it is rolled back, so are they."""
    store, rows = opened_state
    store.db.execute("BEGIN")
    rows.tables["orders"].put(row(1, 1, "2026-01-01", 5), 1)
    assert kept(rows)["1|1"]["row_count"] == 1
    store.db.execute("ROLLBACK")

    assert kept(rows) == {}


def test_rows_that_are_held_are_counted_when_totals_are_asked_for(tmp_path: Path) -> None:
    """Switched on over rows that are there; a definition that changed is made anew; switched off, nothing is left."""
    store, rows = opened(tmp_path, PLAIN)
    held = {key: row(key, 1 + key % 2, f"2026-01-0{9 - key}", key) for key in range(5)}
    for made in held.values():
        rows.tables["orders"].put(made, 1)
    store.close()

    store, rows = opened(tmp_path)
    assert kept(rows) == counted(held)
    store.close()

    by_key = replace(SPEC, totals=replace(TOTALS, order=("id",)))
    store, rows = opened(tmp_path, by_key)
    assert [kept(rows)[group]["first_key"] for group in ("1|1", "2|1")] == [0, 1]
    store.close()

    store, _ = opened(tmp_path, PLAIN)
    assert store.db.execute("SELECT count(*) FROM sqlite_master WHERE name GLOB 't_*'").fetchone() == (0,)
    store.close()


def test_a_table_that_is_made_anew_begins_without_totals(tmp_path: Path) -> None:
    """Its columns changed, so its rows are read again; totals of rows that are gone must not stay."""
    store, rows = opened(tmp_path)
    rows.tables["orders"].put(row(1, 1, "2026-01-01", 5), 1)
    store.close()

    store, rows = opened(tmp_path, replace(SPEC, columns=(*SPEC.columns, "further")))
    assert kept(rows) == {}
    with store.transaction():
        store.start_over()
        LoadState(store.meta).begin(Phase.COMPLETE)
    rows.tables["orders"].put((2, 1, 1, "2026-01-01", None, "1|1", 5), 1)
    assert kept(rows)["1|1"]["row_count"] == 1
    store.close()


@pytest.mark.parametrize(
    ("phase", "is_known"),
    [
        (Phase.LOADING, False), (Phase.FETCHING, False), (Phase.READING_AGAIN, True), (Phase.COMPLETE, True),
    ],
)  # fmt: skip
def test_totals_are_not_told_while_rows_are_missing(
    opened_state: tuple[Store, ReplicaRows], phase: Phase, is_known: bool
) -> None:
    """A sum over a part of the rows is wrong, and nobody could tell it from a right one."""
    store, rows = opened_state
    with store.transaction():
        LoadState(store.meta).begin(phase)

    assert (rows.totals("orders", "buyer", 1) is not None) is is_known


def test_a_write_costs_the_same_in_a_large_group(opened_state: tuple[Store, ReplicaRows]) -> None:
    """The work of SQLite for one row of a buyer: with ten thousand rows the same instructions as with ten."""
    store, rows = opened_state
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def cost(key: int) -> int:
        nonlocal steps
        steps = 0
        store.db.set_progress_handler(count, 1)  # one call for each instruction of SQLite's machine
        rows.tables["orders"].put(row(key, 1, f"2026-01-01 {key:06}", 5), 1)
        rows.tables["orders"].put(row(key, 1, f"2026-01-01 {key:06}", 7), 1)
        rows.tables["orders"].delete((key,))
        store.db.set_progress_handler(None, 0)
        return steps

    sizes = {}
    for size in (10, 10_000):
        with store.transaction():
            for key in range(size):
                rows.tables["orders"].put(row(key, 1, f"2026-01-01 {key:06}", 5), 1)
        sizes[size] = cost(size)
    assert sizes[10] > 100
    assert sizes[10_000] == sizes[10]
