"""Where settings come from: layers over each other, the place of each value, the place of each fault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cdc.errors import ConfigError
from cdc.settings import documentation
from cdc.settings.config import load, load_with_origins
from cdc.settings.layers import misspelt_variables
from cdc.settings.names import ENV_PREFIX
from cdc.settings.origins import origin_of
from cdc.settings.reload import CHANGEABLE, merge

NAMES = [name for name, _ in documentation.fields()]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no settings of the developer's in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


def written(text: str) -> Path:
    """A settings file with this text."""
    path = Path("mine.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_each_value_knows_where_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of the file, a variable or the command line; nothing for a default."""
    path = written('# mine\n[source]\nhost = "db"\nuser = "a"\ntls = { mode = "required" }\n\n[[mapping.satellites]]\n'
                   'table = "t"\nkey = "k"\nproperties = { a = "b" }\n')  # fmt: skip
    monkeypatch.setenv("MAGENTO_CDC__SOURCE__USER", "b")
    loaded = load_with_origins(path, {"web": {"port": 0}})

    found = {name: origin_of(name, loaded.origins) for name in NAMES}
    assert found["source.host"] == "mine.toml, line 3"
    assert found["source.tls.mode"] == "mine.toml, line 5"
    assert found["mapping.satellites"] == "mine.toml, line 8"
    assert found["source.user"] == "MAGENTO_CDC__SOURCE__USER"
    assert found["web.port"] == "--set web.port"
    assert found["source.port"] == ""


@pytest.mark.parametrize(
    ("text", "variable", "flags", "place"),
    [
        ('[source]\n\nport = "x"', None, {}, "(mine.toml, line 3)"),
        ("[source.tls]\nmod = 1", None, {}, "(mine.toml, line 2)"),
        ("", ("MAGENTO_CDC__SOURCE__PORT", "x"), {}, "(MAGENTO_CDC__SOURCE__PORT)"),
        ("[source]\nport = 1", None, {"source": {"port": "x"}}, "(--set source.port)"),
        ("", None, {"source": {"prot": 3}}, "(--set source.prot)"),
    ],
)
def test_a_fault_names_the_place_where_it_stands(
    text: str, variable: tuple[str, str] | None, flags: dict[str, dict[str, object]], place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The file is not blamed for what the command line or a variable says."""
    if variable:
        monkeypatch.setenv(*variable)
    with pytest.raises(ConfigError) as caught:
        load(written(text), flags)

    [fault] = caught.value.faults
    assert fault.endswith(place)
    assert "Input should" not in fault


def test_a_stronger_source_takes_a_weaker_ones_secret_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password over a file of the settings file, a file over a password, and no file over a file."""
    Path("secret").write_text("from-file")
    with_file = written('[source]\npassword_file = "secret"')
    assert load(with_file).source.password.get_secret_value() == "from-file"
    assert load(with_file, {"source": {"password": "flag"}}).source.password.get_secret_value() == "flag"
    assert load(with_file, {"source": {"password": ""}}).source.password.get_secret_value() == ""
    assert load(with_file, {"source": {"password_file": ""}}).source.password_file is None
    monkeypatch.setenv("MAGENTO_CDC__SOURCE__PASSWORD", "variable")
    assert load(with_file).source.password.get_secret_value() == "variable"
    assert load(None, {"source": {"password_file": "secret"}}).source.password.get_secret_value() == "from-file"


def test_both_in_one_source_are_still_a_fault() -> None:
    """Within one file nobody can say which of the two is meant."""
    Path("secret").write_text("x")
    with pytest.raises(ConfigError, match="both set"):
        load(written('[source]\npassword = "y"\npassword_file = "secret"'))


def test_variables_that_look_like_ours_are_named() -> None:
    """One underscore too few is answered with the variable that is read; what Kubernetes makes is named alone."""
    found = misspelt_variables(
        ["MAGENTO_CDC_SOURCE_PORT", "MAGENTO_CDC__SOURCE__PORT", "PATH", "MAGENTO_CDC_QQ"], ENV_PREFIX, NAMES
    )

    assert found == [("MAGENTO_CDC_QQ", ""), ("MAGENTO_CDC_SOURCE_PORT", "MAGENTO_CDC__SOURCE__PORT")]


def test_a_reload_takes_over_what_can_change_and_names_the_rest() -> None:
    """New rates and limits hold at once; a new address of the database needs a restart; equal settings are not
    mentioned.
    """
    held = load(None)
    asked = load(None, {"sink": {"max_delay_ms": 9}, "delivery": {"max_deletes_per_hour": 7}, "source": {"host": "x"}})
    settings, changed, need_restart = merge(held, asked)

    assert (settings.sink.max_delay_ms, settings.delivery.max_deletes_per_hour) == (9, 7)
    assert settings.source.host == held.source.host
    assert set(changed) == {"sink.max_delay_ms", "delivery.max_deletes_per_hour"}
    assert need_restart == ["source.host"]
    assert set(NAMES) >= CHANGEABLE


def test_a_secret_of_the_same_file_needs_no_restart() -> None:
    """The file is read again when the secret is used; one that is spelled out in the settings is not."""
    path = Path("secret")
    path.write_text("old-secret")
    flags = {"source": {"password_file": "secret"}}
    held = load(None, flags)
    path.write_text("new-secret")

    assert merge(held, load(None, flags)).need_restart == []
    spelled = load(None, {"source": {"password": "old-secret"}})
    assert set(merge(held, spelled).need_restart) == {"source.password_file"}
    assert merge(spelled, load(None, {"source": {"password": "new-secret"}})).need_restart == ["source.password"]
