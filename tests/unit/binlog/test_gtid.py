"""GTID sets of both kinds of server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysqlreplication.gtid import GtidSet as Theirs

from cdc.binlog.gtid import GtidPosition, GtidSet, parse_gtids

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4e11fa47-71ca-11e1-9e33-c80aa9429562"

numbers = st.lists(st.tuples(st.sampled_from([A, B, f"{A}:tag"]), st.integers(1, 40)), max_size=40)


@given(numbers)
def test_a_set_is_the_set_of_what_was_added(added: list[tuple[str, int]]) -> None:
    """In any order: text, binary form and membership say the same as a plain set; intervals are joined."""
    made = GtidSet()
    for source, number in added:
        made.add(source, number)

    spelled = [(s, n) for s, first, last in made.intervals() for n in range(first, last + 1)]
    assert spelled == sorted(set(added))
    assert GtidSet.parse(str(made)) == made
    assert GtidSet.decode(made.encode()) == made


@given(numbers, numbers)
def test_containing_is_being_a_superset(more: list[tuple[str, int]], less: list[tuple[str, int]]) -> None:
    """One set contains another exactly if each of its transactions is in it."""
    first, second = GtidSet(), GtidSet()
    for source, number in more:
        first.add(source, number)
    for source, number in less:
        second.add(source, number)

    assert first.contains(second) == (set(less) <= set(more))


def test_the_binary_form_is_the_one_other_clients_send() -> None:
    """Without tags our encoding equals python-mysql-replication's."""
    text = f"{A}:1-5:7:9-10,{B}:3"

    assert GtidSet.parse(text).encode() == Theirs(text).encoded()


def test_tags_follow_their_source_in_the_servers_notation() -> None:
    """A uuid is written once, its tags after its own numbers."""
    text = f"{A}:1-5:ledger:1-3:zoo:9"

    assert str(GtidSet.parse(f"{A}:zoo:9,{A}:Ledger:1-3, {A} : 1-5")) == text


@pytest.mark.parametrize("text", ["x:1", A, f"{A}:0", f"{A}:5-3", f"{A}:1-2-3", f"{A}:no tag!:1"])
def test_what_is_no_set_is_refused(text: str) -> None:
    """Bad uuids, intervals and tags raise a ValueError that quotes them."""
    with pytest.raises(ValueError, match="GTID set"):
        GtidSet.parse(text)


def test_a_mariadb_position_keeps_the_last_of_each_domain() -> None:
    """Domains are independent; adding replaces the domain's last transaction."""
    position = GtidPosition.parse("1-7-5,0-1-100")
    position.add(0, 2, 101)

    assert str(position) == "0-2-101,1-7-5"
    assert position.contains(GtidPosition.parse("0-1-101"))
    assert not position.contains(GtidPosition.parse("0-1-101,2-1-1"))


def test_the_notation_tells_the_kind() -> None:
    """Text with colons is MySQL's, other text MariaDB's."""
    assert isinstance(parse_gtids(f"{A}:1"), GtidSet)
    assert isinstance(parse_gtids("0-1-2"), GtidPosition)
    with pytest.raises(ValueError, match="no MariaDB GTID"):
        parse_gtids("0-1")
