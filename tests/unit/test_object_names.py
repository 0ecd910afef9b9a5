"""One grammar for naming an object in all verbs, and exit code 1 for what is not found; what the outbox waits for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cdc.cli.main import app
from cdc.delivery import circuit_breaker
from cdc.errors import CdcError
from cdc.messages import dead_letters, outbox
from cdc.messages.refs import HELD_DELETE
from cdc.model import Action, Kind, ObjectRef, Urgency
from cdc.settings.config import load
from mappers.finding import split_names
from tests.kit.replica_harness import ReplicaHarness

PRODUCT, ORDER = ObjectRef(Kind.PRODUCT, 7), ObjectRef(Kind.ORDER, 42)
GONE = ObjectRef(Kind.ORDER, 43)


def message(ref: ObjectRef, action: Action) -> outbox.NewMessage:
    """A message that waits."""
    return outbox.NewMessage(ref, action, 1, b"1", "{}", "[]", Urgency.LIVE, 0, 0, 1_700_000_000_000, "log.000001:9")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A state with a product, an order that is a dead letter, a message that waits and a deletion that is held."""
    path = tmp_path / "magento-cdc.toml"
    path.write_text(f'[sink]\nkind = "jsonl"\n[state]\ndir = "{tmp_path / "state"}"\n')
    held = load(path)
    shop = ReplicaHarness(held.state.dir, held.mapping)
    shop.insert("catalog_product_entity", entity_id=7, sku="Mug-Blue", type_id="simple")
    shop.insert("sales_order", entity_id=42, increment_id="000000042", customer_email="ann@example.com")
    engine = shop.engine
    with engine.store.transaction():
        outbox.take_back(engine.store, ORDER)
        letter = dead_letters.DeadLetter(ORDER, Action.UPSERT, 1_700_000_000_000, 2, "refused", "too long", "")
        dead_letters.add(engine.store, letter)
        outbox.put(engine.store, message(PRODUCT, Action.UPSERT))
        outbox.put(engine.store, message(GONE, Action.DELETE))
        [(seq,)] = engine.store.db.execute("SELECT seq FROM outbox WHERE action = 'DELETE'").fetchall()
        outbox.block(engine.store, [(seq, HELD_DELETE)])
    assert len(circuit_breaker.held(engine.store)) == 1
    engine.close()
    return path


def run(settings: Path, *words: str) -> Result:
    """The command on that state."""
    return CliRunner().invoke(app, [*words, "--config", str(settings)])


NAMES = [
    ("order", "42"),
    ("order-42",),
    ("magento-order-42",),
    ("#000000042",),
    ("order", "#000000042"),
    ("000000042",),
]


@pytest.mark.parametrize("name", NAMES)
def test_an_order_goes_by_all_its_names_in_every_verb(settings: Path, name: tuple[str, ...]) -> None:
    """trace, deadletter and mapping take the same names."""
    shown = run(settings, "deadletter", "show", *name, "--json")
    traced = run(settings, "trace", *name, "--json", "--no-ask")

    assert json.loads(shown.stdout)["object"] == "magento-order-42"
    assert [one["external_id"] for one in json.loads(traced.stdout)] == ["magento-order-42"]
    assert "retry" not in run(settings, "deadletter", "retry", *name).output.split()[0]


@pytest.mark.parametrize("sku", ["Mug-Blue", "mug-blue", "MUG-BLUE"])
def test_a_product_goes_by_its_sku_in_any_case(settings: Path, sku: str) -> None:
    """Magento compares SKUs without case, and so do people."""
    [found] = json.loads(run(settings, "trace", sku, "--json", "--no-ask").stdout)

    assert found["external_id"] == "magento-product-7"


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "order", "4000"), ("trace", "no-such-sku"), ("deadletter", "show", "product-7"),
        ("deadletter", "show", "nobody@example.com"), ("deadletter", "retry", "order-43"),
        ("deadletter", "drop", "topic/0/1"), ("mapping", "show", "order", "4000"),
        ("deadletter", "retry", "--reason", "no-such-reason"),
    ],
)  # fmt: skip
def test_what_is_not_found_ends_with_1(settings: Path, words: tuple[str, ...]) -> None:
    """Wrong use is 2 and a fault of the settings is 2; that nothing goes by a name is 1."""
    error = run(settings, *words).exception

    assert isinstance(error, CdcError)
    assert error.exit_code == 1


def test_an_email_address_is_not_repeated(settings: Path) -> None:
    """It is a person's, and what a command says of an error may be kept and passed on."""
    error = run(settings, "deadletter", "show", "nobody@example.com").exception

    assert "nobody" not in str(error)
    assert "<email>" in str(error)


