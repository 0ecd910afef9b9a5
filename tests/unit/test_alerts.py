"""Alert rules and dashboard: each alert fires when it should and has a runbook; queries name metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdc.web import catalogue
from tests.kit.install import Unavailable, promtool

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "deploy" / "helm" / "magento-cdc" / "files"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for rule in yaml.safe_load((FILES / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
}
LABELS: dict[str, tuple[str, ...]] = {
    **{name: meaning.labels for name, meaning in catalogue.COUNTERS.items()},
    **{name: meaning.labels for name, meaning in catalogue.GAUGES.items()},
    **{name: meaning.labels for name, meaning in catalogue.HISTOGRAMS.items()},
}

HEALTHY = {
    "magento_cdc_info{instance='a',version='1'}": "1x400",
    "process_start_time_seconds{instance='a'}": "100x400",
    "magento_cdc_ready{instance='a'}": "1x400",
    "magento_cdc_source_silence_seconds{instance='a'}": "5x400",
    "magento_cdc_read_lag_seconds{instance='a'}": "0.4x400",
    "magento_cdc_retention_left_seconds{instance='a'}": "604800x400",
    "magento_cdc_rows_not_in_log{instance='a'}": "0x400",
    "magento_cdc_stale_tables{instance='a'}": "0x400",
    "magento_cdc_outbox_age_seconds{instance='a'}": "0x400",
    "magento_cdc_outbox_held{instance='a'}": "0x400",
    "magento_cdc_outbox{instance='a',object_type='DEAL'}": "3x400",
    "magento_cdc_requests_total{instance='a',status='ok'}": "0+10x400",
    "magento_cdc_requests_total{instance='a',status='refused'}": "0x400",
    "magento_cdc_delivery_latency_seconds_bucket{instance='a',le='1'}": "0+10x400",
    "magento_cdc_delivery_latency_seconds_bucket{instance='a',le='1800'}": "0+10x400",
    "magento_cdc_delivery_latency_seconds_bucket{instance='a',le='+Inf'}": "0+10x400",
    "magento_cdc_last_accepted_timestamp_seconds{instance='a'}": "0+60x400",
    "magento_cdc_dead_letters_held{instance='a'}": "0x400",
    "magento_cdc_bad_records_held{instance='a'}": "0x400",
    "magento_cdc_daily_quota_limit{instance='a',family='objects'}": "1000x400",
    "magento_cdc_daily_quota_left{instance='a',family='objects'}": "900x400",
    "magento_cdc_state_free_bytes{instance='a'}": "5e9x400",
    "magento_cdc_state_wal_bytes{instance='a'}": "8e6x400",
    "magento_cdc_member_role{instance='a',job='m',role='leader'}": "1x400",
    "magento_cdc_member_role{instance='a',job='m',role='follower'}": "0x400",
    "magento_cdc_relay_waiting_bytes{instance='a'}": "0x400",
    "magento_cdc_log_lines_dropped_total{instance='a'}": "0x400",
}
"""Series of a daemon that is well, one value a minute."""

ILL: dict[str, tuple[str, dict[str, str]]] = {
    "MagentoCdcDown": ("6m", {"info{instance='a',version='1'}": "_x400"}),
    "MagentoCdcRestarts": ("10m", {"process_start_time_seconds{instance='a'}": "0+100x400"}),
    "MagentoCdcNotReady": ("12m", {"ready{instance='a'}": "0x400"}),
    "MagentoCdcSourceSilent": ("8m", {"source_silence_seconds{instance='a'}": "0+60x400"}),
    "MagentoCdcReadLag": ("16m", {"read_lag_seconds{instance='a'}": "0+120x400"}),
    "MagentoCdcLogPurgedSoon": ("6m", {"retention_left_seconds{instance='a'}": "7200-60x400"}),
    "MagentoCdcRowsNotInLog": ("6m", {"rows_not_in_log{instance='a'}": "2x400"}),
    "MagentoCdcTablesStale": ("125m", {"stale_tables{instance='a'}": "1x400"}),
    "MagentoCdcOutboxOld": ("80m", {"outbox_age_seconds{instance='a'}": "0+60x400"}),
    "MagentoCdcRequestsFail": ("40m", {"requests_total{instance='a',status='refused'}": "0+5x400"}),
    "MagentoCdcSlow": ("40m", {"delivery_latency_seconds_bucket{instance='a',le='1'}": "0x400"}),
    "MagentoCdcNothingAccepted": ("40m", {"last_accepted_timestamp_seconds{instance='a'}": "60x400"}),
    "MagentoCdcDeletionsHeld": ("6m", {"outbox_held{instance='a'}": "700x400"}),
    "MagentoCdcDeadLetters": ("16m", {"dead_letters_held{instance='a'}": "1x400"}),
    "MagentoCdcBadRecords": ("16m", {"bad_records_held{instance='a'}": "1x400"}),
    "MagentoCdcDailyQuotaLow": ("12m", {"daily_quota_left{instance='a',family='objects'}": "50x400"}),
    "MagentoCdcDiskLow": ("12m", {"state_free_bytes{instance='a'}": "5e8x400"}),
    "MagentoCdcWalGrows": ("32m", {"state_wal_bytes{instance='a'}": "9e8x400"}),
    "MagentoCdcNoLeader": (
        "6m",
        {
            "member_role{instance='a',job='m',role='leader'}": "0x400",
            "member_role{instance='a',job='m',role='follower'}": "1x400",
        },
    ),
    "MagentoCdcRelayBehind": ("16m", {"relay_waiting_bytes{instance='a'}": "9e7x400"}),
    "MagentoCdcLogLinesDropped": ("5m", {"log_lines_dropped_total{instance='a'}": "0+3x400"}),
}
"""Alert → when it fires at the latest, and the series that are otherwise than in HEALTHY (without our prefix)."""


def named(series: str) -> str:
    """The series' full name."""
    return series if series.startswith("process_") else f"{catalogue.PREFIX}{series}"


