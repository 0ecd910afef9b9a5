"""The settings of [kafka]: faults are told all at once, secrets are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdc.errors import ConfigError
from cdc.settings.config import load


def faults(kafka: dict[str, Any]) -> str:
    """What ``load`` says of this section."""
    with pytest.raises(ConfigError) as caught:
        load(None, {"kafka": kafka})
    return str(caught.value)


def test_names_follow_the_prefix() -> None:
    """Topic and writer are named by the prefix, the writer also by hand."""
    kafka = load(None, {"kafka": {"prefix": "shop"}}).kafka

    assert (kafka.changes_topic, kafka.writer) == ("shop.changes", "shop.relay")
    assert load(None, {"kafka": {"transactional_id": "one"}}).kafka.writer == "one"


def test_every_fault_is_told_at_once() -> None:
    """One start shows all that is wrong in the section's fields."""
    said = faults({"brokers": ["nowhere"], "prefix": ".x", "protocol": "tls", "tombstone_days": 1})

    for name in ("kafka.brokers", "kafka.prefix", "kafka.protocol", "kafka.tombstone_days"):
        assert name in said


@pytest.mark.parametrize(
    ("kafka", "said"),
    [
        pytest.param({"protocol": "sasl_ssl"}, "needs user and password", id="no login"),
        pytest.param({"user": "u", "password": "secret"}, "logs nobody in", id="login without SASL"),
        pytest.param({"protocol": "ssl", "tls": {"cert": "c"}}, "tls.cert and tls.key go together", id="half a pair"),
        pytest.param({"tls": {"ca": "c"}}, "has none; ssl and sasl_ssl have", id="TLS not used"),
        pytest.param({"format": "maxwell"}, "needs the topics to read", id="no topics"),
        pytest.param({"brokers": []}, "name at least one broker", id="no brokers"),
    ],
)
def test_what_does_not_go_together_is_refused(kafka: dict[str, Any], said: str) -> None:
    """With the sentence that says what to write, and without the password."""
    text = faults(kafka)

    assert said in text
    assert "secret" not in text


def test_the_password_comes_from_a_file_too(tmp_path: Path) -> None:
    """As every secret."""
    (tmp_path / "secret").write_text("hidden\n")
    kafka = load(
        None, {"kafka": {"protocol": "sasl_ssl", "user": "u", "password_file": str(tmp_path / "secret")}}
    ).kafka

    assert kafka.password.get_secret_value() == "hidden"
    assert "hidden" not in repr(kafka)
