"""The metrics: every name of the catalogue is exported, and what the daemon says arrives."""

from __future__ import annotations

import math
import subprocess
import time
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cdc.model import Latency, ObjectType
from cdc.web import catalogue
from cdc.web.metrics import Metrics
from tests.kit.install import Unavailable, promtool


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """(name without prefix, first label's value) → value."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            label = next(iter(sample.labels.values()), "")
            found[sample.name.removeprefix(catalogue.PREFIX), label] = sample.value
    return found


@pytest.mark.parametrize(
    ("names", "meanings"),
    [
        (catalogue.Counter, catalogue.COUNTERS),
        (catalogue.Gauge, catalogue.GAUGES),
        (catalogue.Histogram, catalogue.HISTOGRAMS),
    ],
)
def test_every_name_has_a_meaning_and_no_other(names: object, meanings: object) -> None:
    """The Literal of names and the table of meanings are the same set."""
    assert set(get_args(names)) == set(meanings)  # type: ignore[call-overload]


def test_every_metric_is_exported() -> None:
    """Each metric of the catalogue is on /metrics, with its meaning as help."""
    text = Metrics().text().decode()

    for meanings in (catalogue.COUNTERS, catalogue.GAUGES, catalogue.HISTOGRAMS):
        for name, meaning in meanings.items():
            assert f"# HELP {catalogue.PREFIX}{name} {meaning.text}" in text


def test_the_status_feeds_counters_and_gauges() -> None:
    """What the view says once a second becomes metrics; totals never fall."""
    metrics = Metrics()
    status: dict[str, object] = {
        "ready": True,
        "source": {"state": "connected", "read_lag_s": 1.5, "silence_s": 4.0, "retention_left_h": 2.0},
        "queue": {"transactions": 2, "bytes": 2048},
        "load": {"state": "loading", "rows": 70},
        "position": "mariadb-bin.000123:4567",
        "transactions": 5,
        "changes": 12,
        "waiting": {"objects": 3, "fetches": 1, "bulk_invalidations": 0},
        "outbox": {"pending": {"DEAL": {"live": 4}}, "blocked": 1, "held": 6, "age_s": 7.5},
        "disk": {"state_bytes": 4096, "wal_bytes": 512, "free_bytes": 10**9},
        "delivery": {"quota": {"objects": {"daily_limit": 1000, "daily_remaining": 250}}},
        "dead_letters": 2,
        "bad_records": 9,
    }
    metrics.refresh(status)
    metrics.refresh(status | {"changes": 15})

    seen = samples(metrics)
    assert seen["transactions_total", ""] == 5
    assert seen["changes_total", ""] == 15
    assert (seen["ready", ""], seen["load_done", ""], seen["load_rows", ""]) == (1, 0, 70)
    assert (seen["position_file", ""], seen["position_offset", ""]) == (123, 4567)
    assert (seen["queue_bytes", ""], seen["read_lag_seconds", ""]) == (2048, 1.5)
    assert (seen["outbox_held", ""], seen["outbox_age_seconds", ""]) == (6, 7.5)
    assert (seen["source_connected", ""], seen["source_silence_seconds", ""]) == (1, 4.0)
    assert seen["retention_left_seconds", ""] == 7200
    assert [seen[f"state_{name}", ""] for name in ("bytes", "wal_bytes", "free_bytes")] == [4096, 512, 10**9]
    assert (seen["daily_quota_limit", "objects"], seen["daily_quota_left", "objects"]) == (1000, 250)
    assert seen["bad_records_held", ""] == 9
    assert (seen["outbox_blocked", ""], seen["dead_letters_held", ""], seen["fetches_pending", ""]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("said", "shown"),
    [("leader", "leader"), ("follower", "follower"), ("alone", "none"), ("taking over", "none"), ("gone", "none")],
)
def test_exactly_one_role_is_ours(said: str, shown: str) -> None:
    """The role that was before goes to nought; what neither leads nor follows is none."""
    metrics = Metrics()
    metrics.refresh({"member": {"role": "leader"}})
    metrics.refresh({"member": {"role": said}})

    seen = samples(metrics)
    assert {role: seen["member_role", role] for role in catalogue.ROLES} == {
        role: float(role == shown) for role in catalogue.ROLES
    }


def test_an_outbox_that_empties_goes_to_nought() -> None:
    """A type that is no longer named has none waiting."""
    metrics = Metrics()
    metrics.refresh({"outbox": {"pending": {"DEAL": {"live": 4, "history": 9}}}})
    assert 'outbox{object_type="DEAL",urgency="history"} 9.0' in metrics.text().decode()

    metrics.refresh({"outbox": {"pending": {}}})
    assert 'outbox{object_type="DEAL",urgency="history"} 0.0' in metrics.text().decode()


def test_a_total_that_begins_anew_is_added() -> None:
    """Counters go on when the part that counts was replaced."""
    metrics = Metrics()
    for total in (10, 12, 3):
        metrics.events({"WRITE_ROWS": total})

    assert samples(metrics)["events_total", "WRITE_ROWS"] == 15


def test_a_strange_status_changes_nothing() -> None:
    """Components that are missing or of another form are left alone."""
    metrics = Metrics()
    metrics.refresh({"outbox": "none", "load": None, "queue": [], "changes": "many", "position": "gtid:0-1-5"})

    assert samples(metrics)["changes_total", ""] == 0


def test_delivery_feeds_its_counters() -> None:
    """Accepted messages, requests, retries and dead letters are counted as they happen."""
    metrics = Metrics()
    metrics.accepted(ObjectType.DEAL, [Latency(0.1, 0.1, 0.15, 0.05, 0.4), None])
    metrics.accepted(ObjectType.DEAL, [Latency(None, None, 0.0, 0.1, 0.1)])
    metrics.requested("ok", 0.2)
    metrics.requested("unavailable", 30.0)
    metrics.batch_sent(100)
    metrics.retried(7)
    metrics.expect(reasons=["refused"])
    metrics.dead_lettered("refused")
    metrics.state_commit(0.004)

    seen = samples(metrics)
    assert seen["accepted_total", "DEAL"] == 3
    assert seen["accepted_total", "CONTACT"] == 0
    assert seen["delivery_latency_seconds_count", "DEAL"] == 2
    stages = {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name.endswith("delivery_stage_seconds_count") and sample.labels["object_type"] == "DEAL"
    }
    assert stages == {"read": 1, "rendered": 1, "sent": 2, "accepted": 2}
    assert (seen["requests_total", "ok"], seen["requests_total", "unavailable"]) == (1, 1)
    assert (seen["request_seconds_count", ""], seen["request_seconds_sum", ""]) == (2, 30.2)
    assert (seen["batch_messages_count", ""], seen["batch_messages_sum", ""]) == (1, 100)
    assert abs(seen["last_accepted_timestamp_seconds", ""] - time.time()) < 60
    assert (seen["retries_total", ""], seen["dead_letters_total", "refused"]) == (7, 1)
    assert seen["state_commit_seconds_count", ""] == 1


def test_a_label_is_never_what_somebody_else_calls_an_error() -> None:
    """Reasons that were not expected are counted together: labels come from a closed list."""
    metrics = Metrics()
    metrics.expect(reasons=["refused"])
    for reason in ("refused", "Aurelia Quill was not found", "x" * 5000):
        metrics.dead_lettered(reason)
    seen = samples(metrics)
    assert (seen["dead_letters_total", "refused"], seen["dead_letters_total", "other"]) == (1, 2)
    assert len([key for key in seen if key[0] == "dead_letters_total"]) == 2


def test_series_exist_before_anything_is_counted() -> None:
    """What may be counted is there at nought, so that increase() sees the first event; what is not known is NaN."""
    metrics = Metrics()
    metrics.expect(outcomes=["ok", "refused"], reasons=["INVALID_EMAIL"], families=["objects"])

    seen = samples(metrics)
    assert (seen["requests_total", "ok"], seen["requests_total", "refused"]) == (0, 0)
    assert seen["dead_letters_total", "INVALID_EMAIL"] == 0
    assert math.isnan(seen["daily_quota_left", "objects"])
    assert math.isnan(seen["last_accepted_timestamp_seconds", ""])
    assert (seen["outbox", "DEAL"], seen["member_role", "leader"]) == (0, 0)


def test_only_a_relay_has_the_relays_metrics() -> None:
    """A plain run shows none of them and takes a status with them in its stride; a relay shows them all."""
    plain, relay = Metrics(is_relay=False), Metrics(is_relay=True)
    for metrics in (plain, relay):
        metrics.refresh({"delivery": {"records": 3, "waiting_bytes": 9}})

    assert "relay_" not in plain.text().decode()
    assert samples(relay)["relay_records_total", ""] == 3
    assert samples(relay)["relay_waiting_bytes", ""] == 9


def test_no_series_says_when_a_metric_was_made() -> None:
    """The library's series ``_created`` would be an eighth of the page, and nobody reads them."""
    assert "_created" not in Metrics().text().decode()


def test_prometheus_own_tool_finds_no_fault() -> None:
    """``promtool check metrics`` takes names, units and help of a page with everything on it."""
    try:
        tool = promtool()
    except Unavailable as error:
        pytest.skip(str(error))
    metrics = Metrics()
    metrics.expect(outcomes=["ok"], reasons=["refused"], families=["objects"])
    metrics.events({"WRITE_ROWS": 1})
    done = subprocess.run([tool, "check", "metrics"], input=metrics.text(), capture_output=True)

    assert (done.returncode, done.stderr.decode()) == (0, "")
