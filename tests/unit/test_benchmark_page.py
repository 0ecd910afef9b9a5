"""docs/benchmarks.md is written from a run: each side has a row, a side that was skipped says why."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from tests.benchmarks.peers.paper import BY_HAND, page, picture
from tests.benchmarks.peers.rig import Rig

TAKEN = {"wall_s": 4.0, "cpu_s": 2.0, "rss_mb": 90.0, "records": 700, "first_s": 1.0, "last_s": 3.0}


def side(name: str, *taken: dict[str, Any], skipped: str = "") -> dict[str, Any]:
    """One side of a run."""
    return {
        "server": "mysql", "version": "9.7.4-2", "side": name, "does": "decodes", "skipped": skipped, "orders": 100,
        "changes": 700, "megabytes": 5.0, "taken": list(taken),
    }  # fmt: skip


SIDES = [
    side("Debezium", TAKEN | {"wall_s": 8.0, "cpu_s": 4.0}),
    side("magento-cdc", TAKEN, TAKEN | {"wall_s": 6.0}, TAKEN | {"wall_s": 5.0}),
    side("mariadb-binlog -v", skipped="it refuses <this> server"),
]


def test_the_page_has_a_row_per_side_with_medians_and_ratios() -> None:
    """Medians of the rounds; the ratio to Debezium start included, from the first record on, and of CPU."""
    text = "\n".join(page(Rig("on a machine", is_busy=True), SIDES))
    assert "| magento-cdc | decodes | 5.0 | 2.0 | 2.0 | 140 | 90 |" in text
    assert "| mariadb-binlog -v | skipped: it refuses <this> server | | | | | |" in text
    assert "1.60 times Debezium's rate" in text
    assert "0.50 of Debezium's processor time" in text
    assert "at 1.00 times" in text
    assert "other programs ran beside" in text
    assert "other programs ran beside" not in "\n".join(page(Rig("on a machine", is_busy=False), SIDES))


def test_what_people_wrote_stays_when_the_page_is_written_again() -> None:
    """The part from its heading on is kept word for word, however often the page is written; all else is new."""
    old = f"# Old\n\nold figures, see {BY_HAND} below\n\n{BY_HAND}\n\nWords | and a table.\n"
    for _ in range(2):
        old = "\n".join(page(Rig("on a machine", is_busy=False), SIDES, old))
    assert old.endswith(f"\n\n{BY_HAND}\n\nWords | and a table.\n")
    assert old.count(BY_HAND) == 1
    assert "old figures" not in old


def test_the_picture_has_two_bars_per_measured_side() -> None:
    """It is well-formed SVG; nothing is drawn of a side that was skipped."""
    root = ElementTree.fromstring("\n".join(picture(SIDES)))
    bars = [one for one in root if one.tag.endswith("rect")]
    assert len(bars) == 1 + 2 * 2
    assert not [one for one in root if "binlog" in (one.text or "")]
