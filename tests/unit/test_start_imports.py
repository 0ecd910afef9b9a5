"""Which modules a short command loads: half of its time was the loading of modules that it did not use."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import cdc.cli.demo
from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.replica.cascades import core_foreign_keys
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping

OF_A_RUN = {"aiohttp", "aiokafka", "pymysql", "uvloop", "cryptography", "prometheus_client", "pydantic_settings"}
"""What talks to servers, or reads variables that are not there."""

OF_WORK = {"structlog", "rich", "asyncio", "sqlite3", "cdc.settings.config", "cdc.engine.engine"}
"""What reads settings, logs, and opens the state. (Typer loads pydantic itself.)"""

PROBE = """
import json, os, sys
from cdc.cli.main import main
os._exit = sys.exit  # with a thread left the command would end at once
out, sys.stdout = sys.stdout, sys.stderr
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code or 0, sorted(sys.modules)]), file=out)
"""


def loaded(folder: Path, *arguments: str) -> set[str]:
    """The modules that the command has loaded at its end. It may say that there is no such object, and no more."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": ""},
    )  # fmt: skip
    assert done.stdout, done.stderr
    code, names = json.loads(done.stdout)
    assert code in (0, 1), done.stderr
    return set(names)


def test_the_help_loads_no_settings_and_no_log(tmp_path: Path) -> None:
    """The help of all verbs, and of one."""
    for arguments in (("--help",), ("status", "--help"), ("--version",)):
        names = loaded(tmp_path, *arguments)
        assert names & (OF_A_RUN | OF_WORK) == set(), arguments


LOG = {"structlog", "rich", "pygments", "cdc.logs"}
"""The log's library, and what it loads to colour lines."""


@pytest.mark.parametrize("arguments", [("status",), ("trace", "order 1", "--no-ask"), ("outbox", "list")])
def test_looking_into_the_state_loads_no_client_of_a_server(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A command loads its own module and no other verb's, and none of the clients of HubSpot, MySQL and Kafka."""
    folder = tmp_path / "state"
    engine = Engine(
        folder, MagentoMapping(MappingSettings(), contacts_by_email=True), core_foreign_keys(), SystemClock()
    )
    orders = engine.rows.tables["sales_order"]
    orders.put([1 if column == "entity_id" else None for column in orders.columns], 1)
    engine.close()
    (tmp_path / "magento-cdc.toml").write_text("[web]\nport = 1\n")
    names = loaded(tmp_path, *arguments)
    assert names & OF_A_RUN == set()
    assert not {f"cdc.cli.{verb}" for verb in ("check", "run", "demo", "imports", "sandbox")} & names
    assert "cdc.engine.engine" in names, "the state was not looked into"
    assert arguments[0] == "outbox" or names & LOG == set()


def test_a_run_loads_the_sink_that_it_uses_and_no_other(tmp_path: Path) -> None:
    """Lines of JSON need none of HubSpot's clients."""
    recording = Path(cdc.cli.demo.__file__).parents[1] / "demo" / "shop-day.000001"
    (tmp_path / "magento-cdc.toml").write_text(
        f'[source]\nkind = "files"\nfiles = ["{recording}"]\n[web]\nport = 0\n[sink]\nkind = "jsonl"\npath = "out"\n'
    )
    names = loaded(tmp_path, "run", "--until-end")
    assert "sinks.jsonl" in names
    assert names & {"sinks.crm.sink", "sinks.bridge.sink", "pydantic_settings"} == set()
    assert (tmp_path / "out").read_bytes().count(b"\n") > 10


class _Daemon(BaseHTTPRequestHandler):
    """Answers as a daemon does, with a status of one value."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ready": true}')

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_the_status_of_a_daemon_loads_no_log_and_no_state(tmp_path: Path) -> None:
    """A monitor may ask every few seconds: the settings and the daemon's answer are all it takes."""
    with HTTPServer(("127.0.0.1", 0), _Daemon) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        (tmp_path / "magento-cdc.toml").write_text(f"[web]\nport = {server.server_port}\n")
        names = loaded(tmp_path, "status", "--exit-code")
        answering.join()
    assert names & (OF_A_RUN | OF_WORK) == {"cdc.settings.config"}
