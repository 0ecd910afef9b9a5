"""No statement on the state looks through a table that grows with the shop, unless it is listed here with its reason.

The statements are read from the syntax trees of the state's modules, and SQLite says how it would carry each one out.
Nothing runs ANALYZE on the state, so SQLite plans for tables of unknown size: the plan is that of a large state.
"""

from __future__ import annotations

import ast
import importlib
import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from cdc.engine.engine import Engine
from cdc.messages.ledger import MOST_REFERENCES
from cdc.messages.sent_versions import SENT_SIDE
from cdc.model import OBJECT_TYPE, OBJECTS, RunningTotals, TableSpec
from cdc.state import running_totals, schema
from cdc.state.schema import first_ref, second_ref
from tests.kit.toy import toy_engine

ROOT = Path(__file__).resolve().parents[3]

ROOMS: Final = ("cdc/state", "cdc/replica", "cdc/messages", "cdc/members", "cdc/relay")
"""Where statements on the state are; tests/unit/state/test_writers.py holds the others to verbs."""

SMALL: Final = frozenset(
    {
        "meta", "mapped_table", "table_load", "stale_table", "table_schema", "property_bit", "bulk_invalidation",
        "sqlite_master", "sqlite_sequence",
    }
)  # fmt: skip
"""Tables that grow with the mapping, and not with the shop."""

LOCALS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "cdc/messages/referrers.py": {
        "look": (
            f"l.accepted_refs FROM ledger_line l WHERE l.accepted_refs <> '' AND {first_ref('l.accepted_refs')}",
            f"l.accepted_refs FROM ledger_line l WHERE instr(l.accepted_refs, ' ') > 0 AND"
            f" {second_ref('l.accepted_refs')}",
            f"l.refs FROM unconfirmed l WHERE l.refs <> '' AND {first_ref('l.refs')}",
            f"l.refs FROM unconfirmed l WHERE instr(l.refs, ' ') > 0 AND {second_ref('l.refs')}",
        )
    },
    "cdc/messages/outbox.py": {"condition": ("", " AND email = x''")},
    "cdc/messages/bulk_members.py": {
        "column": ("customer_id",), "table": ("r_orders",), "following": ("SELECT min(customer_id) FROM r_orders WHERE"
        " customer_id >",), "_not_elsewhere(store, invalidation, 'id')": ("1",), "row_id": ("id",),
        "id_column": ("customer_id",), "match": ("total IS ?",), "elsewhere": ("1",), "table_name(spec.name)":
        ("r_orders",),
    },
    "cdc/replica/rows.py": {
        "columns": ("id, customer_id, total",), "name": ("r_orders",), "where": ("id = ?",), "order": ("id", "id DESC"),
        "', '.join('?' * len(self.columns))": ("?, ?, ?",), "quoted(spec.key[0])": ("id",),
    },
    "cdc/messages/selection.py": {"SENT_SIDE": (SENT_SIDE,)},
    "cdc/replica/totals.py": {"columns": ("totals_group",), "totals_name(spec.name)": ("t_sums",)},
    "cdc/state/running_totals.py": {
        "table": ("t_sums",), "rows": ("r_sums",), "group": ("totals_group",), "new": ("'a'",), "old": ("'a'",),
        "amount": ("1", "NULL"), "names": ("totals_group, customer_id",), "values": ("'a', 1",),
        "shared": ("max(customer_id), ",),
        "ends": (
            "first_key = (SELECT id FROM r_sums WHERE totals_group = t_sums.totals_group ORDER BY at, id LIMIT 1),"
            " last_key = (SELECT id FROM r_sums WHERE totals_group = 'a' ORDER BY at DESC, id DESC LIMIT 1)",
        ),
    },
    "cdc/replica/unread.py": {"where": ("tbl = ? AND key = ? AND lsn <= ?", "tbl = ? AND lsn <= ?")},
    "cdc/state/objects.py": {
        "columns": ("1",),
        "table": (
            "ledger", "outbox", "render_queue", "dead_letter", "waiting_for_parent", "unconfirmed", "resync_found",
        ),
    },
}  # fmt: skip
"""Parts of statements that are values of their function: texts that stand for them."""

