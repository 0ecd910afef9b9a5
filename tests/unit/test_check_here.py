"""``check`` on this machine: the state folder is not made by looking, the port is tried, a running daemon is seen."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cdc.cli.check_here import here, position_in_log, running
from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.model import Position
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings, load
from cdc.state.store import Store, is_in_use
from mappers.mapping import MagentoMapping


def settings_for(folder: Path, port: int = 0) -> Settings:
    """Settings with this state folder and this port of the web pages."""
    flags: dict[str, dict[str, object]] = {
        "state": {"dir": str(folder)},
        "web": {"port": port},
        "sink": {"kind": "jsonl"},
    }
    return load(None, flags)


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    """A folder that is not there yet is well if it can be made."""
    found = {one.name: one for one in here(settings_for(tmp_path / "a" / "state"))}

    assert {name: one.ok for name, one in found.items()} == {"state": True, "disk": True, "web": True}
    assert "will be made" in found["state"].text
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_way_of_the_folder_is_a_fault(tmp_path: Path) -> None:
    """The state folder cannot be below a file; root may write anywhere else, so that is all that can be tried here."""
    (tmp_path / "state").write_text("a file")

    [fault] = here(settings_for(tmp_path / "state"))
    assert not fault.ok
    assert "cannot be written" in fault.text


def test_a_port_in_use_is_a_fault(tmp_path: Path) -> None:
    """Another program on web.port would end the run at its start."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = {one.name: one for one in here(settings_for(tmp_path, other.getsockname()[1]))}

    assert not found["web"].ok
    assert "web.port" in found["web"].fix


def test_a_daemon_is_seen_by_its_lock(tmp_path: Path) -> None:
    """Whoever holds the folder's lock runs; without a folder nobody does."""
    assert not is_in_use(tmp_path / "state")
    store = Store(tmp_path / "state", ())
    assert is_in_use(tmp_path / "state")
    store.close()
    assert not is_in_use(tmp_path / "state")


def test_beside_a_daemon_the_server_is_not_asked_for_the_position(tmp_path: Path) -> None:
    """A second reader with our server_id ends the daemon's reading; so the place is taken from the state alone."""
    folder = tmp_path / "state"
    settings = load(
        None, {"source": {"host": "127.0.0.1", "port": 1}, "state": {"dir": str(folder)}, "sink": {"kind": "jsonl"}}
    )
    engine = Engine(folder, MagentoMapping(settings.mapping), core_foreign_keys(), SystemClock())
    with engine.store.transaction():
        engine.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
    [beside] = position_in_log(settings)
    engine.close()
    [alone] = position_in_log(settings)

    assert beside.ok
    assert "a running magento-cdc reads from binlog.000001:4" in beside.text
    assert not alone.ok  # the server is asked, and does not answer


def test_without_a_state_there_is_no_position_to_look_for(tmp_path: Path) -> None:
    """Before the first run nothing is asked of the server."""
    assert position_in_log(settings_for(tmp_path / "none")) == []


class Answers(BaseHTTPRequestHandler):
    """A daemon that another reader throws out."""

    def do_GET(self) -> None:
        """The status."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ready": true, "reasons": ["source: another reader uses server_id 990"]}')

    def log_message(self, *_: object) -> None:
        """Nothing: the base class writes to standard error."""


def test_what_a_running_daemon_says_of_itself_is_shown(tmp_path: Path) -> None:
    """`check` beside a daemon cannot see a second reader with its server id; the daemon can."""
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = list(running(settings_for(tmp_path, server.server_port)))
    assert [(one.ok, one.warning) for one in found] == [(True, True)]
    assert "is ready and says: source: another reader uses server_id 990" in found[0].text
    assert list(running(settings_for(tmp_path, 1))) == []
