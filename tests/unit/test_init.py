"""``init``: the file that it writes is valid, takes over what env.php says, and holds no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cdc.cli.main import app
from cdc.errors import ConfigError
from cdc.settings.config import load

ENV_PHP = """<?php
return [
    'cache' => ['frontend' => ['default' => ['host' => 'redis']]],
    'db' => [
        'table_prefix' => 'm2_',
        'connection' => [
            'default' => [
                'host' => 'db.example.com:3307',
                'dbname' => 'shop\\'s',
                'username' => 'magento',
                'password' => 'invented-secret',
            ],
        ],
    ],
];
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as a merchant begins in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, answers: str = "") -> Result:
    """The command with these answers typed."""
    return CliRunner().invoke(app, ["init", *words], input=answers)


def test_the_files_of_magento_are_taken_over(folder: Path) -> None:
    """Host, port, database and prefix come from env.php; Magento's own user and password do not."""
    (folder / "env.php").write_text(ENV_PHP)
    done = run("--from", "env.php", "--yes")

    assert done.exit_code == 0, done.output
    text = (folder / "magento-cdc.toml").read_text()
    for name in ("db-password", "hubspot-token"):
        (folder / name).write_text("invented-key")
    source = load(None).source
    assert (source.host, source.port, source.database, source.table_prefix) == ("db.example.com", 3307, "shop's", "m2_")
    assert source.user == "magento_cdc"
    assert "invented-secret" not in text + done.output
    assert "GRANT SELECT ON `shop's`.* TO 'magento_cdc'@'%';" in done.stdout


@pytest.mark.parametrize("kind", ["crm", "bridge", "jsonl"])
def test_it_asks_for_what_it_cannot_know(folder: Path, kind: str) -> None:
    """Answers go into the file; each kind of sink makes a file that is read without a fault."""
    done = run(answers=f"db.internal\n\nshop\n\n{kind}\n")

    assert done.exit_code == 0, done.output
    for name in ("db-password", "hubspot-token"):
        (folder / name).write_text("invented-key")
    settings = load(None)
    assert (settings.source.host, settings.source.port, settings.source.database) == ("db.internal", 3306, "shop")
    assert settings.sink.kind == kind


def test_nothing_is_overwritten(folder: Path) -> None:
    """A file that is there stays as it is."""
    (folder / "magento-cdc.toml").write_text("# mine\n")

    assert isinstance(run("--yes").exception, ConfigError)
    assert (folder / "magento-cdc.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "nowhere.php", "--yes"), "No such file"),
        (("--from", "other.php", "--yes"), "holds no 'db'"),
        (("--sink", "fax", "--yes"), "fax is no kind of sink"),
    ],
)
def test_what_cannot_be_taken_is_told(folder: Path, words: tuple[str, ...], said: str) -> None:
    """A missing or foreign env.php and an unknown sink end with a sentence, and no file is written."""
    (folder / "other.php").write_text("<?php return [];")

    assert said in str(run(*words).exception)
    assert not (folder / "magento-cdc.toml").exists()
