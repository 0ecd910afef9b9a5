"""``trace``: from an order's number, a SKU or an email address to rows, messages and answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.test_cli import FILES
from tests.kit.daemon import command

JSONL = (*FILES, "--set", "sink.kind=jsonl")


def traced(cwd: Path, *words: str) -> list[dict[str, Any]]:
    """What the command prints for machines."""
    done = command("trace", *words, "--json", *JSONL, cwd=cwd)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_an_object_is_found_by_what_people_call_it(tmp_path: Path) -> None:
    """Our id, the order's number, the email and the SKU lead to the same object, its rows and its last answer."""
    sent = command("run", "--sink", "jsonl", "--until-end", *FILES, cwd=tmp_path).stdout.splitlines()
    lines = {line["external_id"]: line for line in map(json.loads, sent) if line["action"] == "UPSERT"}
    deal = next(line for line in lines.values() if line["associations"].get("CONTACT"))
    contact = lines[deal["associations"]["CONTACT"][0]]
    item = next(line for line in lines.values() if deal["external_id"] in line["associations"].get("DEAL", ()))
    product = lines[item["associations"]["PRODUCT"][0]]

    for word, name, line in (
        ("deal", deal["external_id"], deal),
        ("order", deal["properties"]["order_number"], deal),
        ("contact", contact["properties"]["email"], contact),
        ("product", product["properties"]["sku"], product),
        ("line_item", item["external_id"].rpartition("-")[2], item),
    ):
        found = {one["external_id"]: one for one in traced(tmp_path, word, name)}[line["external_id"]]
        assert found["where"] == [{"state": "accepted", "cause": ""}]
        assert found["rows"]
        assert all(row["position"].startswith("shop-day.000001:") for row in found["rows"])
        assert found["sent"]["answer"] == "accepted"
        assert found["rendered"]["changed_at"] == found["accepted"]["changed_at"] == line["changed_at"]
        assert found["rendered"]["position"] == line["position"]
        assert found["sink"] == {"name": "jsonl", "says": "cannot be asked"}
        assert all(isinstance(value, bool) for value in found["properties"].values())


def test_values_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    """Personal data stays out of the terminal without --values; the table says set or empty."""
    sent = command("run", "--sink", "jsonl", "--until-end", *FILES, cwd=tmp_path).stdout.splitlines()
    contact = next(line for line in map(json.loads, sent) if line["object_type"] == "CONTACT")
    email = contact["properties"]["email"]

    plain = command("trace", "contact", contact["external_id"], *JSONL, cwd=tmp_path)
    full = command("trace", "contact", contact["external_id"], "--values", *JSONL, cwd=tmp_path)
    nothing = command("trace", "order", "no such number", *JSONL, cwd=tmp_path)
    wrong = command("trace", "basket", "1", *JSONL, cwd=tmp_path)

    assert email not in plain.stdout
    assert email in full.stdout
    assert any(line.split() == ["property", "email", "set"] for line in plain.stdout.splitlines())
    assert (nothing.returncode, wrong.returncode) == (1, 2)
    assert "nothing goes by the name order no such number" in nothing.stderr
    assert "name one object, as order 42" in wrong.stderr
