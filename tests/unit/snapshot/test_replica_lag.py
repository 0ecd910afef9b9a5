"""How a replica's own words about its lag are understood."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from cdc.errors import SetupError
from cdc.settings.history import HistorySettings
from cdc.settings.source import SourceSettings
from cdc.snapshot.replica_lag import replica_findings, replica_of, statement_for, worst_lag_s
from cdc.source.server import Flavor, ServerIdentity


@pytest.mark.parametrize(
    ("channels", "lag_s"),
    [
        ([{"Seconds_Behind_Source": 0}], 0),
        ([{"Seconds_Behind_Master": "12"}], 12),
        ([{"Seconds_Behind_Source": 3}, {"Seconds_Behind_Source": 40}], 40),
        ([{"Seconds_Behind_Source": 3}, {"Seconds_Behind_Source": None}], math.inf),
    ],
)
def test_the_worst_channel_is_the_lag(channels: list[dict[str, object]], lag_s: float) -> None:
    """A stopped channel says NULL, and counts as infinitely far behind."""
    assert worst_lag_s(channels, "a server") == lag_s


@pytest.mark.parametrize("channels", [[], [{"Delay": 1}]])
def test_a_server_that_says_no_lag_is_not_taken_for_a_replica_without_lag(channels: list[dict[str, object]]) -> None:
    """No replication, or no number that is understood, is a fault with a sentence."""
    with pytest.raises(SetupError, match=r"db\.example\.com:3306 (is no replica|shows no)"):
        worst_lag_s(channels, "db.example.com:3306")


@pytest.mark.parametrize(
    ("flavor", "version", "statement"),
    [
        ("mariadb", (10, 6), "SHOW ALL SLAVES STATUS"),
        ("mysql", (5, 7, 44), "SHOW SLAVE STATUS"),
        ("mysql", (8, 0, 21), "SHOW SLAVE STATUS"),
        ("mysql", (8, 0, 22), "SHOW REPLICA STATUS"),
        ("mysql", (9, 0), "SHOW REPLICA STATUS"),
    ],
)
def test_each_server_is_asked_in_its_own_words(flavor: Flavor, version: tuple[int, ...], statement: str) -> None:
    """MySQL renamed the statement in 8.0.22; MariaDB shows all channels only with ALL."""
    assert statement_for(ServerIdentity(flavor, version, "", "", True, True)) == statement


@pytest.mark.parametrize("half", [{"max_replica_lag_s": 5}, {"replica_host": "db.example.com"}])
def test_a_lag_without_a_replica_is_refused_and_a_replica_without_a_lag(half: dict[str, object]) -> None:
    """Half of the pair would have no effect, and nobody would hear of it."""
    with pytest.raises(ValidationError, match="needs"):
        HistorySettings.model_validate(half)


def test_without_a_named_replica_none_is_asked() -> None:
    """The default waits for no replica, and ``check`` says nothing of one."""
    assert replica_of(SourceSettings(), HistorySettings()) is None
    assert replica_findings(SourceSettings(), HistorySettings()) == []


def test_a_replica_that_is_away_is_a_reason_to_wait_and_a_fault_in_check() -> None:
    """Nobody listens at port 1: the lag is not known, which is never taken for no lag."""
    history = HistorySettings(max_replica_lag_s=5, replica_host="127.0.0.1", replica_port=1)
    replica = replica_of(SourceSettings(), history)
    assert replica is not None
    assert replica.reason_to_wait().startswith("the lag of replica 127.0.0.1:1 is not known: ")
    (finding,) = replica_findings(SourceSettings(), history)
    assert not finding.ok
