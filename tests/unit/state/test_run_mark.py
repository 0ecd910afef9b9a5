"""An older copy of the state that is put back is noticed, and what was sent since is sent again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.messages import outbox, selection
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits
from cdc.model import Outcome, Transaction, Urgency
from cdc.state import run_mark
from cdc.state.copies import STATE_FILE
from cdc.state.run_mark import MARK_FILE, MarkFile
from tests.kit.toy import FixedClock, delete, insert, toy_engine, transaction, update

MONDAY_MS = 1_700_000_000_000
Hub = dict[str, tuple[int, str, str]]


def run(folder: Path, clock: FixedClock) -> Engine:
    """A run begins, as the daemon has it."""
    engine = toy_engine(folder, clock=clock)
    with engine.store.transaction():
        engine.moves.take_up()
    MarkFile(engine.store).write(engine.positions.high)
    return engine


def end(engine: Engine) -> None:
    """The run notes how far it came, and ends."""
    MarkFile(engine.store).write(engine.positions.high)
    engine.close()


def apply(engine: Engine, *log: Transaction) -> None:
    with engine.store.transaction():
        engine.apply_group(log)


def send(engine: Engine, hub: Hub) -> None:
    """Everything goes to a receiver that ignores what is older than what it has."""
    with engine.store.transaction():
        found = [selection.ready(engine.store, rank, 1 << 50, Urgency.LIVE, Limits(100, 1 << 20)) for rank in range(3)]
        entries = [entry for ready in found for entry in ready.entries]
        selection.note_on_wire(engine.store, entries)
        for entry in entries:
            name = f"{entry.ref.kind}-{entry.ref.id}"
            assert entry.changed_at > hub.get(name, (0,))[0], f"{name} would be ignored as older"
            hub[name] = (entry.changed_at, entry.action.value, entry.properties)
        settle(engine.store, [Settlement(entry, Outcome.ACCEPTED) for entry in entries], MONDAY_MS)
        assert not outbox.is_any(engine.store)


def is_noticed(folder: Path) -> str:
    engine = toy_engine(folder)
    why = run_mark.why_restored(engine.store)
    engine.close()
    return why


def test_runs_one_after_the_other_are_no_restored_copies(tmp_path: Path) -> None:
    """Neither a clean end, nor an end at once, nor one between the two writes of a mark looks like a copy."""
    clock = FixedClock(MONDAY_MS)
    end(run(tmp_path, clock))
    assert is_noticed(tmp_path) == ""
    engine = run(tmp_path, clock)
    apply(engine, transaction(100, insert("customers", 1, "a@example.com", 1)))
    engine.close()
    assert is_noticed(tmp_path) == ""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        run_mark.renew(engine.store)
    engine.close()  # before the file beside the state was written
    assert is_noticed(tmp_path) == ""


def file_alone(copy: Path, folder: Path) -> None:
    shutil.copy2(copy / STATE_FILE, folder / STATE_FILE)


def over_itself(copy: Path, folder: Path) -> None:
    (folder / STATE_FILE).write_bytes((copy / STATE_FILE).read_bytes())


def whole_folder(copy: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def without_the_mark(copy: Path, folder: Path) -> None:
    over_itself(copy, folder)
    (folder / MARK_FILE).unlink()


@pytest.mark.parametrize("put_back", [file_alone, over_itself, whole_folder, without_the_mark])
@pytest.mark.parametrize("has_ended", [False, True], ids=["same run", "earlier run"])
def test_an_older_copy_is_noticed(tmp_path: Path, put_back: Callable[[Path, Path], None], has_ended: bool) -> None:
    """However it was put back, and whether the run that it was made in went on or ended."""
    clock = FixedClock(MONDAY_MS)
    folder, copy = tmp_path / "state", tmp_path / "copy"
    folder.mkdir()
    engine = run(folder, clock)
    apply(engine, transaction(100, insert("customers", 1, "a@example.com", 1)))
    MarkFile(engine.store).write(engine.positions.high)
    engine.store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(folder, copy)
    if has_ended:
        end(engine)
        engine = run(folder, clock)
    apply(engine, transaction(200, insert("customers", 2, "b@example.com", 1)))
    end(engine)
    put_back(copy, folder)
    assert is_noticed(folder) != ""


def test_what_came_and_went_since_the_copy_is_deleted_and_what_changed_is_sent(tmp_path: Path) -> None:
    """Behind a copy's position nobody knows what was sent: all that the log changes goes out, newer than before."""
    clock = FixedClock(MONDAY_MS)
    folder, copy = tmp_path / "state", tmp_path / "copy"
    folder.mkdir()
    hub: Hub = {}
    engine = run(folder, clock)
    apply(
        engine, transaction(100, insert("customers", 1, "a@example.com", 1), insert("customers", 3, "c@example.com", 1))
    )
    send(engine, hub)
    end(engine)
    shutil.copytree(folder, copy)

    log = [
        transaction(200, insert("customers", 2, "ghost@example.com", 1)),
        transaction(300, update("customers", (1, "a@example.com", 1), (1, "b@example.com", 1))),
        transaction(400, delete("customers", 2, "ghost@example.com", 1)),
        transaction(500, update("customers", (1, "b@example.com", 1), (1, "a@example.com", 1))),
    ]
    engine = run(folder, clock)
    clock.ms += 3_600_000
    apply(engine, *log[:2])
    send(engine, hub)  # HubSpot has the ghost, and the other address
    apply(engine, *log[2:])  # not sent: the disk dies
    end(engine)
    assert hub["customer-2"][1] == "UPSERT"

    whole_folder(copy, folder)
    engine = run(folder, clock)
    apply(engine, *log)
    send(engine, hub)
    assert hub["customer-2"][1] == "DELETE"
    assert "a@example.com" in hub["customer-1"][2]
    assert "c@example.com" in hub["customer-3"][2]
    end(engine)

    engine = run(folder, clock)  # noticed once: from here on it is an ordinary state
    clock.ms += 1000
    sent = dict(hub)
    apply(
        engine,
        transaction(600, update("customers", (3, "c@example.com", 1), (3, "c@example.com", 1)), commit_ms=clock.ms),
    )
    send(engine, hub)
    assert hub == sent
    end(engine)