def test_names_of_one_and_of_two_words_can_be_mixed() -> None:
    """A word for a kind takes the next word as its name."""
    assert split_names(["order", "42", "product-7", "SKU", "deal", "1"]) == [
        ("order", "42"), ("", "product-7"), ("", "SKU"), ("deal", "1"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="which one"):
        split_names(["order"])


def test_letters_are_chosen_by_reason(settings: Path) -> None:
    """All with one reason go at once; two ways of choosing at a time are refused."""
    assert run(settings, "deadletter", "retry", "--reason", "refused").exit_code == 0
    assert json.loads(run(settings, "deadletter", "list", "--json").stdout) == []
    assert run(settings, "deadletter", "retry", "--reason", "refused", "--all").exception.exit_code == 2  # type: ignore[union-attr]


def test_the_outbox_says_what_each_message_waits_for(settings: Path) -> None:
    """Object, since when, and why; one type on demand."""
    listed = json.loads(run(settings, "outbox", "list", "--json").stdout)
    found = {one["object"]: one for one in listed}

    assert found["magento-product-7"]["waits_for"] == "its turn"
    assert "held by the circuit breaker" in found["magento-order-43"]["waits_for"]
    assert found["magento-order-43"]["since"] == "2023-11-14T22:13:20.000+00:00"
    only = json.loads(run(settings, "outbox", "list", "--json", "--type", "product").stdout)
    assert {one["object"] for one in only} <= {"magento-product-7"}


def test_held_deletions_are_listed_whole_and_released(settings: Path) -> None:
    """Type, since when and the place in the log; a release tells how many."""
    [held] = json.loads(run(settings, "deletes", "list", "--json").stdout)
    assert held == {
        "object": "magento-order-43", "type": "DEAL", "since": "2023-11-14T22:13:20.000+00:00",
        "position": "log.000001:9",
    }  # fmt: skip
    assert "1 DEAL" in run(settings, "deletes", "list").output
    assert "1 deletions released" in run(settings, "deletes", "release").output
    assert json.loads(run(settings, "deletes", "list", "--json").stdout) == []


def hold(settings: Path, *refs: ObjectRef) -> None:
    """Deletions of these objects are held by the circuit breaker, too."""
    held = load(settings)
    engine = ReplicaHarness(held.state.dir, held.mapping).engine
    with engine.store.transaction():
        for ref in refs:
            outbox.put(engine.store, message(ref, Action.DELETE))
        seqs = engine.store.db.execute("SELECT seq FROM outbox WHERE action = 'DELETE'").fetchall()
        outbox.block(engine.store, [(seq, HELD_DELETE) for (seq,) in seqs])
    engine.close()


def still_held(settings: Path) -> list[str]:
    """What `deletes list` names."""
    return [one["object"] for one in json.loads(run(settings, "deletes", "list", "--json").stdout)]


def test_deletions_are_released_by_type_and_by_name(settings: Path) -> None:
    """The others go on being held."""
    hold(settings, ObjectRef(Kind.ORDER, 44), ObjectRef(Kind.PRODUCT, 9))

    assert "1 deletions released" in run(settings, "deletes", "release", "--type", "product").output
    assert still_held(settings) == ["magento-order-43", "magento-order-44"]
    assert "1 deletions released" in run(settings, "deletes", "release", "order-44").output
    assert still_held(settings) == ["magento-order-43"]


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("order-4000",), 1), (("--type", "contact"), 1), (("--type", "parcel"), 2), (("--count", "2"), 1),
        (("order-43", "--type", "deal"), 2),
    ],
)  # fmt: skip
def test_a_release_that_is_not_meant_so_releases_nothing(
    settings: Path, words: tuple[str, ...], exit_code: int
) -> None:
    """A name or type that nothing is held of, another number than is held, two ways of choosing."""
    error = run(settings, "deletes", "release", *words).exception

    assert isinstance(error, CdcError)
    assert error.exit_code == exit_code
    assert still_held(settings) == ["magento-order-43"]


@pytest.mark.parametrize(("answer", "is_released"), [("1", True), ("2", False), ("y", False)])
def test_a_terminal_is_asked_for_the_number_of_deletions(
    settings: Path, monkeypatch: pytest.MonkeyPatch, answer: str, is_released: bool
) -> None:
    """The number that `deletes list` showed is to be typed; anything else releases nothing."""
    monkeypatch.setattr("cdc.cli.deletes._is_terminal", lambda: True)
    done = CliRunner().invoke(app, ["deletes", "release", "--config", str(settings)], input=f"{answer}\n")

    assert "1 DEAL" in done.output
    assert (still_held(settings) == []) is is_released
    assert (done.exit_code == 0) is is_released


def test_status_has_an_exit_code_for_scripts(settings: Path) -> None:
    """Without a daemon the plain verb shows the state and ends with 0; for a script it ends with 1."""
    flags = ("--set", "web.port=1")
    assert run(settings, "status", *flags).exit_code == 0
    assert run(settings, "status", "--exit-code", *flags).exit_code == 1
