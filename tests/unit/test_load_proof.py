"""The proofs about a first load find what they are there to find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.large_load import Found
from tests.benchmarks.million import page
from tests.kit.load_proof import read_chunks, read_sent


def chunk(process: int, cursor: int | None, table: str = "sales_order") -> str:
    """A line of MariaDB's general log."""
    where = f"WHERE (`entity_id`) > ({cursor})" if cursor is not None else ""
    return f"\t\t    {process} Query\tSELECT `entity_id`, `state` FROM `{table}` {where} ORDER BY `entity_id` LIMIT 50"


def line(external_id: str, changed_at: int, *refs: str, name: str = "Ann") -> str:
    """A line of the jsonl sink."""
    links = {"CONTACT": list(refs)} if refs else {}
    return json.dumps({"object_type": "DEAL", "external_id": external_id, "action": "UPSERT", "changed_at": changed_at,
                       "properties": {"name": name}, "associations": links, "position": ""})  # fmt: skip


@pytest.mark.parametrize(
    ("reads", "rows_again", "fault"),
    [
        ([chunk(1, None), chunk(1, 1050), chunk(2, 1100)], 0, ""),
        ([chunk(1, None), chunk(1, 1050), chunk(2, 1050), chunk(2, 1100)], 50, ""),
        ([chunk(1, None), chunk(1, 1050), chunk(2, 1080), chunk(2, 1130)], 20, ""),
        ([chunk(1, None), chunk(2, 1020), chunk(2, 1070)], 50, ""),
        ([chunk(1, None), chunk(1, 1050), chunk(1, 1100), chunk(2, 1050)], 50, "more than a chunk back"),
        ([chunk(1, None), chunk(1, 1050), chunk(2, None)], 50, "more than a chunk back"),
        ([chunk(1, None), chunk(1, None)], 0, "by one process"),
    ],
)
def test_rows_that_are_read_again_are_counted_and_two_chunks_back_is_a_fault(
    reads: list[str], rows_again: int, fault: str
) -> None:
    """A process may begin anywhere in the chunk that a killed one was at, and not before it."""
    found = read_chunks(["\t\t    1 Query\tSELECT COUNT(*) FROM `sales_order`", *reads])

    assert found.rows_again.total() == rows_again
    assert found.again.total() == (1 if rows_again else 0)
    assert [fault in one for one in found.faults] == ([True] if fault else [])


@pytest.mark.parametrize(
    ("lines", "repeats", "fault"),
    [
        ([line("c", 1), line("o", 1, "c"), line("c", 2, name="Bea")], 0, ""),
        ([line("c", 1), line("c", 1)], 1, ""),
        ([line("c", 2), line("c", 1)], 0, "c is overtaken"),
        ([line("c", 2), line("c", 2, name="Bea")], 0, "c is overtaken"),
        ([line("o", 1, "c"), line("c", 1)], 0, "refers to c"),
    ],
)
def test_messages_that_are_overtaken_or_too_early_are_faults(
    tmp_path: Path, lines: list[str], repeats: int, fault: str
) -> None:
    """The identical message may come again; an older one, another one of the same time, a link to nothing may not."""
    (tmp_path / "out.jsonl").write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    found = read_sent(tmp_path / "out.jsonl")

    assert (found.lines, found.repeats) == (len(lines), repeats)
    assert [fault in one for one in found.faults] == ([True] if fault else [])


def test_the_page_of_the_first_load_has_goals_and_ratios() -> None:
    """Rates, memory, sizes and latencies, each beside what it is held to."""
    found = Found(
        "mariadb 10.11.19", 500_000, 4_000_000, 2_000_000, dump_s=40.0, dump_bytes=10**9, load_s=100.0, sent_s=600.0,
        rss_mb=120.0, state_mb=700.0, latency_ms={"idle": (10.0, 20.0, 300), "load": (11.0, 30.0, 900)},
    )  # fmt: skip
    text = page(found, "2026-11-30")

    assert "| rows read, over rows dumped | 0.400 times |" in text
    assert "| state, all sent | 700 MB | < 750 MB |" in text
    assert "load, p99 | 30.0 ms | at most 2 times idle | p50 11.0 ms, 900 orders, 1.5 times idle |" in text