SUMS: Final = TableSpec(
    "sums",
    ("id",),
    ("id", "customer_id", "at"),
    indexes=(("totals_group", "at", "id"),),
    derived=("totals_group", "totals_amount"),
    totals=RunningTotals("totals_group", ("customer_id",), ("customer_id",), "totals_amount", ("at", "id")),
)

FRAGMENTS: Final = frozenset({"UPDATE OF accepted_hash", "SELECT min(customer_id) FROM r_orders WHERE customer_id >"})
"""Beginnings of texts that are parts of a statement; the whole statements are looked at."""

SCANS: Final = {
    ("cdc/members/unpublished.py", "INSERT OR REPLACE INTO unpublished"): "all is told again: the topic was made anew",
    ("cdc/members/unpublished.py", "SELECT seq, kind, id FROM unpublished ORDER BY seq LIMIT"): "the first by key",
    ("cdc/messages/dead_letters.py", "SELECT kind, id, action"): "`deadletter list` shows all, in the index's order",
    ("cdc/messages/dead_letters.py", "SELECT 1 FROM dead_letter WHERE reason"): "once, at the start",
    ("cdc/messages/dead_letters.py", "SELECT count(*) FROM dead_letter"): "a look of the status page, held to a share",
    ("cdc/messages/held_objects.py", "SELECT count(*) FROM ledger"): "once in a dry run, on a copy of the state",
    ("cdc/messages/ledger.py", "UPDATE ledger_line SET rendered_hash = x'', accepted"): "`run --resend`: all go anew",
    ("cdc/messages/sent_versions.py", "SELECT count(*) FROM ledger"): "every ten minutes, if 500 deletions wait",
    ("cdc/messages/sent_versions.py", "SELECT count(*) FROM (SELECT 1 FROM ledger"): "ends at LIMIT, or a little later",
    ("cdc/messages/sent_versions.py", "SELECT max(max(accepted_at)"): "once, when a member comes to lead",
    ("cdc/messages/ledger.py", "SELECT o.kind, o.id FROM outbox o JOIN ledger"): "once, when a member comes to lead",
    ("cdc/messages/outbox.py", "UPDATE outbox SET changed_at"): "once, when a member comes to lead",
    ("cdc/messages/outbox.py", "SELECT kind, urgency, count(*)"): "a look of the status page, held to a share",
    ("cdc/messages/outbox.py", "SELECT 1 FROM outbox WHERE action = 'DELETE' AND is_released"):
        "once per release of held deletions by name or type; looks through DELETEs alone",
    ("cdc/messages/outbox.py", "SELECT commit_ms FROM outbox ORDER BY seq LIMIT 1"): "the first by key",
    ("cdc/messages/render_queue.py", "UPDATE render_queue SET needs_fetch = 1"): "once, when tables become stale",
    ("cdc/messages/render_queue.py", "INSERT INTO render_queue (kind, id, urgency, needs_fetch) SELECT"):
        "asked for by hand or by a new mapping: all are rendered anew",
    ("cdc/messages/render_queue.py", "INSERT INTO render_queue (kind, id, urgency, not_before_lsn) SELECT"):
        "once, at the end of a resync: what it found, all of it",
    ("cdc/messages/render_queue.py", "SELECT kind, count(*) FROM resync_found"): "once, at the end of a resync",
    ("cdc/messages/render_queue.py", "SELECT count(*), coalesce(sum(needs_fetch)"):
        "a look of the status page, held to a share",
    ("cdc/messages/sent_without_reference.py", "SELECT DISTINCT ref_kind"): "once, when a member comes to lead",
    ("cdc/messages/unconfirmed.py", "INSERT INTO unconfirmed (kind, id, refs) SELECT"):
        "once, at the start: what was tried",
    ("cdc/messages/relinks.py", "UPDATE relink SET is_looked_for = 1"): "at the beginning of a pass over the ledger",
    ("cdc/messages/waiting.py", "SELECT kind, id, action"): "once, at the end of `run --until-end`",
    ("cdc/relay/journal.py", "SELECT count(*), coalesce(sum(size)"): "once, at the start",
    ("cdc/replica/feeds.py", "SELECT topic, partition"): "`deadletter list` shows all",
    ("cdc/replica/feeds.py", "SELECT count(*) FROM bad_record"): "a look of the status page, held to a share",
    ("cdc/replica/tombstones.py", "SELECT DISTINCT tbl FROM tombstone"): "once, at the start",
    ("cdc/messages/waiting_for_parent.py", "SELECT o.kind, o.id"): "the first in the index's order",
    ("cdc/state/running_totals.py", "UPDATE t_sums SET first_key"): "once, when the mapping first asks for totals",
    ("cdc/replica/unread.py", "SELECT tbl, key, lsn, commit_ms FROM unread_row ORDER BY lsn LIMIT"):
        "the first in the index's order",
    ("cdc/replica/rows.py", "SELECT id, customer_id, total, lsn FROM r_orders WHERE customer_id = ? COLLATE NOCASE"):
        "a command, for a name that somebody typed in another case than the shop has it",
    ("cdc/replica/rows.py", "SELECT id, customer_id, total, lsn FROM r_orders WHERE lsn < ?"):
        "at the end of a resync, in pieces: an index by LSN would cost every change of a row",
}  # fmt: skip
"""(module, beginning of the statement) → why it may look through all of a table, or sort it."""

