"""A transaction that touches more than memory should hold ends in the state it would end in anyway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cdc.engine import group as module
from cdc.engine.engine import Engine
from cdc.engine.heartbeat import Heartbeat
from cdc.model import Feed, StaleTable, Transaction
from cdc.replica import resync
from tests.kit.toy import contents, delete, insert, outbox_rows, position, toy_engine, transaction, update


def giant(count: int) -> Transaction:
    """Orders that come, change, and in part go again."""
    made = [insert("orders", number, None, "1.00") for number in range(count)]
    made += [update("orders", (number, None, "1.00"), (number, None, "2.00")) for number in range(count)]
    made += [delete("orders", number, None, "2.00") for number in range(0, count, 3)]
    return transaction(100, insert("groups", 1, "General"), insert("customers", 1, "a@example.com", 1), *made)


def end_state(engine: Engine) -> tuple[object, object]:
    """Rows, and what is to be sent, once nothing waits any more."""
    while True:
        with engine.store.transaction():
            if not engine.work():
                break
    sent = {key: (action, body) for key, (action, body, _) in outbox_rows(engine).items()}
    return contents(engine), sent


@pytest.mark.parametrize("is_replayed", [False, True])
@pytest.mark.parametrize("most", [1, 7, 10_000])
def test_touches_that_are_put_off_are_rendered_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, is_replayed: bool
) -> None:
    """Affected objects that do not fit memory wait in the render queue; rows and messages are the same at the end."""
    plain = toy_engine(tmp_path / "plain")
    with plain.store.transaction():
        plain.apply_group([giant(30)])
    monkeypatch.setattr(module, "AFFECTED_AT_ONCE", most)
    engine = toy_engine(tmp_path / "spread")
    with engine.store.transaction():
        engine.apply_group([giant(30)])
    if is_replayed:
        with engine.store.transaction():
            engine.moves.rewind(position(4))
            engine.apply_group([giant(30)])

    assert end_state(engine) == end_state(plain)


def test_a_giant_transaction_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applying one may take longer than a thread may be silent, and is not hanging."""
    engine = toy_engine(tmp_path)
    beats: list[int] = []
    monkeypatch.setattr(Heartbeat, "__call__", lambda _: beats.append(1))
    with engine.store.transaction():
        engine.apply_group([giant(module.BEAT_CHANGES)])

    assert len(beats) == 2


def test_dropping_what_a_topic_no_longer_has_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic read again brings one of 40 orders: the others go in one turn, which takes long for millions of them."""
    monkeypatch.setattr(resync, "DROP_AT_ONCE", 10)
    engine = toy_engine(tmp_path)
    orders = [insert("orders", number, None, "1.00") for number in range(40)]
    with engine.store.transaction():
        engine.apply_group([transaction(100, *orders)])
        engine.stale_tables.read_topic_again([StaleTable("orders", "lost")], position(200), position(300))
    beats: list[int] = []
    monkeypatch.setattr(Heartbeat, "__call__", lambda _: beats.append(1))
    with engine.store.transaction():
        engine.apply_group([transaction(250, orders[7])])
        engine.apply_group([replace(transaction(300), feed=Feed(is_loaded=True))])

    assert [row[0] for row in contents(engine)["orders"]] == [7]
    assert len(beats) == 3
