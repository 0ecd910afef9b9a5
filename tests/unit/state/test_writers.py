"""Each table of the state file has exactly one module that writes it; read from the syntax trees of the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from cdc.state import schema
from cdc.state.meta import Meta, Value

ROOT = Path(__file__).resolve().parents[3]

OWNERS: Final = {
    "meta": "cdc/state/meta.py",
    "mapped_table": "cdc/state/schema.py",
    "tombstone": "cdc/replica/tombstones.py",
    "table_load": "cdc/replica/table_loads.py",
    "stale_table": "cdc/replica/table_loads.py",
    "table_schema": "cdc/replica/table_schemas.py",
    "prepared_change": "cdc/replica/prepared.py",
    "unread_row": "cdc/replica/unread.py",
    "cart_clock": "cdc/replica/cart_clock.py",
    "bad_record": "cdc/replica/feeds.py",
    "render_queue": "cdc/messages/render_queue.py",
    "bulk_invalidation": "cdc/messages/render_queue.py",
    "resync_found": "cdc/messages/render_queue.py",
    "ledger_line": "cdc/messages/ledger.py",
    "property_bit": "cdc/messages/property_bits.py",
    "outbox": "cdc/messages/outbox.py",
    "relink": "cdc/messages/relinks.py",
    "sent_without_reference": "cdc/messages/sent_without_reference.py",
    "dead_letter": "cdc/messages/dead_letters.py",
    "waiting_for_parent": "cdc/messages/waiting_for_parent.py",
    "unconfirmed": "cdc/messages/unconfirmed.py",
    "unpublished": "cdc/members/unpublished.py",
    "relay_queue": "cdc/relay/journal.py",
    "sqlite_sequence": "cdc/relay/journal.py",
}
"""Table → the module that writes it."""

ROWS: Final = "cdc/replica/rows.py"
"""Writes the mapped tables, whose names it is given."""

TOTALS: Final = "cdc/state/running_totals.py"
"""Writes the totals of mapped tables, by triggers; their names come from those of the tables."""

WITHOUT_SQL: Final = (
    "cdc/delivery", "cdc/cli", "cdc/web", "cdc/snapshot", "cdc/engine", "cdc/status.py", "cdc/daemon.py",
    "cdc/startup.py", "cdc/members/leadership.py", "cdc/members/handover.py", "cdc/members/opening.py",
    "cdc/relay/local.py", "cdc/relay/publisher.py",
)  # fmt: skip
"""What works on the state by verbs alone."""

_WRITE: Final = re.compile(
    r"\b(?:INSERT(?: OR \w+)? INTO|REPLACE INTO|DELETE FROM|UPDATE(?! SET\b| OF\b)(?: OR \w+)?)\s+([\w{}]+)"
)


def sources() -> list[Path]:
    return sorted((ROOT / "cdc").rglob("*.py"))


def texts(tree: ast.AST) -> Iterator[str]:
    """All string constants but docstrings; an f-string's values are shown as ``{}``."""
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
            yield node.value


@cache
def writes() -> frozenset[tuple[str, str]]:
    """(table, module) of every statement that writes; ``{}`` for a table whose name is a value."""
    tables = set(OWNERS) | {"{}"}
    found = set()
    for path in sources():
        for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            for table in _WRITE.findall(text):
                if table in tables:
                    found.add((table, path.relative_to(ROOT).as_posix()))
    return frozenset(found)


def test_every_table_has_an_owner() -> None:
    """A new table needs a line here; a line without a table is out of date. ``sqlite_sequence`` is SQLite's own."""
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", schema.FIXED))

    assert tables | {"sqlite_sequence"} == set(OWNERS)


def test_each_table_is_written_by_its_owner_alone() -> None:
    """INSERT, UPDATE, DELETE and REPLACE of a table stand in one module, those inside triggers included."""
    assert writes() - {("{}", ROWS), ("{}", TOTALS)} == set(OWNERS.items())


def test_statements_name_tables_that_exist() -> None:
    """A table that was renamed is renamed everywhere, in statements that only read too."""
    views = set(re.findall(r"CREATE VIEW IF NOT EXISTS (\w+)", schema.FIXED))
    aliases = {"sqlite_master", "ids", "temp", "sqlite_sequence", "json_each"} | views
    for room in ("state", "replica", "messages", "engine", "members", "relay"):
        for path in sorted((ROOT / "cdc" / room).rglob("*.py")):
            for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
                read = re.findall(r"\bSELECT\b.*?\b(?:FROM|JOIN) (\w+)", text)
                assert set(read) <= set(OWNERS) | aliases, f"{path}: {text}"


def test_a_statement_is_found_wherever_it_stands() -> None:
    """Joined lines, f-strings, upserts and triggers count; docstrings and the UPDATE of an upsert do not."""
    source = '''
"""DELETE FROM ledger"""
db.execute("INSERT INTO outbox (kind)" " VALUES (?) ON CONFLICT (kind) DO UPDATE SET kind = 1")
db.execute(f"UPDATE ledger SET x = {value}")
db.execute(f"CREATE TEMP TRIGGER {name} AFTER UPDATE OF x ON main.ledger BEGIN"
           f" INSERT OR REPLACE INTO unpublished VALUES ({row}.kind); END")
db.execute(f"DELETE FROM {table}")
'''
    found = [table for text in texts(ast.parse(source)) for table in _WRITE.findall(text)]

    assert sorted(found) == ["ledger", "outbox", "unpublished", "{}"]


@pytest.mark.parametrize("place", WITHOUT_SQL)
def test_who_works_by_verbs_runs_no_sql(place: str) -> None:
    """No statement and no use of the state's connection: what happens to a table has a name in its owner's module."""
    paths = [path for path in sources() if path.relative_to(ROOT).as_posix().startswith(place)]
    assert paths, f"{place} is nowhere"
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        uses = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "db"]
        assert not uses, f"{path}: {uses}"
        names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        assert "sqlite3" not in names, f"{path} opens the state by itself"


def test_values_of_meta_are_spelt_in_one_module() -> None:
    """The table of single values is read in the class that gives each value its name and type, and nowhere else."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in sources()
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if re.search(r"\b(?:FROM|JOIN) meta\b", text)
    }

    assert readers == {OWNERS["meta"]}
    assert [name for name, value in vars(Meta).items() if isinstance(value, Value)]
