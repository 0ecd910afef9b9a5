"""The comparison with other readers works on a real server: `make bench ARGS=peers`, small."""

from __future__ import annotations

import pytest

from tests.benchmarks.peers import OPTIONS, compared
from tests.benchmarks.peers.sides import CANAL, DAEMON, DAEMON_FILES, DEBEZIUM, LIBRARY, TEXT, TEXT_FILES
from tests.benchmarks.peers.table import lines
from tests.kit.install import mariadb_programs
from tests.kit.servers import MariaDB, Unavailable

ORDERS = 60
NO_TOOLCHAIN = (LIBRARY, DAEMON, TEXT, DAEMON_FILES, TEXT_FILES)


@pytest.fixture(scope="module")
def server() -> MariaDB:
    """A server of its own: the comparison reads the server's whole log."""
    try:
        mariadb_programs()
    except Unavailable as reason:
        pytest.skip(str(reason))
    return MariaDB(OPTIONS["mariadb"])


@pytest.mark.slow
def test_the_sides_that_need_no_toolchain_read_the_same_load(server: MariaDB) -> None:
    """Each side runs once to the load's end: readers tell as many changes as the copies have, the daemon all orders."""
    with server:
        found = compared(server, ORDERS, 1, NO_TOOLCHAIN)
    by_name = {one.side.name: one for one in found}
    assert list(by_name) == list(NO_TOOLCHAIN)
    assert not [one.skipped for one in found if one.skipped]
    per_order = 7  # the order, its payment, invoice, two addresses, and two lines as a mean
    assert by_name[LIBRARY].changes == by_name[LIBRARY].taken[0].records == ORDERS * per_order
    for name in (DAEMON, DAEMON_FILES):
        [taken] = by_name[name].taken
        assert taken.records >= ORDERS * 3, "an order is a deal and two line items, as a mean"
        assert taken.from_first_s is not None
        assert taken.cpu_s > 0
    # A run from files begins without the shop's customers and products.
    assert by_name[DAEMON].taken[0].records <= by_name[DAEMON_FILES].taken[0].records
    titles = [row.what for row in lines(found)]
    assert [title for title in titles if LIBRARY in title and "against" in title]
    assert not [title for title in titles if DEBEZIUM in title or CANAL in title]
