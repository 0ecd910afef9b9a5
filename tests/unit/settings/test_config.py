"""Settings: order of strength, all faults at once, nothing secret shown."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdc.errors import ConfigError
from cdc.settings import documentation
from cdc.settings.config import Settings, load
from cdc.settings.names import ENV_PREFIX

SAMPLE = Path(__file__).resolve().parents[3] / "deploy" / "magento-cdc.toml"
SECRET = "pa55-w0rd-and-key"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no settings of the developer's in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a settings file and give its path."""

    def written(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def faults(*arguments: Any) -> tuple[str, ...]:
    """The faults that ``load`` finds with these arguments."""
    with pytest.raises(ConfigError) as caught:
        load(*arguments)
    assert caught.value.exit_code == 2
    return caught.value.faults


def test_everything_has_a_default() -> None:
    """No file, no environment: the documented defaults hold."""
    settings = load(None)

    assert (settings.source.port, settings.sink.max_batch, settings.shutdown.grace_s) == (3306, 200, 25.0)


def test_flags_win_over_environment_and_environment_over_file(
    file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three layers are merged key by key, nested tables too."""
    path = file('[source]\nhost = "file"\nuser = "file"\ndatabase = "file"\ntls = { mode = "required", ca = "file" }')
    monkeypatch.setenv("MAGENTO_CDC__SOURCE__USER", "environment")
    monkeypatch.setenv("MAGENTO_CDC__SOURCE__DATABASE", "environment")
    monkeypatch.setenv("MAGENTO_CDC__SOURCE__TLS__CA", "environment")
    source = load(path, {"source": {"database": "flag"}}).source

    assert (source.host, source.user, source.database) == ("file", "environment", "flag")
    assert (source.tls.mode, str(source.tls.ca)) == ("required", "environment")


def test_the_environment_can_set_every_kind_of_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, truth, lists and tables come from text; ``none`` takes a value back."""
    monkeypatch.setenv("magento_cdc__web__port", "0")
    monkeypatch.setenv("MAGENTO_CDC__WEB__SHOW_VALUES", "true")
    monkeypatch.setenv("MAGENTO_CDC__SOURCE__FILES", '["a.000001", "b*"]')
    monkeypatch.setenv("MAGENTO_CDC__MAPPING__STAGES", '{"processing": "paid"}')
    monkeypatch.setenv("MAGENTO_CDC__DELIVERY__MAX_DELETES_PER_HOUR", "none")
    settings = load(None)

    assert (settings.web.port, settings.web.show_values) == (0, True)
    assert settings.source.files == ("a.000001", "b*")
    assert settings.mapping.stages == {"processing": "paid"}
    assert settings.delivery.max_deletes_per_hour is None


def test_the_default_file_is_read_where_it_lies(tmp_path: Path) -> None:
    """./magento-cdc.toml needs no option."""
    (tmp_path / "magento-cdc.toml").write_text("[web]\nport = 9000")

    assert load(None).web.port == 9000


def test_all_faults_come_at_once_with_name_and_value(
    file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run shows everything there is to mend, whichever layer it is in."""
    path = file(
        '[source]\nhots = "db"\nport = 99999\nstart = "somewhere"\n'
        '[sink]\nbase_url = "ftp://x"\nkind = "carrier pigeon"'
    )
    monkeypatch.setenv("MAGENTO_CDC__SORCE__HOST", "db")
    monkeypatch.setenv("MAGENTO_CDC__SHUTDOWN__GRACE_S", "0")
    found = faults(path, {"apply": {"max_rows": 0}})

    assert len(found) == 8
    for part in (
        "MAGENTO_CDC__SORCE__HOST: there is no such section; did you mean SOURCE?",
        "source.hots: there is no such setting; did you mean host?",
        "source.port = 99999: ",
        "source.start = 'somewhere': 'somewhere' is not a position; write one of: ",
        "sink.base_url = 'ftp://x': must start with http:// or https://",
        "sink.kind = 'carrier pigeon': ",
        "shutdown.grace_s = '0': ",
        "apply.max_rows = 0: ",
    ):
        assert any(fault.startswith(part) for fault in found), (part, found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param('[sourc]\nhost = "x"', "sourc: there is no such section; did you mean source?", id="section"),
        pytest.param("[source.tls]\nmod = 1", "source.tls.mod: there is no such setting; did you mean mode?", id="tls"),
        pytest.param("[sink]\nzzz = 1", "sink.zzz: there is no such setting", id="nothing near"),
        pytest.param('source = "x"', "source", id="a section that is no table"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(file: Callable[[str], Path], text: str, fault: str) -> None:
    """Unknown names are faults, at every depth, with the nearest known name if there is one."""
    [found] = faults(file(text))

    assert found.startswith(fault)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[sink]\napi_key = { a = '%s' }", id="wrong type"),
        pytest.param("[sink]\napi_key = ['%s']", id="list"),
        pytest.param("[sink]\napi_keyy = '%s'", id="misspelt name"),
        pytest.param("[sink]\nhapikey = '%s'", id="unknown name"),
        pytest.param("[source]\npassword = '%s'\nport = 'x'", id="another fault in the section"),
        pytest.param("[source]\npassword = '%s'\npassword_file = '/nowhere'", id="both ways at once"),
        pytest.param("sink = '%s'", id="in place of a section"),
        pytest.param("[sink]\nbase_url = 'ftp://user:%s@api.example.com'", id="inside a URL"),
        pytest.param("[sink]\nbase_url = 'https://user:%s@api.example.com'", id="inside a good URL"),
        pytest.param("[sink]\nbase_url = 'https:\\\\user:%s@api.example.com'", id="inside a URL with backslashes"),
        pytest.param("[sink]\nbase_url = 'user:a %s@api.example.com'", id="inside a URL without a scheme"),
        pytest.param("[sink]\nbase_url = 'ftp://api.example.com/?hapikey=%s'", id="in the query of a URL"),
        pytest.param("[sink]\nbase_url = 'https://api.example.com/?hapikey=%s'", id="in the query of a good URL"),
        pytest.param("[sink]\napi_key_file = '%s'", id="where its file should be named"),
        pytest.param("[sink]\napi_key_file = '/%s'", id="where its file should be named, with a slash"),
        pytest.param("[sink]\napi_key_file = ['%s']", id="a list where its file should be named"),
        pytest.param('[sink]\naccess_token_file = "%s\\u0000"', id="no name that a file may have"),
        pytest.param("[kafka]\npassword_file = '%s'", id="Kafka's, where its file should be named"),
        pytest.param("[mapping.privacy]\nkey_file = '%s'", id="the key of hashes, where its file should be named"),
        pytest.param("[mapping.privacy]\nkey = ['%s']", id="the key of hashes, of a wrong type"),
        pytest.param("[source]\npassword = '%s", id="broken file"),
    ],
)
def test_faults_never_show_a_secret(file: Callable[[str], Path], text: str) -> None:
    """Whatever is wrong about it, a secret's value is not repeated."""
    with pytest.raises(ConfigError) as caught:
        load(file(text % SECRET))

    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


def test_faults_in_the_environment_never_show_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section given as broken JSON is a fault with the section's name only."""
    monkeypatch.setenv("MAGENTO_CDC__SOURCE", '{"password": "' + SECRET)
    [found] = faults(None)

    assert "source" in found
    assert SECRET not in found


def test_settings_never_show_their_secrets() -> None:
    """Not in repr, not as text, not dumped in either mode."""
    settings = load(None, {"source": {"password": SECRET}, "sink": {"api_key": SECRET, "access_token": SECRET}})

    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in shown
    assert settings.sink.api_key.get_secret_value() == SECRET


@pytest.mark.parametrize(("section", "key"), [("source", "password"), ("sink", "api_key"), ("sink", "access_token")])
def test_a_secret_can_lie_in_a_file(tmp_path: Path, section: str, key: str) -> None:
    """*_file is read, without the line's end."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    settings = load(None, {section: {f"{key}_file": str(tmp_path / "secret")}})

    assert getattr(getattr(settings, section), key).get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"\xff\xfe\x00", "it is not text")],
)
def test_a_secret_file_that_cannot_be_read_is_a_fault(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """The fault names the setting, the path and why."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    [found] = faults(None, {"source": {"password_file": str(path)}})

    assert f"password_file '{path}' cannot be read: {reason}" in found


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: No such file"), (b"[source", "is not valid TOML"), (b"\xff", "is not valid TOML")],
)
def test_a_broken_file_is_a_fault_with_its_name(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A file that was asked for must be there and must be TOML."""
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        load(path)

    assert str(caught.value).startswith(str(path))


def test_binlog_files_must_be_named() -> None:
    """kind = files without files is a fault."""
    [found] = faults(None, {"source": {"kind": "files"}})

    assert "files is empty" in found


def test_settings_are_frozen() -> None:
    """Nobody changes a setting behind the others' back."""
    with pytest.raises(ValueError, match="frozen"):
        load(None).web.port = 1  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    """The list of settings says of each its type, its default and what it means."""
    listed = documentation.rows()

    assert [row[0] for row in listed if not row[3]] == []
    assert ("web.port", "integer ≥ 0, ≤ 65535", "8080", "port to listen on; 0 picks a free one") in listed


def test_the_sample_file_is_up_to_date() -> None:
    """deploy/magento-cdc.toml is what the code says; if not: python -m cdc.settings.documentation >
    deploy/magento-cdc.toml."""
    assert SAMPLE.read_text(encoding="utf-8") == documentation.sample()


def test_the_sample_file_names_every_setting_at_its_default() -> None:
    """With every line switched on it is TOML with all settings, and where there is a default it is this one."""
    text = SAMPLE.read_text(encoding="utf-8")
    switched_on = "\n".join(line.removeprefix("#") if line[:2] != "# " else line for line in text.splitlines())
    tree = tomllib.loads(switched_on)
    defaults = json.loads(Settings().model_dump_json(by_alias=True))

    def compare(tree: dict[str, Any], defaults: dict[str, Any], where: str) -> None:
        assert tree.keys() == defaults.keys(), where
        for key, value in defaults.items():
            if isinstance(value, dict) and value:
                compare(tree[key], value, f"{where}{key}.")
            elif value is not None:
                assert tree[key] == value, f"{where}{key}"

    compare(tree, defaults, "")


DOCUMENTED = """
[source]
kind = "binlog"
host = "127.0.0.1"
port = 3306
user = "magento_cdc"
password = ""
database = "magento"
table_prefix = ""
server_id = 4211
start = "import"
tls = { mode = "preferred" }
files = []
[sink]
kind = "crm"
api_version = 1
base_url = "https://api.hubapi.com"
api_key = ""
access_token = ""
store_id = "default"
path = "-"
max_batch = 200
max_delay_ms = 200

timeout_s = 30
[state]
dir = "./state"
[web]
host = "127.0.0.1"
port = 8080
[log]
level = "info"
format = "auto"
[mapping]
namespace = "magento"
store_view = ""
media_base_url = ""
[history]
send = "all"
"""


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    """A settings file that spells out every documented default says the same as none."""
    path = tmp_path / "all.toml"
    path.write_text(DOCUMENTED, encoding="utf-8")

    assert load(path) == Settings()


@pytest.mark.parametrize(
    ("source", "is_refused"),
    [
        ({"start": "latest"}, True),
        ({"start": "import"}, False),
        ({"kind": "files", "files": ["a"], "start": "latest"}, False),
    ],
)
def test_sums_of_all_orders_need_an_import(source: dict[str, Any], is_refused: bool) -> None:
    """Where only orders that change are ever read, no sum over a customer's orders can be right."""
    asked = {"source": source, "mapping": {"customer_value": {"enabled": True}}}
    if is_refused:
        [found] = faults(None, asked)
        assert "source.start" in found
    else:
        assert load(None, asked).mapping.customer_value.enabled
