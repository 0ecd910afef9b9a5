"""``deadletter list`` and ``drop``: objects and records of topics, from a state that nobody runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cdc.cli.main import app
from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.errors import CdcError
from cdc.messages import dead_letters
from cdc.model import Action, BadRecord, Feed, Kind, ObjectRef
from cdc.settings.config import load
from mappers.mapping import MagentoMapping

BAD = [BadRecord("shop.magento.sales_order", 1, 17, "its value is not JSON"), BadRecord("m", 0, 2, "its type is 'odd'")]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The settings of a state with one dead letter and two records that could not be read."""
    path = tmp_path / "magento-cdc.toml"
    path.write_text(f'[sink]\nkind = "jsonl"\n[state]\ndir = "{tmp_path / "state"}"\n')
    held = load(path)
    engine = Engine(held.state.dir, MagentoMapping(held.mapping), (), SystemClock(), has_server=False)
    with engine.store.transaction():
        engine.feeds.take(Feed(bad=tuple(BAD)), 1_700_000_000_000)
        letter = dead_letters.DeadLetter(ObjectRef(Kind.ORDER, 42), Action.UPSERT, 1, 2, "refused", "too long", "")
        dead_letters.add(engine.store, letter)
    engine.close()
    return path


def run(settings: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["deadletter", *words, "--config", str(settings)])


def names(settings: Path) -> list[str]:
    """What ``list --json`` names."""
    done = run(settings, "list", "--json")
    assert done.exit_code == 0, done.output
    return [one.get("record") or one["object"] for one in json.loads(done.stdout)]


def test_records_are_listed_beside_objects(settings: Path) -> None:
    """Both stand in the list, for people and for machines, with their reasons."""
    shown = run(settings, "list").stdout
    listed = json.loads(run(settings, "list", "--json").stdout)

    for words in ("magento-order-42", "too long", "shop.magento.sales_order/1/17", "its value is not JSON", "m/0/2"):
        assert words in shown
    assert [one["reason"] for one in listed] == ["refused", BAD[1].reason, BAD[0].reason]
    assert listed[1] == {
        "record": "m/0/2", "topic": "m", "partition": 0, "offset": 2, "reason": BAD[1].reason,
        "at": "2023-11-14T22:13:20+00:00",
    }  # fmt: skip


def test_a_record_is_dropped_by_its_name_and_nothing_else_is(settings: Path) -> None:
    """Objects and records can be named together; ``--all`` is both kinds."""
    assert run(settings, "drop", "m/0/2").exit_code == 0
    assert names(settings) == ["magento-order-42", BAD[0].name]
    assert run(settings, "drop", "order-42", BAD[0].name).exit_code == 0
    assert names(settings) == []


def test_all_drops_both_kinds(settings: Path) -> None:
    """``--all`` leaves nothing."""
    assert run(settings, "drop", "--all").exit_code == 0

    assert names(settings) == []


def test_an_unknown_record_drops_nothing(settings: Path) -> None:
    """One name that is not held: the others stay, too."""
    done = run(settings, "drop", "m/0/2", "m/0/3")

    assert isinstance(done.exception, CdcError)
    assert "m/0/3" in str(done.exception)
    assert len(names(settings)) == 3


def test_a_refused_message_is_shown_with_what_to_do(settings: Path) -> None:
    """The receiver's words alone leave an operator alone: the advice names the commands that show and send again."""
    shown = json.loads(run(settings, "show", "order-42", "--json").stdout)

    assert shown["detail"] == "too long"
    assert "`magento-cdc mapping show magento-order-42` shows the values" in shown["advice"]
    assert "`magento-cdc deadletter retry magento-order-42`" in shown["advice"]