def case(series: dict[str, str], at: str, expected: dict[str, int]) -> dict[str, Any]:
    """One of promtool's tests: how many alerts of each name fire at that time."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for name, count in expected.items()
        ],
    }


def test_each_alert_fires_and_none_does_without_need(tmp_path: Path) -> None:
    """Each alert fires under its own symptom, after its time; under a healthy daemon's figures none fires."""
    try:
        tool = promtool()
    except Unavailable as error:
        pytest.skip(str(error))
    tests = [case(HEALTHY, "300m", dict.fromkeys(RULES, 0))]
    for name, (at, series) in ILL.items():
        tests.append(case(HEALTHY | {named(key): values for key, values in series.items()}, at, {name: 1}))
    path = tmp_path / "alerts.test.yaml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(FILES / "alerts.yaml")], "evaluation_interval": "1m", "tests": tests})
    )
    done = subprocess.run([tool, "test", "rules", str(path)], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_test_and_each_healthy_series_exists() -> None:
    """No alert is left out above, and the symptoms are series of the healthy daemon with other values."""
    assert ILL.keys() == RULES.keys()
    assert {named(key) for _, series in ILL.values() for key in series} <= HEALTHY.keys()


@pytest.mark.parametrize("name", RULES)
def test_each_alert_has_a_runbook(name: str) -> None:
    """The link leads to a heading of docs/operate.md; the alert says how urgent it is and what it means."""
    rule = RULES[name]
    document, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"(?m)^#+ (.+)$", (ROOT / document).read_text(encoding="utf-8"))

    assert anchor == name.lower()
    assert name in headings
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


def queries() -> list[tuple[str, str]]:
    """(where, PromQL) of every alert and every panel."""
    dashboard = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
    found = [(name, rule["expr"]) for name, rule in RULES.items()]
    found += [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
    found += [(one["name"], one["query"]["query"]) for one in dashboard["templating"]["list"] if one["type"] == "query"]
    return found


@pytest.mark.parametrize(("where", "query"), queries())
def test_queries_name_metrics_and_labels_that_exist(where: str, query: str) -> None:
    """Each metric of ours is in the catalogue, and each label asked for is the metric's own or Prometheus'."""
    names = re.findall(rf"{catalogue.PREFIX}(\w+)(?:{{([^}}]*)}})?", query)
    assert names, where
    for name, labels in names:
        metric = re.sub(r"_(bucket|sum|count)$", "", name)
        assert metric in LABELS, f"{where} asks for {name}"

        assert {*re.findall(r"(\w+)\s*[=!]", labels)} <= {*LABELS[metric], "instance", "job", "le"}, where


def test_panels_do_not_overlap() -> None:
    """Every panel has its own place on a grid of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