FETCHED_WHOLE: Final = {
    ("cdc/messages/relinks.py", "_targets"): "records that people merged or deleted, noted one by one",
    ("cdc/replica/rows.py", "find_any_case"): "rows that go by one name, looked for by a command",
    ("cdc/replica/rows.py", "find"): "the children of one row, which are rendered together",
    ("cdc/replica/totals.py", "find"): "the groups of one customer: by store, customer group and currency",
    ("cdc/state/running_totals.py", "set_up"): "the names of the tables and triggers",
    ("cdc/state/store.py", "held_columns"): "the columns of one table",
    ("cdc/state/store.py", "start_over"): "the names of the tables",
}
"""(module, function) → why it may take all rows of a statement without LIMIT into memory."""

_SQL: Final = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH)\s")
_TABLE: Final = re.compile(r"(?:FROM|JOIN) (\w+)(?: ([a-z]) )?")
_IS_ANY: Final = re.compile(r"SELECT 1 FROM \w+ LIMIT 1")


class Statement(NamedTuple):
    """One text of SQL as it is run, and where it stands."""

    module: str
    line: int
    sql: str


def _texts(tree: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts
        ):
            yield node


def _values(part: ast.expr, module: str, names: dict[str, object]) -> tuple[str, ...]:
    if isinstance(part, ast.Constant):
        return (str(part.value),)
    assert isinstance(part, ast.FormattedValue)
    source = ast.unparse(part.value)
    given = LOCALS.get(module, {}).get(source)
    return given if given is not None else (str(eval(source, names)),)


@cache
def statements() -> tuple[Statement, ...]:
    """Every statement of the rooms; one with local values stands once for each text of them."""
    found = []
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        names = vars(importlib.import_module(name.removesuffix(".py").replace("/", ".")))
        for node in _texts(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            first = parts[0]
            if not (isinstance(first, ast.Constant) and _SQL.match(str(first.value))):
                continue
            for chosen in product(*(_values(part, name, names) for part in parts)):
                sql = "".join(chosen).format(column="customer_id", order="id DESC")
                if not any(sql.startswith(fragment) for fragment in FRAGMENTS):
                    found.append(Statement(name, node.lineno, sql))
    return tuple(found)


def plan_of(db: sqlite3.Connection, sql: str) -> list[str]:
    """The steps by which SQLite would carry out the statement."""
    numbers = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    count = max(numbers) if numbers else sql.count("?")
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * count)]


