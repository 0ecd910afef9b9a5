"""A shop on a real server, a sandbox and the installed command between them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc.protocols import SinkSetup
from cdc.settings.config import Settings, load
from sinks.registry import make_sink
from tests.kit import install, schema
from tests.kit.canary import API_KEY, PASSWORD, assert_folder_tells_nothing, assert_forgotten
from tests.kit.crm_state import crm_difference
from tests.kit.daemon import Daemon, wait_until
from tests.kit.full_render import State, difference, full_render
from tests.kit.requests import FreeRequests
from tests.kit.sandbox import SandboxThread
from tests.kit.servers import Server
from tests.kit.shop import Shop

RENDER_EVERY_S = 10.0
USER = "cdc"
GRANTS = ("REPLICATION SLAVE, REPLICATION CLIENT ON *.*",)


@dataclass
class Rig:
    """Everything of one acceptance test."""

    server: Server
    database: str
    shop: Shop
    sandbox: SandboxThread
    folder: Path
    toml: str
    sink: str = "bridge"

    def daemon(self, *arguments: str) -> Daemon:
        """The command with this rig's settings."""
        return Daemon(self.folder, self.toml, *arguments)

    def settings(self) -> Settings:
        """The same settings, for the full render that the test compares with."""
        path = self.folder / "full-render.toml"
        path.write_text(self.toml, encoding="utf-8")
        return load(path)

    def push(self) -> None:
        """Push the mapping of these settings."""
        asyncio.run(_push(self.settings()))

    def differences(self) -> list[str]:
        """Where the sandbox differs from a full render of the database."""
        settings = self.settings()
        return self._against(full_render(settings), settings)

    def _against(self, expected: State, settings: Settings) -> list[str]:
        if self.sink == "crm":
            return crm_difference(expected, self.sandbox.crm_state(), settings)
        return difference(expected, self.sandbox.state(settings.sink.store_id))

    def objects(self) -> set[str]:
        """The external ids of what the receiver holds and has not marked as deleted."""
        if self.sink == "bridge":
            return {*self.sandbox.state()}
        held = [one for by_key in self.sandbox.crm_state().values() for one in by_key.items()]
        return {key for key, one in held if not one["properties"].get("magento_deleted_at")}

    def everything(self) -> Any:
        """All that the receiver holds, deleted objects and stamps too: equal when nothing was written in between."""
        return self.sandbox.crm_state() if self.sink == "crm" else self.sandbox.raw_state()

    def assert_deleted_people_are_forgotten(self) -> None:
        """Of a daemon that has stopped behind ``wait_for_equality``: its state holds nobody whom the shop lacks."""
        columns = self.server.run(
            "SELECT table_name, column_name FROM information_schema.columns"
            f" WHERE table_schema = '{self.database}' AND column_name LIKE '%email' AND data_type = 'varchar'"
        )
        union = " UNION ".join(f"SELECT `{column}` FROM `{self.database}`.`{table}`" for table, column in columns)
        assert_forgotten(self.folder / "state", [address for (address,) in self.server.run(union) if address])

    def wait_for_equality(self, limit_s: float = 60.0, keep: Callable[[str], bool] = lambda _: True) -> None:
        """Wait until the sandbox equals a full render; the differences if it never does. ``keep``: those that count.

        Rendering takes what the daemon could use, so it is done once, and again now and then should the shop not be
        quiet.
        """
        found: list[str] = ["never looked"]
        settings = self.settings()
        expected, until = full_render(settings), time.monotonic() + RENDER_EVERY_S

        def is_equal() -> bool:
            nonlocal expected, until
            if time.monotonic() > until:
                expected, until = full_render(settings), time.monotonic() + RENDER_EVERY_S
            found[:] = filter(keep, self._against(expected, settings))
            return not found

        try:
            wait_until(is_equal, limit_s, "sandbox = full render")
        except AssertionError as late:
            raise AssertionError("\n".join([str(late), *found[:20]])) from None


