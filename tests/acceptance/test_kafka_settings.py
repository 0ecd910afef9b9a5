"""Kafka's settings at command level: what is right works from recorded files on, what is wrong is said at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_cli import RECORDING
from tests.kit.broker import PASSWORD, USER, Broker, Listener
from tests.kit.certs import Authority
from tests.kit.changes_topic import faults_of_order, read_now, replica_rows
from tests.kit.daemon import Daemon, command, wait_until
from tests.kit.topics import settings_of

pytestmark = pytest.mark.slow

WRONG = "not the password"


def files(broker: Broker, prefix: str, kind: str = "files", **kafka: Any) -> str:
    """Settings of a relay that reads recorded files, or of a member; lines are what a member sends."""
    source: Mapping[str, Any] = {"kind": kind, "files": [str(RECORDING)]}
    tree = {"prefix": prefix, **kafka}
    return settings_of(broker, tree, "http://127.0.0.1:1", source=source, sink={"kind": "jsonl", "path": "out.jsonl"})


def login(broker: Broker, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
    """[kafka] for a listener that asks who is there."""
    return {
        "brokers": [broker.address(Listener.SASL_PLAINTEXT)], "protocol": "sasl_plaintext", "sasl_mechanism": "PLAIN",
        "user": USER, "password": password, **more,
    }  # fmt: skip


def said(folder: Path, toml: str, *arguments: str) -> tuple[int, str]:
    """Exit code and all that the command writes."""
    (folder / "magento-cdc.toml").write_text(toml)
    done = command(*arguments, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_recorded_files_are_relayed_once(kafka: Broker, tmp_path: Path) -> None:
    """The topic folds to the rows that ``run`` makes of the files, and a second start has nothing to add."""
    toml = files(kafka, "recorded")
    (tmp_path / "run").mkdir()
    assert said(tmp_path, toml, "relay", "--until-end")[0] == 0
    first = read_now(kafka, "recorded.changes")
    assert said(tmp_path, toml, "relay", "--until-end")[0] == 0
    assert said(tmp_path / "run", toml, "run", "--until-end")[0] == 0

    assert first.rows() == replica_rows(tmp_path / "run" / "state") == replica_rows(tmp_path / "state")
    assert faults_of_order(first.changes) == []
    assert first.marks[-1].is_complete
    assert read_now(kafka, "recorded.changes").changes == first.changes


def test_check_looks_at_what_relay_and_member_need(kafka: Broker, tmp_path: Path) -> None:
    """Before the topic is there, and with it: each role asks for its own things, and a member for no database."""
    toml, member = files(kafka, "checked", **login(kafka)), files(kafka, "checked", "kafka", **login(kafka))
    before, lacking = said(tmp_path, toml, "check"), said(tmp_path, member, "check")
    assert said(tmp_path, toml, "relay", "--until-end")[0] == 0
    after, found = said(tmp_path, toml, "check"), said(tmp_path, member, "check")

    assert before[0] == 0
    assert "relay makes it" in before[1]
    assert lacking[0] == 1
    assert "checked.changes is not there" in lacking[1]
    assert "magento-cdc relay" in lacking[1]
    assert after[0] == 0
    assert "kafka cleanup.policy" in after[1]
    assert found[0] == 0
    assert "ok    kafka topic: checked.changes is there" in found[1]


@pytest.mark.parametrize(
    ("kind", "wrong", "advice"),
    [
        pytest.param("files", {"password": WRONG}, "kafka.password_file", id="relay's password"),
        pytest.param("kafka", {"password": WRONG}, "kafka.password_file", id="member's password"),
        pytest.param("files", {"brokers": ["127.0.0.1:1"]}, "kafka.brokers", id="brokers"),
    ],
)
def test_check_says_what_is_wrong(
    kafka: Broker, tmp_path: Path, kind: str, wrong: Mapping[str, Any], advice: str
) -> None:
    """Exit code 1, the setting to mend, and no password."""
    code, text = said(tmp_path, files(kafka, "wrong", kind, **login(kafka, **wrong)), "check")

    assert code == 1
    assert "FAIL  kafka:" in text
    assert advice in text
    assert WRONG not in text


@pytest.mark.parametrize(("verb", "kind"), [("relay", "files"), ("run", "kafka")])
def test_a_refused_login_ends_the_start(kafka: Broker, tmp_path: Path, verb: str, kind: str) -> None:
    """It does not mend itself: exit code 2 with advice, for relay and member alike."""
    code, text = said(tmp_path, files(kafka, "refused", kind, **login(kafka, WRONG)), verb)

    assert code == 2
    assert f"Kafka refuses the login of '{USER}'" in text
    assert "kafka.password_file" in text
    assert WRONG not in text


@pytest.mark.skipif("SOAK_SEED" not in os.environ, reason="starts a broker three times: part of `make soak`")
def test_a_login_that_was_good_is_tried_again(tmp_path: Path) -> None:
    """Once it worked it is the brokers that changed: not ready, with the reason, until they take it again."""
    with Broker(authority=Authority(tmp_path, "kafka-ca")) as broker:
        toml = files(broker, "again", **login(broker, request_timeout_s=3))
        with Daemon(tmp_path, toml, verb="relay") as relay:
            relay.start()
            wait_until(lambda: relay.ask("/ready")["ready"], 30, "the relay is ready")
            module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
            setting = f"listener.name.{Listener.SASL_PLAINTEXT.lower()}.plain.sasl.jaas.config"
            broker.stop()
            broker.options[setting] = f'{module} user_{USER}="another";'
            broker.start()
            wait_until(lambda: "SaslAuthenticationFailed" in str(relay.ask("/ready")), 30, "the refusal is told")
            assert not relay.ask("/ready")["ready"]
            broker.stop()
            del broker.options[setting]
            broker.start()
            wait_until(lambda: relay.ask("/ready")["ready"], 30, "the relay is ready again")

            assert relay.stop() == 0
            assert any(line["event"] == "kafka_back" for line in relay.lines())


@pytest.mark.skipif("SOAK_SEED" not in os.environ, reason="starts a broker twice: part of `make soak`")
def test_a_replaced_password_is_used_without_a_restart(tmp_path: Path) -> None:
    """Relay and member are refused after the broker's password changed, and go on once the file holds the new one: the
    member leads again with its next connection.
    """
    secret, rotated = tmp_path / "password", "another password"
    secret.write_text(PASSWORD)
    with Broker(authority=Authority(tmp_path, "kafka-ca")) as broker:
        kafka = login(broker, "", password_file=str(secret), request_timeout_s=3)
        (tmp_path / "member").mkdir()
        member_toml = files(broker, "rotated", "kafka", **kafka)
        with (
            Daemon(tmp_path, files(broker, "rotated", **kafka), verb="relay") as relay,
            Daemon(tmp_path / "member", member_toml) as member,
        ):
            relay.start()
            wait_until(lambda: relay.ask("/ready")["ready"], 30, "the relay is ready")
            member.start()
            wait_until(lambda: member.ask("/ready")["ready"], 60, "the member leads")
            module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
            setting = f"listener.name.{Listener.SASL_PLAINTEXT.lower()}.plain.sasl.jaas.config"
            broker.stop()
            broker.options[setting] = f'{module} user_{USER}="{rotated}";'
            broker.start()
            wait_until(lambda: "SaslAuthenticationFailed" in str(relay.ask("/ready")), 30, "the refusal is told")

            secret.write_text(rotated)
            wait_until(lambda: relay.ask("/ready")["ready"], 30, "the relay is ready again")
            wait_until(lambda: member.ask("/ready")["ready"], 60, "the member leads again")

            assert "leader" in str(member.ask("/status"))
            assert relay.stop() == 0
            assert member.stop() == 0
            assert rotated not in str(relay.lines()) + str(member.lines())
