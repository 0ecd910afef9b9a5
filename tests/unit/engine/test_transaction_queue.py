"""The queue between the reader and the state thread: in order, bounded, and never lost between two groups."""

from __future__ import annotations

import threading
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cdc.engine import state_thread
from cdc.engine.state_thread import TAKEN_AT_ONCE, TransactionQueue
from cdc.model import Transaction
from tests.kit.toy import insert, transaction


def sized(number: int, size: int = 10, rows: int = 1) -> Transaction:
    """A transaction of so many bytes and rows."""
    return replace(transaction(number, *(insert("orders", row, None, "1.00") for row in range(rows))), size=size)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=1, max_size=3 * TAKEN_AT_ONCE),
    st.lists(st.integers(1, 60), min_size=1),
)
def test_groups_are_the_queue_in_order(made: list[tuple[int, int]], limits: list[int]) -> None:
    """Whatever the groups' sizes, each transaction comes once and in order, and the counts are those of what waits."""
    queue = TransactionQueue(1 << 20)
    want = [sized(number, size, rows) for number, (size, rows) in enumerate(made, 1)]
    for one in want:
        queue.put(one)
    came: list[Transaction] = []
    turn = 0
    while len(queue):
        group = [*queue.drain(limits[turn % len(limits)], 60)]
        turn += 1
        assert sum(len(one.changes) or 1 for one in group[:-1]) < limits[(turn - 1) % len(limits)]
        came += group
        rest = want[len(came) :]
        assert (len(queue), queue.bytes) == (len(rest), sum(one.size for one in rest))
        assert queue.is_pressing == any(not one.is_only_position for one in rest)

    assert came == want


def test_a_group_that_ends_early_leaves_the_rest() -> None:
    """A failure in the middle of a group, or its time's end: what was not given out is still there, in front."""
    queue = TransactionQueue(1 << 20)
    for number in range(1, 4):
        queue.put(sized(number))
    group = queue.drain(100, 60)
    next(group)
    queue.put(sized(4))
    group.close()

    assert [one.end for one in queue.drain(100, 0)] == [sized(2).end]
    assert [one.end for one in queue.drain(100, 60)] == [sized(3).end, sized(4).end]


def test_large_transactions_are_taken_one_by_one() -> None:
    """Beside a full queue, memory holds one large transaction that is being applied, and not fifty."""
    queue = TransactionQueue(1 << 30)
    for number in range(1, 6):
        queue.put(sized(number, size=state_thread.TAKEN_BYTES))
    group = queue.drain(100, 60)
    next(group)

    assert queue.bytes == 4 * state_thread.TAKEN_BYTES
    group.close()


def test_the_reader_goes_on_when_half_of_the_queue_is_gone() -> None:
    """A reader that waits is woken for many transactions at once, and never forgotten."""
    queue = TransactionQueue(1000)
    for number in range(1, 101):
        queue.put(sized(number))
    has_room = threading.Event()

    def read() -> None:
        queue.put(sized(101))
        has_room.set()

    reader = threading.Thread(target=read)
    reader.start()
    came = [*queue.drain(50, 60)]
    assert has_room.wait(10)
    reader.join()
    came += queue.drain(1000, 60)

    assert [one.end for one in came] == [sized(number).end for number in range(1, 102)]