def make_toml(
    server: Server, database: str, sandbox_url: str, *, user: str = USER, password: str = PASSWORD, sink: str = "bridge"
) -> str:
    """Settings for a run between this server and this sandbox."""
    key = "access_token" if sink == "crm" else "api_key"
    return f"""
[source]
host = "127.0.0.1"
port = {server.port}
user = "{user}"
password = "{password}"
database = "{database}"
server_id = 990
heartbeat_s = 1.0
[sink]
kind = "{sink}"
base_url = "{sandbox_url}"
{key} = "{API_KEY}"
judge_poll_s = 0.5
[web]
port = 0
[state]
dir = "./state"
[history]
chunk_rows = 50
"""


@contextmanager
def a_rig(server: Server, folder: Path, *, prefix: str = "", sink: str = "bridge") -> Iterator[Rig]:
    """A rig on this server, with an installed shop, its tables named with this prefix."""
    with server.database("shop") as database:
        server.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
        connection = server.connect(database=database)
        schema.load(connection, prefix)
        shop = Shop(connection, prefix)
        shop.install()
        sandbox = SandboxThread()
        toml = make_toml(server, database, sandbox.url, sink=sink)
        if prefix:
            toml = toml.replace("[source]\n", f'[source]\ntable_prefix = "{prefix}"\n')
        rig = Rig(server, database, shop, sandbox, folder, toml, sink)
        rig.push()
        try:
            yield rig
            sandbox.assert_rules_kept()
        finally:
            sandbox.close()
            connection.close()


async def _push(settings: Settings) -> None:
    sink = make_sink(settings)
    assert isinstance(sink, SinkSetup)
    await sink.push_mapping(FreeRequests(), dry_run=False)
    await sink.close()


@pytest.fixture(autouse=True)
def nothing_is_told(tmp_path: Path) -> Iterator[None]:
    """When all is torn down, everything that the run wrote is searched for values of people and for secrets."""
    yield
    assert_folder_tells_nothing(tmp_path)


@pytest.fixture(scope="session")
def browser() -> Path:
    """Chromium's program; without it the test is skipped with the reason."""
    try:
        return install.chromium()
    except install.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core, which looks for what keeps people out; without it the test is skipped with the reason."""
    try:
        return install.axe().read_text(encoding="utf-8")
    except install.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def sink(request: pytest.FixtureRequest) -> str:
    """The sink that a rig sends to; a test of the matrix names it."""
    return str(getattr(request, "param", "bridge"))


@pytest.fixture
def rig(server: Server, tmp_path: Path, sink: str) -> Iterator[Rig]:
    """A rig on each kind of server in turn."""
    with a_rig(server, tmp_path, sink=sink) as made:
        yield made


PAIRS = [("mariadb", "bridge"), ("mysql", "bridge"), ("mariadb", "crm")]
if "SOAK_SEED" in os.environ:
    PAIRS.append(("mysql", "crm"))
matrix = pytest.mark.parametrize(("server", "sink"), PAIRS, indirect=True)
"""Each server with the bridge, and the CRM on one of them: a sink never sees which server the rows came from, so the
second server would only add minutes to the CRM's tests. ``make soak`` takes the fourth pair too.
"""

matrix_on_mariadb = pytest.mark.parametrize(
    ("server", "sink"),
    [pytest.param(*pair, marks=[pytest.mark.soak] if pair[0] == "mysql" else []) for pair in PAIRS],
    indirect=True,
)
"""For a long test whose rule does not depend on the server: MySQL's part belongs to `make soak`."""

matrix_in_soak = pytest.mark.parametrize(
    ("server", "sink"), PAIRS if "SOAK_SEED" in os.environ else PAIRS[:2], indirect=True
)
"""For a test that takes a minute: the CRM's part belongs to `make soak`."""

both_sinks = pytest.mark.parametrize("sink", ["bridge", "crm"], indirect=True)
"""For tests on one server: the bridge and the CRM in turn."""
