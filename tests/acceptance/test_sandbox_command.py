"""The sandbox as a merchant's CI runs it: ``magento-cdc sandbox --strict`` fails a run that broke a rule."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.kit.daemon import COMMAND


@pytest.mark.parametrize(("lsns", "code"), [((1_700_000_000_000, 1_700_000_000_001), 0), ((1_700_000_000_001, 1), 1)])
def test_the_exit_code_says_whether_the_rules_were_kept(lsns: tuple[int, ...], code: int) -> None:
    """SIGTERM ends with 0 after a good client and with 1 after a bad one, which it names."""
    command = [str(COMMAND), "sandbox", "--port", "0", "--strict"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://[0-9.:]+", process.stderr.readline())
        assert found
        for lsn in lsns:
            item = {
                "integratorObjectId": "c1",
                "action": "UPSERT",
                "changeOccurredTimestamp": lsn,
                "propertyNameToValues": {"email": "ann@example.com", "firstname": str(lsn)},
            }
            url = f"{found[0]}/extensions/ecomm/v1/sync-messages/CONTACT?hapikey=sandbox"
            request = urllib.request.Request(url, json.dumps([item]).encode(), method="PUT")
            urllib.request.urlopen(request, timeout=10).close()
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=20)

    assert process.returncode == code
    assert "2 messages accepted" in words
    assert ("changed_at_not_rising: CONTACT c1" in words) == bool(code)


def test_crm_rules_count_too_and_calls_are_recorded(tmp_path: Path) -> None:
    """A record that nobody finds by key breaks a rule; the file has the call and its answer, and never the token."""
    recorded = tmp_path / "exchanges.jsonl"
    command = [str(COMMAND), "sandbox", "--port", "0", "--strict", "--record", str(recorded)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://[0-9.:]+", process.stderr.readline())
        assert found
        body = json.dumps({"properties": {"email": "ann@example.com"}}).encode()
        headers = {"Authorization": "Bearer sandbox", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{found[0]}/crm/objects/2026-09/contacts", body, headers)
        urllib.request.urlopen(request, timeout=10).close()
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "1 CRM calls, 1 rules of sending broken" in words
    assert "record_without_key: CONTACT" in words
    line = json.loads(recorded.read_text())
    assert (line["method"], line["path"], line["status"]) == ("POST", "/crm/objects/2026-09/contacts", 201)
    assert json.loads(line["answer"])["properties"]["email"] == "ann@example.com"
    assert "Bearer" not in recorded.read_text()
    assert recorded.stat().st_mode & 0o777 == 0o600
