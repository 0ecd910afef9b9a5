"""A transaction that touches more than memory should hold ends in the state it would end in anyway."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.engine import group as module
from cdc.engine.engine import Engine
from cdc.model import Transaction
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
    """What does not fit memory waits in the dirty table; rows and messages at the end are the same, replayed too."""
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


def test_a_giant_transaction_gives_signs_of_life(tmp_path: Path) -> None:
    """Applying one may take longer than a thread may be silent, and is not hanging."""
    engine = toy_engine(tmp_path)
    beats = []
    engine.on_beat = lambda: beats.append(1)
    with engine.store.transaction():
        engine.apply_group([giant(module.BEAT_CHANGES)])

    assert len(beats) == 2
