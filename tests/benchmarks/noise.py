"""How much of a shop's log is for HubSpot: a hundred business events, and the noise around them, counted step by step.

The scenes of ``tests.kit.events`` on a MariaDB with Magento's columns, foreign keys and all 111 triggers of its
indexers, each followed by carts, visitors and cron, every tenth by an afternoon of merchandising and an emptied
changelog, as a shop has them between two events. Then a day of carts, with carts off and on (cart_noise.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from tests.benchmarks import cart_noise
from tests.benchmarks.row import Row
from tests.kit.events import SCENES, Scene, World
from tests.kit.played_scenes import tell
from tests.kit.recording import record
from tests.kit.servers import MariaDB

ONLY_BY_NAME = True
_NOISE = "between-"


def scenes() -> tuple[Scene, ...]:
    """Every event of business, each with what goes on between it and the next."""
    found: list[Scene] = []
    for number, (name, play) in enumerate(SCENES):
        if not name.startswith("noise-"):
            found += ((name, play), (f"{_NOISE}{number}", partial(_meanwhile, number)))
    return tuple(found)


def _meanwhile(number: int, world: World) -> None:
    shop = world.shop
    steps: list[Callable[[], object]] = [
        lambda: shop.add_to_cart([world.products["mug"]], customer=world.customers["regular"], steps=3),
        lambda: shop.add_to_cart([world.products["notebook"]]),
        lambda: shop.browse(customer=world.customers["regular"]),
        lambda: shop.login(world.customers["regular"]),
        lambda: shop.cron_noise(4),
    ]
    for step in steps:
        step()
    if number % 10 == 0:
        shop.merchandise(world.products["mug"])
        shop.reindex_noise()


def rows() -> Iterable[Row]:
    """What each step leaves of the log, for the events of business and for what goes on between them."""
    with MariaDB() as server:
        told = tell(record(server, scenes=scenes()))
    noise = [one for one in told if one.scene.name.startswith(_NOISE)]
    business = [one for one in told if not one.scene.name.startswith(_NOISE)]
    assert not any(one.messages for one in noise), "noise was sent"
    assert not any(one.differences for one in told), "what was sent differs from a full render"
    for name, part in (("business events", business), ("between them", noise)):
        yield from _steps(name, sum((one.counts for one in part), Counter[str]()), sum(one.scene.bytes for one in part))
    yield from cart_noise.rows()


_EVENTS = ("WRITE_ROWS", "UPDATE_ROWS", "DELETE_ROWS")


def _steps(name: str, counts: Counter[str], log_bytes: int) -> Iterable[Row]:
    events = sum(count for kind, count in counts.items() if kind.isupper())
    rows_events = sum(count for kind, count in counts.items() if kind.startswith(_EVENTS))
    skipped = counts["rows_events_skipped"]
    steps = (
        ("log events", events, f"{log_bytes / 1000:,.0f} kB"),
        ("rows events", rows_events, ""),
        ("skipped by table", skipped, f"{skipped / rows_events:.0%} of the rows events"),
        ("rows decoded", counts["rows_decoded"], f"{counts['rows_unchanged']} of them change nothing mapped"),
        ("row changes applied", counts["changes"], ""),
        ("affected objects", counts["affected_objects"], ""),
        ("objects rendered", counts["rendered"], ""),
        ("messages sent", counts["sent"], "0 wanted" if name == "between them" else ""),
    )
    for what, value, note in steps:
        yield Row(f"{name}: {what}", value, "", "", note)
