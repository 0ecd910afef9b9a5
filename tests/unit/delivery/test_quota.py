"""The sliding window, the time of a batch, and the halving of a refused one."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.delivery import batch
from cdc.delivery.quota import Call, Traffic, Window
from cdc.delivery.split import bisect
from cdc.model import Quota
from tests.kit.clock import simulate


def test_a_request_leaves_the_window_one_interval_after_its_answer() -> None:
    """It reached the server some time before its answer, so that is when it surely no longer counts there."""
    window = Window(1, 0.1)
    permit = window.start(0.0, Traffic.LIVE)
    assert window.delay_s(1.0, Traffic.LIVE) == math.inf
    window.finish(permit, 2.0)
    assert window.delay_s(3.0, Traffic.LIVE) == 9.0
    assert window.delay_s(12.0, Traffic.LIVE) == 0.0


def test_a_place_given_back_is_free() -> None:
    """Looking into an empty outbox costs no quota."""
    window = Window(1, 0.1)
    window.cancel(window.start(0.0, Traffic.LIVE))
    assert window.delay_s(0.0, Traffic.LIVE) == 0.0


def test_the_limit_is_the_lower_of_ours_and_the_accounts() -> None:
    """Headers lower the limit, and raise it again up to what is set."""
    window = Window(100, 0.1)
    window.learn(Quota(60, None, 10_000), 0.0)
    assert window.limit == 60
    window.learn(Quota(190, None, 10_000), 0.0)
    assert window.limit == 100


def test_a_limit_that_nobody_set_grows_to_the_accounts() -> None:
    """Only where no upper bound is set, and never beyond what any account has, whatever an answer says."""
    open_end = Window(100, 0.1, may_grow=True)
    assert open_end.limit == 100
    for told, limit in ((190, 190), (110, 110), (1_000_000, 500), (0, 500), (None, 500)):
        open_end.learn(Quota(limit=told, interval_ms=10_000), 0.0)
        assert open_end.limit == limit


def test_what_others_use_of_the_account_counts() -> None:
    """Of a limit of 100 with 10 remaining, 90 are in use, whoever sent them."""
    window = Window(100, 0.1)
    window.finish(window.start(0.0, Traffic.LIVE), 0.1)
    window.learn(Quota(100, 10, 10_000), 0.1)
    assert window.used(0.1) == 90
    window.learn(Quota(100, 10, 10_000), 0.2)
    assert window.used(0.2) == 90
    assert window.used(10.2) == 0


@pytest.mark.parametrize(("others", "pieces"), [(0, 10), (3, 7), (6, 4), (14, 4)])
def test_splitting_gets_a_fifth_and_what_others_leave_of_half(others: int, pieces: int) -> None:
    """Pieces of refused batches use half of the window together with others, and a fifth in any case."""
    window = Window(20, 0.1)
    for _ in range(others):
        window.finish(window.start(0.0, Traffic.LIVE), 0.0)
    for _ in range(pieces):
        assert window.delay_s(0.0, Traffic.SPLIT) == 0.0
        window.finish(window.start(0.0, Traffic.SPLIT), 0.0)
    assert window.delay_s(0.0, Traffic.SPLIT) == 10.0
    assert window.delay_s(0.0, Traffic.LIVE) == 0.0


def test_history_is_paced_and_leaves_a_reserve() -> None:
    """History is spread evenly, and the last places of the window stay free for live work."""
    window = Window(100, 0.1)
    now_s, count = 0.0, 0
    while now_s < 9.9:
        now_s += window.delay_s(now_s, Traffic.HISTORY) + 1e-6
        permit = window.start(now_s, Traffic.HISTORY)
        window.began(permit, now_s, Traffic.HISTORY)
        window.finish(permit, now_s)
        count += 1
    assert window.used(now_s) <= 97
    assert count >= 95
    assert window.delay_s(now_s, Traffic.LIVE) == 0.0


@pytest.mark.parametrize(("limit", "answer_s", "share"), [(100, 0.2, 0.96), (190, 0.3, 0.95), (100, 1.0, 0.89)])
def test_slow_answers_cost_history_little(limit: int, answer_s: float, share: float) -> None:
    """A call stays in the window until ten seconds after its answer, and 95 % of the quota are used all the same; the
    longer the answers take, the less. A live change always finds room, and waits that end late cost nothing.
    """
    window = Window(limit, 0.1)
    now_s, starts, under_way = 0.0, [], deque[tuple[float, Call]]()
    while now_s < 60:
        delay_s = window.delay_s(now_s, Traffic.HISTORY)
        if under_way and (delay_s == math.inf or under_way[0][0] <= now_s + delay_s):
            now_s, call = under_way.popleft()
            window.finish(call, now_s)
            continue
        now_s += delay_s + (0.001 if delay_s else 0)
        starts.append(now_s)
        under_way.append((now_s + answer_s, window.start(now_s, Traffic.HISTORY)))
        assert window.delay_s(now_s, Traffic.LIVE) == 0.0
    steady = [at for at in starts if 20 <= at < 60]
    assert len(steady) >= share * 4 * limit
    assert all(sum(1 for at in steady if start <= at < start + 10) <= 0.97 * limit + 1 for start in steady)


def test_history_gets_its_share_while_live_work_is_ready() -> None:
    """With live work ready a tenth of the window is all that history may use."""
    window = Window(100, 0.1)
    for _ in range(10):
        permit = window.start(0.0, Traffic.HISTORY)
        window.began(permit, 0.0, Traffic.HISTORY)
        window.finish(permit, 0.0)
    assert window.delay_s(5.0, Traffic.HISTORY, live_is_ready=True) == 5.0
    assert window.delay_s(5.0, Traffic.HISTORY) == 0.0


@pytest.mark.parametrize(
    ("is_full", "is_idle", "age_ms", "wait_s"),
    [
        pytest.param(False, True, 0, 0.0, id="an-idle-lane-never-waits"),
        pytest.param(True, False, 0, 0.0, id="a-full-batch-never-waits"),
        pytest.param(False, False, 50, 0.15, id="company-may-come"),
        pytest.param(False, False, 200, 0.0, id="long-enough"),
        pytest.param(False, False, -99_999, 0.2, id="a-clock-that-went-back"),
    ],
)
def test_when_a_batch_goes(is_full: bool, is_idle: bool, age_ms: int, wait_s: float) -> None:
    """By count and bytes, by an idle lane, or by the age of its oldest message."""
    now_ms = 1_000_000
    found = batch.wait_s(
        is_full=is_full,
        is_lane_idle=is_idle,
        oldest_rendered_ms=now_ms - age_ms,
        now_ms=now_ms,
        max_delay_ms=200,
    )
    assert found == pytest.approx(wait_s)


@given(size=st.integers(2, 200), guilty=st.sets(st.integers(0, 199), max_size=5))
def test_halving_finds_exactly_the_guilty(size: int, guilty: set[int]) -> None:
    """Whoever stands alone and is refused is guilty; everybody else is delivered, each exactly once."""
    guilty = {number for number in guilty if number < size}
    refused: list[int] = []
    delivered: list[int] = []

    async def attempt(piece: Sequence[int]) -> bool:
        if not guilty.intersection(piece):
            delivered.extend(piece)
        elif len(piece) > 1:
            return False
        else:
            refused.extend(piece)
        return True

    requests = simulate(bisect(range(size), attempt))
    assert sorted(refused) == sorted(guilty)
    assert sorted(refused + delivered) == list(range(size))
    assert requests <= 2 * 8 * max(1, len(guilty)) + 2
