"""``magento-cdc help VERB`` is ``magento-cdc VERB --help``."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cdc.cli.main import app
from cdc.errors import ConfigError


@pytest.mark.parametrize("words", [(), ("status",), ("deletes",), ("deletes", "release")])
def test_help_prints_what_the_option_prints(words: tuple[str, ...]) -> None:
    """For the whole command, a verb, a group and a verb of a group."""
    asked = CliRunner().invoke(app, ["help", *words], prog_name="magento-cdc")
    by_option = CliRunner().invoke(app, [*words, "--help"], prog_name="magento-cdc")

    assert asked.exit_code == 0
    assert asked.stdout == by_option.stdout


@pytest.mark.parametrize(("words", "said"), [(("statsu",), "did you mean status"), (("status", "x"), "no verb x")])
def test_help_for_what_is_no_verb(words: tuple[str, ...], said: str) -> None:
    """Exit code 2, with the nearest name."""
    error = CliRunner().invoke(app, ["help", *words]).exception

    assert isinstance(error, ConfigError)
    assert said in str(error)


@pytest.mark.parametrize("words", [(), ("deletes",), ("import",), ("position",)])
def test_lists_of_verbs_have_whole_sentences(words: tuple[str, ...]) -> None:
    """On a terminal of 80 letters a long sentence takes two lines, and none is cut."""
    text = CliRunner().invoke(app, [*words, "--help"], prog_name="magento-cdc", env={"COLUMNS": "80"}).stdout
    listed = text.partition("Commands:\n")[2]

    assert listed
    assert "..." not in listed
    assert max(map(len, listed.splitlines())) <= 80
