"""The shop's life in a log whose rows are not whole: HubSpot ends as it does with whole ones."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Rig, a_rig
from tests.acceptance.test_shop_day import Traffic
from tests.acceptance.test_starts import started
from tests.kit.daemon import wait_until
from tests.kit.servers import Server
from tests.kit.shop_day import play, random_ops

pytestmark = pytest.mark.slow


def paced(operations: Iterable[object], count: int) -> None:
    """Do the first ``count`` operations, with ten milliseconds after each."""
    for _ in itertools.islice(operations, count):
        time.sleep(0.01)


@pytest.fixture
def partial_rig(server: Server, tmp_path: Path, image: str) -> Iterator[Rig]:
    """A rig whose server writes such images."""
    server.run(f"SET GLOBAL binlog_row_image = '{image}'")
    try:
        with a_rig(server, tmp_path) as made:
            yield made
    finally:
        server.run("SET GLOBAL binlog_row_image = DEFAULT")


@pytest.mark.parametrize(
    ("server", "image", "start"),
    [
        ("mariadb", "MINIMAL", "import"),
        ("mysql", "MINIMAL", "import"),
        pytest.param("mysql", "MINIMAL", "latest", marks=pytest.mark.soak),
        pytest.param("mariadb", "NOBLOB", "import", marks=pytest.mark.soak),
    ],
    indirect=["server"],
)
def test_a_storm_of_partial_images_ends_in_equality(partial_rig: Rig, image: str, start: str) -> None:
    """Before the daemon comes, while it is killed and restarted, and after: the sandbox ends equal to the shop."""
    rig = partial_rig
    rig.toml = started(rig.toml, start)
    rng = random.Random(7)
    if start == "import":
        play(rig.shop, seed=6)
    traffic = Traffic(lambda: paced(random_ops(rig.shop, random.Random(8)), 200))
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"] or start == "import", 30, "the daemon follows the log")
        traffic.start()
        for _ in range(4):
            time.sleep(rng.uniform(0.1, 0.8))
            daemon.kill()
            daemon.start()
        traffic.finish()
        rig.wait_for_equality()
        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}
