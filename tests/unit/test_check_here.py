"""``check`` on this machine: the state folder is not made by looking, the port is tried, a running daemon is seen."""

from __future__ import annotations

import socket
from pathlib import Path

from cdc.cli.check_here import here, position_in_log
from cdc.settings.config import Settings, load
from cdc.state.store import Store, is_in_use


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


def test_without_a_state_there_is_no_position_to_look_for(tmp_path: Path) -> None:
    """Before the first run nothing is asked of the server."""
    assert position_in_log(settings_for(tmp_path / "none")) == []
