"""Rows that are gathered in memory read and end as rows that are written one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.model import TableSpec, Value
from cdc.replica import recent_rows, rows
from cdc.replica.rows import ReplicaRows, TableRows
from cdc.state.store import Store

SPECS: Final = (
    TableSpec("by_number", ("id",), ("id", "parent", "name"), indexes=(("parent",),)),
    TableSpec("by_pair", ("a", "b"), ("a", "b", "name"), indexes=(("name",),)),
    TableSpec("by_text", ("code",), ("code", "name"), integer_key=False),
)
VERBS: Final = (*["put"] * 12, *["find"] * 8, "delete", "delete", "get", "get", "down", "all", "older", "end", "undo")
"""Most looks write the gathered rows, so there are more of the two that do not."""
NUMBERS: Final = st.integers(0, 2)
VALUES: Final = st.one_of(st.none(), NUMBERS, st.sampled_from(["1", "x"]), st.just((1 << 63) + 5))
"""The last is a number that SQLite has only as text."""


class Undone(Exception):
    """Ends a transaction, so that everything in it is undone."""


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int, tuple[Value, ...]]]:
    """What is done to the tables: (verb, table, cells)."""
    made: list[tuple[str, int, tuple[Value, ...]]] = []
    for _ in range(draw(st.integers(1, 50))):
        verb = draw(st.sampled_from(VERBS))
        at = draw(st.integers(0, len(SPECS) - 1))
        spec = SPECS[at]
        cells = tuple(
            draw(st.sampled_from(["a", "b", "1"]) if name == "code" else NUMBERS if name in spec.key else VALUES)
            for name in spec.columns
        )
        made.append((verb, at, cells))
    return made


class Side:
    """One replica, and what it answered."""

    def __init__(self, folder: Path, *, keeps: bool) -> None:
        self.store = Store(folder, SPECS)
        self.rows = ReplicaRows(self.store, SPECS, keeps=keeps)
        self.lsn = 0

    def play(self, todo: Iterator[tuple[str, int, tuple[Value, ...]]]) -> tuple[list[object], bool]:
        """One transaction: up to ``end`` or ``undo``. Returns the answers, and whether that was the last one."""
        answers: list[object] = []
        try:
            with self.store.transaction(), self.rows.gathering():
                for verb, at, cells in todo:
                    if verb == "end":
                        return answers, False
                    if verb == "undo":
                        raise Undone
                    answers.append(self._step(verb, self.rows.tables[SPECS[at].name], cells))
        except Undone:
            return answers, False
        return answers, True

    def _step(self, verb: str, table: TableRows, cells: tuple[Value, ...]) -> object:
        key = table.key_of(cells)
        asked = tuple(1 if isinstance(value, int) and value > 9 else value for value in cells)
        column = table.columns[-1]
        self.lsn += 1
        match verb:
            case "put":
                table.put(cells, self.lsn)
            case "delete":
                table.delete(key)
            case "get":
                return table.get(key), table.row(key), sorted(table.get_many([key, tuple(reversed(key))]).items())
            case "find":
                return [table.find(name, value) for name, value in zip(table.columns, asked, strict=True)]
            case "down":
                return [*table.descending(column, asked[-1], table.spec.key)]
            case "all":
                return sorted(map(repr, table.every()))
            case _:
                return sorted(map(repr, table.older_than(self.lsn - 3, 100)))
        return None

    def contents(self) -> list[list[str]]:
        """All rows of all tables, from the file."""
        names = [spec.name for spec in SPECS]
        return [sorted(map(repr, self.store.db.execute(f'SELECT * FROM "r_{name}"'))) for name in names]


@pytest.mark.parametrize("most", [1, recent_rows.KEPT])
@given(todo=steps())
def test_gathered_rows_read_and_end_as_rows_written_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, most: int, todo: list[tuple[str, int, tuple[Value, ...]]]
) -> None:
    """Every look, in any order, through undone transactions too, gives the same on both sides, and so does the file.

    However few of the rows memory keeps: what it forgot, the file must have.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_rows, "KEPT", most)
        _must_agree(tmp_path_factory, todo)


