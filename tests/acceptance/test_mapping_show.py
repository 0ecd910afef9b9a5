"""``mapping show``: what is sent and what it is made from, and one object as it would be sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.test_cli import FILES
from tests.kit.daemon import command

LINES = (*FILES, "--set", "sink.kind=jsonl")


def test_the_mapping_is_shown_as_a_table_and_as_json(tmp_path: Path) -> None:
    """One line a property; what is treated says so; secrets are in none."""
    (tmp_path / "magento-cdc.toml").write_text(
        '[mapping.deal.properties]\ngift_note = { column = "customer_note", target = "shop_note" }\n'
        '[mapping.privacy]\nkey = "a secret of the tests"\ncontact = { phone = "hash" }\n'
    )

    shown = command("mapping", "show", cwd=tmp_path)
    as_json = command("mapping", "show", "--json", cwd=tmp_path)

    assert (shown.returncode, as_json.returncode) == (0, 0)
    lines = {" ".join(line.split()) for line in shown.stdout.splitlines()}
    assert "object property type from crm bridge jsonl" in lines
    assert "DEAL gift_note text sales_order.customer_note shop_note shop_note gift_note" in lines
    assert any(line.startswith("CONTACT phone text, hashed") for line in lines)
    assert "a secret of the tests" not in shown.stdout + shown.stderr
    assert len(json.loads(as_json.stdout)) == len(lines) - 1


def test_an_object_is_rendered_as_it_was_sent(tmp_path: Path) -> None:
    """From the state alone, with nothing sent: the same properties and associations as its last message."""
    done = command("run", "--until-end", *LINES, cwd=tmp_path)
    sent = {line["external_id"]: line for line in map(json.loads, done.stdout.splitlines())}
    held = [line for line in sent.values() if line["action"] == "UPSERT"]
    chosen = {line["object_type"]: line for line in held}

    for line in chosen.values():
        _, kind, identity = line["external_id"].split("-")
        shown = command("mapping", "show", kind, identity, "--json", *LINES, cwd=tmp_path)

        assert shown.returncode == 0, shown.stderr
        found = json.loads(shown.stdout)
        full = {name: value for name, value in found["properties"].items() if value}
        assert full == {name: value for name, value in line["properties"].items() if value}
        assert (found["action"], found["associations"]) == (line["action"], line["associations"])
        table = command("mapping", "show", kind, identity, *LINES, cwd=tmp_path)
        assert table.stdout.splitlines()[0].split() == ["property", "value"]
    assert len(chosen) == 4
    assert command("run", "--until-end", *LINES, cwd=tmp_path).stdout == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["order", "4000000"], 1, "order 4000000 does not exist"),
        (["guest", "nobody@example.com"], 1, "does not exist"),
        (["order", "x"], 1, "nothing goes by the name order x"),
        (["invoice", "1"], 2, "name one object"),
        (["order", "1", "--set", 'mapping.deal.properties={x = "customer_note"}'], 2, "was made with another mapping"),
    ],
)
def test_what_cannot_be_shown_is_told(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    """Exit 1 for an object that does not exist, exit 2 for wrong words and a state of another mapping."""
    assert command("run", "--until-end", *LINES, cwd=tmp_path).returncode == 0

    shown = command("mapping", "show", *words, *LINES, cwd=tmp_path)

    assert shown.returncode == code
    assert said in shown.stderr
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""
