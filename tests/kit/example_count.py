"""How many cases a property test draws."""

from __future__ import annotations

import os
from typing import Final

SOAK_FACTOR: Final = 20


def example_count(count: int) -> int:
    """``count`` in ``make test``; many more in ``make soak``, where they are new ones each time."""
    return count * SOAK_FACTOR if "SOAK_SEED" in os.environ else count