def looks_through(sql: str, plan: list[str]) -> bool:
    """Whether a step looks through all of a table that grows with the shop, or sorts what it found."""
    aliases = {alias or table: table for table, alias in _TABLE.findall(sql)}
    for step in plan:
        scanned = re.match(r"SCAN (\w+)", step)
        # ``json_each``: a list that the caller gives.
        if scanned and aliases.get(scanned[1], scanned[1]) not in SMALL | {"CONSTANT", "ids", "json_each"}:
            return True
        if "TEMP B-TREE" in step and not set(aliases.values()) <= SMALL:
            return True
    return False


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A state with all tables, and one more that has running totals."""
    made = toy_engine(tmp_path_factory.mktemp("plans"))
    schema.create(made.store.db, [SUMS], {})
    running_totals.set_up(made.store.db, [SUMS])
    yield made
    made.close()


def test_no_statement_looks_through_what_grows_with_the_shop(engine: Engine) -> None:
    """Each look through a whole table, and each sort, is listed with the reason why it may."""
    listed, unlisted = set(), []
    for statement in statements():
        plan = plan_of(engine.store.db, statement.sql)
        if _IS_ANY.fullmatch(statement.sql) or not looks_through(statement.sql, plan):
            continue
        reasons = {key for key in SCANS if key[0] == statement.module and statement.sql.startswith(key[1])}
        listed |= reasons
        if not reasons:
            unlisted.append(f"{statement.module}:{statement.line}: {plan}: {statement.sql}")
    assert unlisted == []
    assert set(SCANS) - listed == set(), "these no longer look through all: take them off the list"


def test_nothing_tells_sqlite_how_large_tables_are() -> None:
    """The plans above hold for any size, because no statement has SQLite gather sizes to plan by."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        assert not re.search(r"[\"'](ANALYZE|PRAGMA optimize)", path.read_text(encoding="utf-8")), path


def test_the_test_would_see_a_look_through_all(engine: Engine) -> None:
    """A statement without an index, and a sort, are seen; a look by key is not."""
    db = engine.store.db
    for sql in (
        "SELECT id FROM ledger WHERE answer = ?",
        "SELECT o.seq FROM outbox o WHERE o.hash = ?",
        "SELECT seq FROM outbox WHERE rank = ? AND not_before_ms > 0 ORDER BY seq",
    ):
        assert looks_through(sql, plan_of(db, sql)), sql
    for sql in ("SELECT answer FROM ledger WHERE kind = ? AND id = ?", "SELECT value FROM meta"):
        assert not looks_through(sql, plan_of(db, sql)), sql


def test_no_result_is_taken_whole_without_a_limit() -> None:
    """What a statement without LIMIT finds is read row by row, or listed with the reason why it is small."""
    whole = set()
    for path in sorted((ROOT / "cdc").rglob("*.py")):
        module = path.relative_to(ROOT).as_posix()
        if not module.startswith(ROOMS):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            text = ast.unparse(function)
            taken = re.findall(r"\.fetchall\(\)", text)
            if taken and len(re.findall(r"LIMIT|self\._all|self\._older|\(sql, ", text)) < len(taken):
                whole.add((module, function.name))
    assert whole == set(FETCHED_WHOLE)


def test_no_object_has_more_references_than_the_ledger_finds_it_by() -> None:
    """The ledger has an index for each place in an object's list of references."""
    for facts in OBJECTS.values():
        assert len({OBJECT_TYPE[kind] for kind in facts.references}) <= MOST_REFERENCES
