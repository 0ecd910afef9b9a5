"""The ledger's table has differences, its view plain values: what is written is what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cdc.messages import ledger
from cdc.messages.ledger import AcceptedSide, Ledger
from cdc.messages.outbox import Entry
from cdc.model import Action, Kind, ObjectRef, Urgency
from tests.kit.toy import toy_engine

WHO = ObjectRef(Kind.ORDER, 7)
HASHES = st.sampled_from([bytes([n]) * 16 for n in range(3)])
TIMES = st.integers(1, 50)
RECORDS = st.sampled_from(["", "7", "007", "12345678901234567890", "abc", "7"])


class Plain:
    """The line as plain values, changed in the plainest way."""

    rendered_hash: bytes | None = None
    rendered_at = 0
    accepted_hash: bytes | None = None
    accepted_at = 0
    tried_at = 0
    sent_ms = 0
    answered_ms = 0
    record_id = ""


class Lines(RuleBasedStateMachine):
    """Every event of the ledger, in any order."""

    folder: Path
    number = 0

    def __init__(self) -> None:
        super().__init__()
        Lines.number += 1
        self.engine = toy_engine(Lines.folder / str(Lines.number))
        self.store = self.engine.store
        self.ledger = Ledger(self.store)
        self.want = Plain()
        self.is_there = False

    def teardown(self) -> None:
        """Close the state."""
        self.engine.close()

    @rule(digest=HASHES, at=TIMES)
    def render(self, digest: bytes, at: int) -> None:
        """A new version is rendered."""
        with self.store.transaction():
            self.ledger.set_rendered(WHO, digest, at, delete=False, properties=5)
        self.is_there = True
        self.want.rendered_hash, self.want.rendered_at = digest, at

    @rule(at=TIMES, now=TIMES)
    def send(self, at: int, now: int) -> None:
        """A version goes on the wire."""
        with self.store.transaction():
            ledger.on_wire(self.store, [entry(at, b"")], now)
        if self.is_there:
            self.want.tried_at, self.want.sent_ms = max(self.want.tried_at, at), now

    @rule(digest=HASHES, at=TIMES, now=TIMES)
    def accept(self, digest: bytes, at: int, now: int) -> None:
        """A version is accepted."""
        with self.store.transaction():
            ledger.accepted(self.store, [entry(at, digest)], now)
        if self.is_there and self.want.accepted_at <= at:
            self.want.accepted_hash, self.want.accepted_at, self.want.answered_ms = digest, at, now

    @rule(now=TIMES)
    def answer(self, now: int) -> None:
        """Another answer than acceptance."""
        with self.store.transaction():
            ledger.note_answers(self.store, [(WHO, "refused")], now)
        if self.is_there:
            self.want.answered_ms = now

    @rule()
    def revoke(self) -> None:
        """The version is not accepted after all."""
        with self.store.transaction():
            ledger.revoked(self.store, WHO)
        self.want.accepted_hash, self.want.accepted_at = None, 0

    @rule()
    def forget(self) -> None:
        """The next rendering counts as changed."""
        with self.store.transaction():
            ledger.forget_rendered(self.store, WHO)
        if self.is_there:
            self.want.rendered_hash = b""

    @rule()
    def take_back(self) -> None:
        """The waiting message was dropped."""
        with self.store.transaction():
            ledger.take_back_rendered(self.store, [WHO])
        if self.want.accepted_at > 0:
            self.want.rendered_at = self.want.accepted_at

    @rule(record=RECORDS)
    def record(self, record: str) -> None:
        """The receiver's record is known, or no longer."""
        with self.store.transaction():
            ledger.note_records(self.store, [(WHO, record)])
        if self.is_there:
            self.want.record_id = record

    @rule(now=TIMES, record=RECORDS)
    def stray(self, now: int, record: str) -> None:
        """The receiver holds a record of an object that the shop does not have."""
        with self.store.transaction():
            ledger.note_stray(self.store, WHO, record, now)
        want = self.want
        want.rendered_hash, want.record_id = b"\0", record
        if not self.is_there:
            want.rendered_at = want.accepted_at = want.tried_at = now
        want.accepted_at = max(want.accepted_at, 1)
        self.is_there = True

    @rule(digest=HASHES, rendered=HASHES, at=TIMES, record=RECORDS)
    def copy(self, digest: bytes, rendered: bytes, at: int, record: str) -> None:
        """A member copies what the leader knows."""
        side = AcceptedSide(digest, at, False, "", b"", 0, record, b"")
        with self.store.transaction():
            ledger.copy_accepted(self.store, WHO, side)
            ledger.settle_copied(self.store, WHO, rendered, side, 5)
        want, same = self.want, rendered == digest
        self.is_there = True
        want.accepted_hash, want.accepted_at, want.record_id, want.rendered_hash = digest, at, record, rendered
        want.rendered_at = at if same else max(want.rendered_at, at)
        want.tried_at = at if same else max(want.tried_at, at)

    @invariant()
    def the_view_shows_it(self) -> None:
        """The view has the plain values."""
        if not self.is_there:
            return
        names = [name for name in vars(Plain) if not name.startswith("_")]
        row: tuple[Any, ...] = self.store.db.execute(f"SELECT {', '.join(names)} FROM ledger").fetchone()
        assert dict(zip(names, row, strict=True)) == {name: getattr(self.want, name) for name in names}


def entry(at: int, digest: bytes) -> Entry:
    """A message of this version."""
    return Entry(WHO, 1, Action.UPSERT, at, digest, "{}", (), Urgency.LIVE, 0, 0, 0, "")


def test_every_event_leaves_the_plain_values(tmp_path: Path) -> None:
    """After any events in any order, the view shows what they say, as if the table had plain columns."""
    Lines.folder = tmp_path
    run_state_machine_as_test(
        Lines,
        settings=settings(
            max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("digests", [(b"a" * 16, b"a" * 16), (b"a" * 16, b"b" * 16)])
def test_what_is_settled_takes_little_room(tmp_path: Path, digests: tuple[bytes, bytes]) -> None:
    """The newest version is accepted: its hash is stored once, and its times are one time and small differences."""
    engine = toy_engine(tmp_path)
    rendered, accepted = digests
    with engine.store.transaction():
        Ledger(engine.store).set_rendered(WHO, rendered, 1_790_000_000_000, delete=False, properties=5)
        ledger.on_wire(engine.store, [entry(1_790_000_000_000, accepted)], 1_790_000_000_100)
        ledger.accepted(engine.store, [entry(1_790_000_000_000, accepted)], 1_790_000_000_180)
    [row] = engine.store.db.execute(
        "SELECT accepted_hash, accepted_after, tried_after, answered_after FROM ledger_line"
    )

    assert row == (1 if rendered == accepted else accepted, 0, 0, 80)
