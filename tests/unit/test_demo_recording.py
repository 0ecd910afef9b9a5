"""The demo's recorded log, as it is shipped."""

from __future__ import annotations

import pytest

from tests.record_demo import TARGET, check


def test_the_shipped_recording_is_whole_small_and_names_nobody() -> None:
    """The recording passes the checks that the recorder makes."""
    check(TARGET.read_bytes())


def test_the_check_refuses_an_address_of_someone_who_might_exist() -> None:
    """One address outside example.com is enough to refuse a recording."""
    with pytest.raises(ValueError, match="addresses outside"):
        check(TARGET.read_bytes() + b"\x0ejane@example.org")
