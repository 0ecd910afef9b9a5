"""Lists of references as text: short, found by their ids, and read back as they were."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from cdc.messages.refs import LETTERS, Link, dump_links, dump_refs, parse_links, parse_refs
from cdc.model import OBJECTS, Kind, ObjectRef
from cdc.state.schema import first_ref, second_ref

HASHES = st.text("0123456789abcdef", min_size=24, max_size=24)
REFS = st.sampled_from(Kind).flatmap(
    lambda kind: st.builds(ObjectRef, st.just(kind), HASHES if OBJECTS[kind].has_hash_id else st.integers(0, 2**63 - 1))
)


def test_each_kind_has_a_letter_of_its_own() -> None:
    """A kind without a letter could not be stored, and two kinds with one letter would be taken for each other."""
    assert set(LETTERS) == set(Kind)
    assert len(set(LETTERS.values())) == len(Kind)


@given(st.lists(st.tuples(REFS, st.text(max_size=12))))
def test_what_is_written_is_read_back(links: list[tuple[ObjectRef, str]]) -> None:
    """Whatever a receiver has for ids of records, and with or without records."""
    wanted = tuple(Link(*link) for link in links)

    assert parse_links(dump_links(wanted)) == wanted
    assert parse_refs(dump_links(wanted)) == parse_refs(dump_refs(link.ref for link in wanted))
    assert parse_refs(dump_refs(link.ref for link in wanted)) == tuple(link.ref for link in wanted)


@given(st.lists(st.tuples(REFS, st.text(max_size=12)), min_size=1, max_size=2))
def test_sql_finds_the_ids(links: list[tuple[ObjectRef, str]]) -> None:
    """The expressions of the indexes give the ids of the first and the second reference, numbers and hashes."""
    text = dump_links(Link(*link) for link in links)
    found = (
        sqlite3.connect(":memory:")
        .execute(f"SELECT {first_ref('refs')}, {second_ref('refs')} FROM (SELECT ? AS refs)", (text,))
        .fetchone()
    )

    assert list(found[: len(links)]) == [ref.id for ref, _ in links]
