"""Fixtures shared by all tests: private servers, one of each kind per test process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.kit.broker import Broker
from tests.kit.certs import Authority
from tests.kit.servers import MariaDB, MariaDB11, MySQL, Server, Unavailable

# `make test` draws the same cases every time, so that what fails was broken by the change; `make soak` draws new ones.
# No deadline, and no complaint that inputs are made too slowly: a busy machine is slow for no fault of the test.
settings.register_profile(
    "same", derandomize=True, print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "new", derandomize=False, print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("new" if "SOAK_SEED" in os.environ else "same")


QUICK = tuple(Path(__file__).parent / name for name in ("unit", "contract"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by the server they ask for, so that ``-m "not mysql"`` works without marking each by hand.

    Tests with real servers come first: they take long, and the short tests fill the gaps at the end. Tests with the
    mark ``soak`` run in `make soak` alone, and so do those of a module on its ``SOAK_SERVERS``: the rule of such a test
    does not depend on the server.

    Coverage counts what the quick tests reach. It pauses in the others: they would take twice as long, and what only a
    real server reaches is not held by a test that points at the fault.
    """
    counts_coverage = config.pluginmanager.hasplugin("_cov")
    items.sort(key=lambda item: any(item.path.is_relative_to(folder) for folder in QUICK))
    for item in items:
        if item.get_closest_marker("soak") is not None and "SOAK_SEED" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="part of `make soak`"))
        if counts_coverage and not any(item.path.is_relative_to(folder) for folder in QUICK):
            item.add_marker("no_cover")
        asked = set(getattr(item, "fixturenames", ()))
        parameter = getattr(getattr(item, "callspec", None), "params", {}).get("server")
        if parameter in getattr(getattr(item, "module", None), "SOAK_SERVERS", ()) and "SOAK_SEED" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="on this server in `make soak`"))
        for name, fixture in (
            ("mariadb", "mariadb"),
            ("mariadb", "mariadb_11"),
            ("mysql", "mysql"),
            ("kafka", "kafka"),
        ):
            if fixture in asked or parameter == fixture:
                item.add_marker(name)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``server`` runs on the servers that its module names as ``SERVERS``, if it names any."""
    names = getattr(metafunc.module, "SERVERS", ())
    is_chosen = any("server" in _names(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    if names and "server" in metafunc.fixturenames and not is_chosen:
        # as a mark, which goes before the fixture's own parameters
        metafunc.definition.add_marker(pytest.mark.parametrize("server", names, indirect=True, scope="session"))


def _names(named: str | Sequence[str]) -> list[str]:
    """The arguments that a mark gives, which may be one text with commas."""
    return [name.strip() for name in named.split(",")] if isinstance(named, str) else list(named)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command run inside the test sends the log to a stream of its own, which is closed behind it."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """One MariaDB for the whole run: give every test its own database, and start your own server to break it."""
    yield from _running(MariaDB())


@pytest.fixture(scope="session")
def mysql() -> Iterator[Server]:
    """The same with MySQL 9."""
    yield from _running(MySQL())


@pytest.fixture(scope="session")
def mariadb_11() -> Iterator[Server]:
    """The same with MariaDB 11.8, for tests of what differs between releases (``ALL_SERVERS``)."""
    yield from _running(MariaDB11())


@pytest.fixture(scope="session", params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each kind of server in turn."""
    chosen: Server = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """An empty database on ``server``, dropped after the test; its name."""
    with server.database() as name:
        yield name


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One Kafka broker with every listener for the whole run: give every test topics of its own, and start your own
    ``Broker`` to break it.
    """
    broker = Broker(authority=Authority(tmp_path_factory.mktemp("kafka"), "kafka-ca"))
    try:
        broker.start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield broker
    broker.close()


def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.close()
