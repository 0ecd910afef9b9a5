"""Files without a server: what nobody can ask for is said, and said once."""

from __future__ import annotations

from structlog.testing import capture_logs

from cdc.model import Position, Transaction
from cdc.source.files import without_repairs


def test_foreign_keys_that_nobody_can_ask_for_are_told_once() -> None:
    """Files from a shop's first day have a CREATE TABLE for each table: one warning stands for all of them."""
    made = [Transaction((), Position("binlog.000001", at), 0, keys_of=(f"table_{at}",)) for at in (100, 200, 300)]

    with capture_logs() as lines:
        passed = list(without_repairs(iter(made)))

    assert passed == made
    [told] = [line for line in lines if line["event"] == "foreign_keys_not_followed"]
    assert (told["tables"], told["position"]) == (("table_100",), "binlog.000001:100")
