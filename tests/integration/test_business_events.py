"""Every business event of a Magento shop, played on each server: its exact messages, and a full render after it.

The messages expected lie in ``golden/``, one file per event. ``make golden`` writes them.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.kit import golden
from tests.kit.events import PLAYS
from tests.kit.played_scenes import Told, tell
from tests.kit.recording import record
from tests.kit.servers import Server

NAMES = [name for play in PLAYS for name, _ in play.scenes]


@pytest.fixture(scope="module")
def told(server: Server) -> dict[str, Told]:
    """All scenes by name, recorded and told once per server."""
    recordings = [(play, record(server, scenes=play.scenes, mapping=play.mapping)) for play in PLAYS]
    return {one.scene.name: one for play, made in recordings for one in tell(made, play.mapping)}


@pytest.mark.parametrize("name", NAMES)
def test_an_event_sends_exactly_its_messages(told: dict[str, Told], server: Server, name: str) -> None:
    """The messages of one event are those of its golden file, on both kinds of server."""
    found = golden.difference(name, golden.as_text(told[name].messages), type(server).__name__.lower())

    assert not found, f"{found}\nif this is what is wanted: {golden.REWRITE}"


@pytest.mark.parametrize("name", NAMES)
def test_what_was_sent_is_what_the_database_holds(told: dict[str, Told], name: str) -> None:
    """After every event, all messages so far add up to a full render of the database's rows."""
    assert told[name].differences == []


def test_a_cart_that_does_not_change_sends_nothing(told: dict[str, Told]) -> None:
    """Totals, rates and recounts of a cart that is a deal, a cart of nobody, and a quote saved after its order."""
    quiet = [
        f"{prefix}-{name}" for prefix in ("cart", "as-cart", "as-both") for name in ("churn", "nobody", "late-change")
    ]

    assert [name for name in quiet if told[name].messages] == []


def test_every_golden_file_belongs_to_an_event() -> None:
    """No file is left of an event that is not played any more."""
    assert {path.name.split(".")[0] for path in golden.FOLDER.glob("*.txt")} == set(NAMES)


def test_noise_alone_sends_nothing(told: dict[str, Told]) -> None:
    """Logins, carts, cron, indexers, mails, stock and saves without a change are hundreds of events and no message."""
    noise = [told[name] for name in NAMES if name.startswith("noise-")]
    counts = sum((one.counts for one in noise), Counter[str]())

    assert [one.scene.name for one in noise if one.messages] == []
    assert counts["sent"] == 0
    assert counts["rows_events_skipped"] > 100
    assert counts["changes"] <= counts["rows_decoded"]


def test_trap_12_writes_without_a_change_leave_no_event(told: dict[str, Told]) -> None:
    """Same values, a doubled key that is ignored, a rollback: the log has no row of them, and nothing is sent."""
    counts = told["noise-same-statements"].counts

    assert (counts["rows_decoded"], counts["rows_events_skipped"], counts["sent"]) == (0, 0, 0)


def test_trap_13_one_event_may_hold_many_rows(told: dict[str, Told]) -> None:
    """A statement over all subscribers is one event, and every account among them is sent."""
    many = told["customer-newsletter-many"]

    assert many.counts["rows_decoded"] > many.counts["UPDATE_ROWS"] + many.counts["UPDATE_ROWS_V1"]
    assert len(many.messages) > 2
    assert {message.properties["newsletter"] for message in many.messages} == {"unconfirmed"}
