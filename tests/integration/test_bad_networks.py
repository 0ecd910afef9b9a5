"""What a bad network does to the stream: nothing is lost, nothing comes twice, nothing hangs, and the log says why."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
import structlog

from cdc.settings.source import SourceSettings, TlsMode, TlsSettings
from tests.integration.test_live_source import NOTE, end_of_log, make_shop, settings_for, write
from tests.kit.follow import Follower
from tests.kit.proxy import Proxy
from tests.kit.servers import MariaDB, MySQL, Server

SEMI_SYNC = {
    "mariadb": (
        "SET GLOBAL rpl_semi_sync_master_enabled = ON, GLOBAL rpl_semi_sync_master_timeout = 100000",
        "SET GLOBAL rpl_semi_sync_master_wait_no_slave = OFF",
    ),
    "mysql": (
        "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
        "SET GLOBAL rpl_semi_sync_source_enabled = ON, GLOBAL rpl_semi_sync_source_timeout = 100000",
        "SET GLOBAL rpl_semi_sync_source_wait_no_replica = OFF",
    ),
}


@pytest.fixture
def shop(server: Server, database: str) -> SourceSettings:
    make_shop(server, database)
    return settings_for(server, database, heartbeat_s=0.4, connect_timeout_s=2)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as made:
        yield made


def through(shop: SourceSettings, proxy: Proxy) -> SourceSettings:
    return shop.model_copy(update={"port": proxy.port})


def test_a_stream_in_single_bytes_is_the_same_stream(server: Server, shop: SourceSettings) -> None:
    """However finely the network cuts login and events, with TLS or without."""
    start = end_of_log(shop)
    write(server, shop.database, 1, 2, 3)
    with Proxy(server.port, slice_bytes=1) as proxy, Follower(through(shop, proxy), [NOTE], start) as log:
        log.wait_for_ids([1, 2, 3])
        write(server, shop.database, 4)
        log.wait_for_ids([1, 2, 3, 4])


def test_a_reset_is_followed_by_a_new_connection_and_told_with_its_number(
    server: Server, shop: SourceSettings, proxy: Proxy
) -> None:
    """RST in the middle: one warning with position, reason and error number, then the rest of the log.

    In the clear, as Python's TLS tells a reset as a plain end, without a number.
    """
    plain = through(shop, proxy).model_copy(update={"tls": TlsSettings(mode=TlsMode.DISABLED)})
    with structlog.testing.capture_logs() as lines, Follower(plain, [NOTE], end_of_log(shop)) as log:
        log.wait_for_state("connected")
        write(server, shop.database, 1)
        log.wait_for_ids([1])
        proxy.reset()
        told = log.wait_for_state("disconnected")
        write(server, shop.database, 2)
        log.wait_for_ids([1, 2])
    assert told["errno"] == errno.ECONNRESET, told
    warned = next(line for line in lines if line["event"] == "source_disconnected")
    assert warned["errno"] == errno.ECONNRESET
    assert "reset" in str(warned["reason"])
    assert "says" not in str(warned["reason"])  # nobody said it: the network did it
    assert warned["position"]


def test_a_path_that_swallows_everything_is_left(server: Server, shop: SourceSettings, proxy: Proxy) -> None:
    """Half open: no byte comes, no end either. Silence is noticed, and what was written meanwhile comes once."""
    with Follower(through(shop, proxy), [NOTE], end_of_log(shop)) as log:
        log.wait_for_state("connected")
        write(server, shop.database, 1)
        log.wait_for_ids([1])
        proxy.swallow()
        write(server, shop.database, 2)
        assert "heartbeat" in str(log.wait_for_state("disconnected")["reason"])
        proxy.heal()
        log.wait_for_ids([1, 2])


def test_closing_does_not_wait_for_a_peer_that_hangs(shop: SourceSettings, proxy: Proxy) -> None:
    """The other side answers nothing, not even our goodbye."""
    patient = through(shop, proxy).model_copy(update={"heartbeat_s": 60.0})
    with Follower(patient, [NOTE], end_of_log(shop)) as log:
        log.wait_for_state("connected")
        proxy.swallow()
        log.source.close()
        log.thread.join(5)
        assert not log.thread.is_alive()
        assert log.failure is None


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_semi_sync_does_not_reach_us_nor_wait_for_us(request: pytest.FixtureRequest, flavor: str) -> None:
    """We never ask to be a semi-sync replica: no event gets its prefix, the server counts no such client and no commit
    waits for our acknowledgement."""
    request.getfixturevalue(flavor)
    with (MariaDB if flavor == "mariadb" else MySQL)() as own, own.database() as database:
        make_shop(own, database)
        own.run(*SEMI_SYNC[flavor])
        settings = settings_for(own, database)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            log.wait_for_state("connected")
            write(own, database, 1, 2)  # each would be held for 100 s
            log.wait_for_ids([1, 2])
            status = {str(name).lower(): value for name, value in own.run("SHOW GLOBAL STATUS LIKE 'rpl_semi_sync%'")}
            assert [value for name, value in status.items() if name.endswith("_clients")] == ["0"]
            assert [name for name, _ in log.states] == ["connected"]
