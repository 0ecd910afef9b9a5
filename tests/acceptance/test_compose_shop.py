"""deploy/compose.shop.yaml without an engine: the services' commands by hand, in the order that compose keeps.

Host names become this machine, published ports become free ones, and the image's command is the installed one. What
only an engine does (networks, volumes, the image's user) is not tried here.
"""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.kit import schema
from tests.kit.daemon import COMMAND, fetch, free_environment, wait_until
from tests.kit.servers import MariaDB, Option
from tests.kit.shop import Shop
from tests.kit.shop_day import play
from tests.unit.test_deploy import DEPLOY, services

pytestmark = pytest.mark.slow

SERVICES = services("shop")
LIMIT_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def database() -> Iterator[MariaDB]:
    """The service ``db``: a server with its options, its database, and its folder's files run as root."""
    service = SERVICES["db"]
    options: dict[str, Option] = {}
    for flag in service["command"]:
        name, _, value = flag.removeprefix("--").partition("=")
        options[name.replace("-", "_")] = value or "binlog"
    with MariaDB(options) as server:
        name = service["environment"]["MARIADB_DATABASE"]
        server.run(f"CREATE DATABASE `{name}`")
        [folder] = [mount.split(":")[0] for mount in service["volumes"] if "initdb" in mount]
        for path in sorted((DEPLOY / folder).glob("*.sql")):
            text = re.sub(r"^--.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            server.run(*[statement for statement in text.split(";") if statement.strip()], database=name)
        yield server


class Composed:
    """The services that run our command."""

    def __init__(self, folder: Path, server: MariaDB) -> None:
        self.folder = folder
        self.sandbox, self.web = free_port(), free_port()
        self._here = {
            "http://sandbox:8090": f"http://127.0.0.1:{self.sandbox}",
            "8090": str(self.sandbox),
            "0.0.0.0": "127.0.0.1",
            "db": "127.0.0.1",
        }
        self._server = server

    def environment(self, service: str) -> dict[str, str]:
        """The service's own, with this machine's names."""
        own = {name: self._here.get(str(value), str(value)) for name, value in SERVICES[service]["environment"].items()}
        if "MAGENTO_CDC__SOURCE__HOST" in own:
            own["MAGENTO_CDC__SOURCE__PORT"] = str(self._server.port)
        return free_environment() | own

    def command(self, service: str) -> list[str]:
        """The service's command; the image's own command is ``run``."""
        words: Sequence[str] = SERVICES[service].get("command", ["run"])
        return [str(COMMAND), *(self._here.get(word, word) for word in words)]

    def at(self, *words: str) -> list[str]:
        """A command on the daemon's state and port."""
        return [*words, "--set", f"state.dir={self.folder / 'state'}", "--set", f"web.port={self.web}"]

    @contextlib.contextmanager
    def running(self, service: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """The service as a process that is asked to stop at the end."""
        with (self.folder / f"{service}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(service), stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(LIMIT_S) == 0


def test_services_in_their_order_bring_a_shop_into_the_sandbox(tmp_path: Path) -> None:
    """Each service waits for those that it depends on; in the end nothing differs between shop and sandbox."""
    order = [*TopologicalSorter({name: one.get("depends_on", {}) for name, one in SERVICES.items()}).static_order()]
    assert order.index("sandbox") < order.index("setup")
    assert order.index("magento-cdc") > max(order.index("db"), order.index("setup"))
    with database() as server, contextlib.closing(server.connect(database="magento")) as connection:
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        play(shop, seed=31)
        composed = Composed(tmp_path, server)
        with composed.running("sandbox", composed.command("sandbox")):
            wait_until(lambda: bool(_answers(composed.sandbox)), LIMIT_S, "the sandbox's health check")
            setup = subprocess.run(
                composed.command("setup"), cwd=tmp_path, env=composed.environment("setup"), capture_output=True,
                text=True, timeout=LIMIT_S, check=False,
            )  # fmt: skip
            assert setup.returncode == 0, setup.stderr
            with composed.running("magento-cdc", composed.at(*composed.command("magento-cdc"))):
                wait_until(lambda: _is_level(composed.web), LIMIT_S, "the shop is in the sandbox")
                verified = subprocess.run(
                    composed.at(str(COMMAND), "verify", "--all"), cwd=tmp_path, capture_output=True, text=True,
                    env=composed.environment("magento-cdc"), timeout=LIMIT_S, check=False,
                )  # fmt: skip
                assert verified.returncode == 0, verified.stdout + verified.stderr


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2):
        return True
    return False


def _is_level(port: int) -> bool:
    with contextlib.suppress(OSError):
        status = fetch(f"http://127.0.0.1:{port}/status")
        return bool(
            status["load"]["state"] == "done" and not status["outbox"]["total"] and not status["waiting"]["objects"]
            and not status["first_load"].get("phase")
        )  # fmt: skip
    return False
