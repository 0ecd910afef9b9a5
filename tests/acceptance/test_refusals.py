"""What is wrong at the start is said in one clear sentence, with what to do, the right exit code and no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import GRANTS, Rig, make_toml
from tests.kit.canary import API_KEY, PASSWORD
from tests.kit.daemon import Daemon, command, wait_until

SOAK_SERVERS = ("mysql",)


def refused(rig: Rig, toml: str, code: int) -> str:
    """Run until it ends by itself; the words it said."""
    with Daemon(rig.folder, toml) as daemon:
        assert daemon.start().wait(60) == code
    said = (rig.folder / "run.log").read_text(encoding="utf-8")
    assert "Traceback" not in said
    assert PASSWORD not in said
    return said


def test_a_wrong_password(rig: Rig) -> None:
    """A refused log-in names the user and the setting, and exits 2."""
    said = refused(rig, make_toml(rig.server, rig.database, rig.sandbox.url, password="wrong"), 2)

    assert "refused user 'cdc'" in said
    assert "source.password" in said


@pytest.mark.parametrize("missing", [*GRANTS, "SELECT"])
def test_a_missing_grant(rig: Rig, missing: str) -> None:
    """A missing grant is answered with the GRANT statement that mends it, and exits 2."""
    held = [*GRANTS, f"SELECT ON `{rig.database}`.*"]
    rig.server.create_user("cdc", PASSWORD, [grant for grant in held if not grant.startswith(missing)])
    said = refused(rig, rig.toml, 2)

    assert "GRANT" in said


def test_statement_format(rig: Rig) -> None:
    """binlog_format = STATEMENT is refused with the statement that changes it, and exits 2."""
    rig.server.run("SET GLOBAL binlog_format = 'STATEMENT'")
    try:
        said = refused(rig, rig.toml, 2)
    finally:
        rig.server.run("SET GLOBAL binlog_format = 'ROW'")

    assert "binlog_format" in said
    assert "ROW" in said


def test_a_missing_table(rig: Rig) -> None:
    """A table that the mapping needs and the shop lacks is named with the database, and exits 2."""
    rig.server.run("SET FOREIGN_KEY_CHECKS = 0", f"DROP TABLE `{rig.database}`.sales_order_payment")
    said = refused(rig, rig.toml, 2)

    assert "sales_order_payment" in said
    assert rig.database in said


def test_a_state_folder_that_cannot_be_written(rig: Rig) -> None:
    """A read-only state folder is named with what to do, and exits 2."""
    said = refused(rig, rig.toml.replace('dir = "./state"', 'dir = "/proc/no-state"'), 2)

    assert "/proc/no-state" in said
    assert "state.dir" in said


def test_a_broken_config(tmp_path: Path) -> None:
    """Every fault of the settings file is told at once, with name and value, and exits 2."""
    (tmp_path / "magento-cdc.toml").write_text('[source]\nport = 99999\nhots = "db"\n[sink]\nkind = "brdge"\n')
    done = command("run", cwd=tmp_path)

    assert done.returncode == 2
    [line] = done.stdout.splitlines()  # the log's last line, for those who read no stderr
    assert json.loads(line)["event"] == "failed"
    assert json.loads(line)["exit_code"] == 2
    assert "Traceback" not in done.stderr
    for words in ("source.port = 99999", "source.hots", "did you mean host?", "sink.kind = 'brdge'"):
        assert words in done.stderr


def unreachable(rig: Rig) -> str:
    """A sink where nobody listens."""
    return rig.toml.replace(rig.sandbox.url, "http://127.0.0.1:9")


def bad_key(rig: Rig) -> str:
    """A key that the sandbox refuses."""
    return rig.toml.replace(API_KEY, "not-the-key")


@pytest.mark.parametrize("broken", [pytest.param(unreachable, id="unreachable"), pytest.param(bad_key, id="bad key")])
def test_a_sink_that_does_not_take_leaves_the_daemon_applying(rig: Rig, broken: Callable[[Rig], str]) -> None:
    """An unreachable sink or a bad key: run lives and applies, /ready is red with the reason, check exits 1."""
    with Daemon(rig.folder, broken(rig)) as daemon:
        daemon.start()
        rig.shop.register()
        wait_until(lambda: not daemon.ask("/ready")["ready"], 30, "/ready turns red")
        wait_until(lambda: _pending(daemon) > 0, 30, "the customer waits in the outbox")
        wait_until(
            lambda: any("sink" in reason for reason in daemon.ask("/ready")["reasons"]), 30, "the reason is told"
        )
        checked = command("check", cwd=rig.folder)

        assert daemon.is_running
        assert checked.returncode == 1
        assert "not-the-key" not in checked.stdout + checked.stderr + (rig.folder / "run.log").read_text()
        assert daemon.stop() == 0


def _pending(daemon: Daemon) -> int:
    total: int = daemon.ask("/status").get("outbox", {}).get("total", 0)
    return total


def test_check_says_what_stands(rig: Rig) -> None:
    """With everything in place check prints one line each and exits 0."""
    done = command("check", cwd=_with_settings(rig))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout


def _with_settings(rig: Rig) -> Path:
    (rig.folder / "magento-cdc.toml").write_text(rig.toml, encoding="utf-8")
    return rig.folder


def test_a_second_daemon_on_the_same_state(rig: Rig) -> None:
    """Two daemons never share a state folder: the second one says so and exits 2."""
    with rig.daemon() as first:
        first.start()
        first.port()
        wait_until(lambda: first.ask("/ready")["ready"], 30, "the first one runs")
        done = command("run", cwd=rig.folder)

    assert done.returncode == 2
    assert "in use by another magento-cdc" in done.stdout + done.stderr
