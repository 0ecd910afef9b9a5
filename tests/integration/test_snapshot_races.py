"""A shop that is changed while it is copied: whatever the moments are, the copy and what was sent end equal to it.

``make test`` draws a few races on each server, ``make soak`` SOAK_SEEDS of them, 200 if it is not set. A race of many
threads is not the same twice, but its seed draws the same statements.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.kit.races import RaceServer
from tests.kit.servers import Server

pytestmark = pytest.mark.slow
IS_SOAK: Final = "SOAK_SEED" in os.environ
FIRST: Final = int(os.environ.get("SOAK_SEED", "1"))
SEEDS: Final = int(os.environ.get("SOAK_SEEDS", "200")) if IS_SOAK else 5


def test_a_copy_under_fire_ends_equal_to_the_shop(server: Server) -> None:
    """Moved keys, deletions, rows that come again, cascades, swaps, definitions, rotations and restarts of ours."""
    with RaceServer(server) as races:
        messages = sum(len(races.run(FIRST + number).messages) for number in range(SEEDS))

    assert messages