def _must_agree(tmp_path_factory: pytest.TempPathFactory, todo: list[tuple[str, int, tuple[Value, ...]]]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    sides = [Side(folder / str(keeps), keeps=keeps) for keeps in (False, True)]
    streams = [iter(todo) for _ in sides]
    is_last = False
    while not is_last:
        (expected, is_last), (answers, _) = [side.play(stream) for side, stream in zip(sides, streams, strict=True)]
        assert _plain(answers) == _plain(expected)
        assert sides[0].contents() == sides[1].contents()
    for side in sides:
        side.store.close()


def _plain(answers: list[object]) -> str:
    # A number over 63 bits is text in the file, and a number until it is written.
    return repr(answers).replace(f"'{(1 << 63) + 5}'", str((1 << 63) + 5))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[ReplicaRows]:
    """A replica that keeps rows in memory."""
    store = Store(tmp_path, SPECS)
    yield ReplicaRows(store, SPECS, keeps=True)
    store.close()


def test_memory_holds_a_bounded_number_of_rows(kept: ReplicaRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows a transaction has, some are written meanwhile, and rows met long ago are forgotten."""
    monkeypatch.setattr(rows, "MOST_UNWRITTEN", 10)
    monkeypatch.setattr(recent_rows, "KEPT", 10)
    table = kept.tables["by_number"]
    with kept.gathering():
        for number in range(95):
            table.put((number, 0, "x"), 1)
        assert table._recent is not None
        assert len(table._recent.unwritten) == 5
        assert len(table._recent._new) + len(table._recent._old) <= 20
        assert len(table.find("parent", 0)) == 95


def test_memory_holds_a_bounded_number_of_deletions(kept: ReplicaRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction may delete millions of rows, and each of them is noted by its key until the file lacks it."""
    monkeypatch.setattr(rows, "MOST_UNWRITTEN", 10)
    table = kept.tables["by_number"]
    for number in range(95):
        table.put((number, 0, "x"), 1)
    with kept.gathering():
        for number in range(94):
            table.delete((number,))
        assert table._recent is not None
        assert len(table._recent.unwritten) < 10
        assert [row[0] for row in table.find("parent", 0)] == [94]


def test_a_row_in_memory_has_every_column(kept: ReplicaRows) -> None:
    """A row that the log gave without a column reads as it does from the file: the column is there, and NULL."""
    table = kept.tables["by_number"]
    with kept.gathering():
        table.put((1, 0, None), 1, None, {"id": 1, "parent": 0})
        table.put((2, 0, "x"), 1, None, {"id": 2, "parent": 0, "name": "x"})
        assert kept.get("by_number", 1) == {"id": 1, "parent": 0, "name": None}
        assert kept.get("by_number", 2) == {"id": 2, "parent": 0, "name": "x"}


def test_a_part_that_gathers_does_not_end_what_the_whole_began(kept: ReplicaRows) -> None:
    """A table that is read again takes its rows one by one, and they are written together at the end."""
    table = kept.tables["by_number"]
    assert table._recent is not None
    with kept.gathering():
        for number in range(3):
            with kept.gathering():
                table.put((number, 0, "x"), 1)
        assert len(table._recent.unwritten) == 3
    assert not table._recent.unwritten
    assert not table.gathers


def test_rows_of_memory_are_written_before_a_foreign_statement_reads(tmp_path: Path) -> None:
    """``Store.write_gathered`` brings every row into the file."""
    store = Store(tmp_path, SPECS)
    held = ReplicaRows(store, SPECS, keeps=True)
    with store.transaction(), held.gathering():
        held.tables["by_number"].put((1, 2, "x"), 3)
        assert store.db.execute("SELECT count(*) FROM r_by_number").fetchone() == (0,)
        store.write_gathered()
        assert store.db.execute("SELECT count(*) FROM r_by_number").fetchone() == (1,)
    store.close()


def test_a_row_beyond_the_last_row_is_not_looked_for(kept: ReplicaRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """New rows have higher keys than all others, so no statement asks for them; what was written since is found."""
    monkeypatch.setattr(recent_rows, "KEPT", 1)
    table = kept.tables["by_number"]
    asked: list[str] = []
    kept._store.db.set_trace_callback(asked.append)
    with kept.gathering():
        assert table.get((1,)) is None
        for number in (1, 2, 3, 4):
            assert table.get((number,)) is None
            table.put((number, 0, "x"), 1)
    assert not [sql for sql in asked if "WHERE" in sql]
    found = [table.get((number,)) for number in (4, 3, 2, 1, 5)]

    assert [row is not None for row in found] == [True] * 4 + [False]


def test_the_end_of_a_table_is_looked_up_again_when_writes_are_undone(kept: ReplicaRows) -> None:
    """An undone transaction takes the last rows away, and text that SQLite reads as a number may move the end."""
    table = kept.tables["by_number"]
    assert table.get((1,)) is None
    table.put(("7", 0, "x"), 1)
    assert table.get((7,)) is not None
    table.forget()
    table.delete((7,))

    assert table.get((7,)) is None
