"""What all integration tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.canary import assert_folder_tells_nothing


@pytest.fixture(autouse=True)
def nothing_is_told(tmp_path: Path) -> Iterator[None]:
    """When all is torn down, everything that the run wrote is searched for values of people and for secrets."""
    yield
    assert_folder_tells_nothing(tmp_path)
