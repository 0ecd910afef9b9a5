"""The search for values of people and for secrets can find them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.kit.canary import API_KEY, assert_folder_tells_nothing, assert_forgotten, assert_no_leak, leaks
from tests.kit.shop.people import invent


@pytest.mark.parametrize("field", ["email", "telephone", "lastname", "street"])
def test_each_mark_of_a_person_is_found(field: str) -> None:
    """Whatever the kit invents of a shopper is recognised in a log line, escaped letters included."""
    for number in range(200):
        value = getattr(invent(random.Random(number), number), field)
        assert leaks(json.dumps({"event": "x", "text": value})), value


def test_a_secret_is_found() -> None:
    """A key in a text is an assertion that says where."""
    with pytest.raises(AssertionError, match="the log shows 1 values"):
        assert_no_leak(f"GET /x?hapikey={API_KEY}", "the log")


def test_ordinary_lines_are_no_leak() -> None:
    """Ids, times and words of ours are nobody's values."""
    assert_no_leak('{"event": "dead_letter", "object": "customer-7", "reason": "refused"}', "the log")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.log", "shopper1.0a1b2c3d@example.com"),
        ("reports/plan.json", '{"who": "Wolframstra\\u00dfe"}'),
        ("core.4711", f"\x7fELF\x00 {API_KEY}"),
        ("state/state.sqlite3", f"SQLite format 3\x00 {API_KEY}"),
        ("messages.jsonl", f"Authorization: Bearer {API_KEY}"),
    ],
)
def test_any_file_of_a_run_is_searched(tmp_path: Path, name: str, text: str) -> None:
    """A value of a person in a log or report, and a secret in any file, is an assertion that names the file."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())

    with pytest.raises(AssertionError, match=path.name):
        assert_folder_tells_nothing(tmp_path)


@pytest.mark.parametrize("name", ["state/state.sqlite3-wal", "messages.jsonl", "binlog.000001", "magento-cdc.toml"])
def test_people_may_be_where_they_belong(tmp_path: Path, name: str) -> None:
    """States, files of messages and log files hold people by their nature; settings are the rig's own."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("shopper1.0a1b2c3d@example.com")

    assert_folder_tells_nothing(tmp_path)


def test_a_state_that_holds_a_deleted_person_is_found(tmp_path: Path) -> None:
    """An address that the shop does not have is found in any file of the state, write-ahead log included."""
    gone, living = (invent(random.Random(number), number).email for number in (1, 2))
    (tmp_path / "state.sqlite3-wal").write_text(f"page {gone} {living}")

    assert_forgotten(tmp_path, [gone, living])
    with pytest.raises(AssertionError, match="wal holds 1 addresses"):
        assert_forgotten(tmp_path, [living])
