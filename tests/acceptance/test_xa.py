"""Two-phase commits: what is prepared reaches the sink when it is committed, through kills of either side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import a_rig
from tests.kit.daemon import wait_until
from tests.kit.servers import MariaDB, MySQL

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mariadb",)


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_a_prepared_transaction_survives_kills_of_daemon_and_server(
    request: pytest.FixtureRequest, tmp_path: Path, flavor: str
) -> None:
    """Prepared, then both sides killed, then committed (and one rolled back): the sink ends equal to the database."""
    request.getfixturevalue(flavor)
    with (MariaDB if flavor == "mariadb" else MySQL)() as own, a_rig(own, tmp_path) as rig:
        kept, undone, other = (rig.shop.register() for _ in range(3))
        with rig.daemon() as daemon:
            daemon.start()
            rig.wait_for_equality()
            for xid, customer in (("'kept'", kept), ("'undone'", undone)):
                change = f"UPDATE customer_entity SET firstname = 'Prepared' WHERE entity_id = {customer}"
                own.run(f"XA START {xid}", change, f"XA END {xid}", f"XA PREPARE {xid}", database=rig.database)
            own.run(f"UPDATE customer_entity SET firstname = 'Later' WHERE entity_id = {other}", database=rig.database)
            name = f"magento-customer-{other}"
            wait_until(lambda: "Later" in str(rig.sandbox.state()[name]), 30, "the log is read past both")
            assert "Prepared" not in str(rig.sandbox.state())
            daemon.kill()
            own.kill()
            own.start()
            daemon.start()
            own.run("XA COMMIT 'kept'", "XA ROLLBACK 'undone'")
            wait_until(lambda: "Prepared" in str(rig.sandbox.state()), 30, "what was prepared arrives")
            rig.shop.db.connection.close()
            rig.shop.db.connection.connect()
            rig.wait_for_equality()
            assert "Prepared" not in str(rig.sandbox.state()[f"magento-customer-{undone}"])
            assert daemon.stop() == 0
        assert rig.sandbox.violations() == {}
