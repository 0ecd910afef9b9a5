"""An account that held the shop's contacts, products and deals before the first run: adopted, and nothing made twice.

``make soak`` takes 5,000 contacts, 500 products and 2,000 deals; else it is a fiftieth of that, which takes seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from cdc.model import ObjectType
from tests.acceptance.conftest import Rig, a_rig
from tests.kit.daemon import command
from tests.kit.servers import Server
from tests.kit.shop import Line

pytestmark = pytest.mark.slow

PART: Final = 1 if "SOAK_SEED" in os.environ else 50
CONTACTS, PRODUCTS, DEALS = 5000 // PART, 500 // PART, 2000 // PART
CONTACT, PRODUCT, DEAL = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL
NUMBER = "ip__ecomm_bridge__order_number"


def in_loop(rig: Rig, work: Any) -> Any:
    """Something done in the sandbox's own loop."""

    async def done() -> Any:
        return work()

    return asyncio.run_coroutine_threadsafe(done(), rig.sandbox.loop).result(120)


def lived(rig: Rig) -> None:
    """The shop's past: customers, products, and orders of some of the customers."""
    shop = rig.shop
    products = [shop.create_product(f"MUG-{n:04}", f"Mug {n}", "9.90") for n in range(PRODUCTS)]
    customers = [shop.register() for _ in range(CONTACTS)]
    for n in range(DEALS):
        shop.place_order(customers[n % CONTACTS], [Line(products[n % PRODUCTS], 1)])


def held_before(rig: Rig) -> dict[ObjectType, int]:
    """The account's past: what another connector made of the shop, with notes of people; and what is not the shop's."""
    account, people = rig.sandbox.crm.account, rig.sandbox.crm.people
    body = {"name": NUMBER, "label": "Order", "groupName": "dealinformation", "type": "string", "fieldType": "text"}
    account.properties.create(DEAL, body, account.now_ms())
    for row in rig.shop.db.rows("SELECT email FROM customer_entity"):
        people.create(CONTACT, {"email": row["email"].upper(), "jobtitle": "Baker"})
    for row in rig.shop.db.rows("SELECT sku FROM catalog_product_entity"):
        people.create(PRODUCT, {"name": "An old name", "hs_sku": row["sku"]})
    for row in rig.shop.db.rows("SELECT increment_id FROM sales_order"):
        people.create(DEAL, {"dealname": "An old name", NUMBER: row["increment_id"]})
    people.create(CONTACT, {"email": "somebody@example.com"})
    people.create(DEAL, {"dealname": "A deal of people's own"})
    return {kind: len(account.records.live[kind]) for kind in (CONTACT, PRODUCT, DEAL)}


def adopted(rig: Rig, *options: str) -> dict[str, dict[str, Any]]:
    """What ``mapping adopt`` says, by type."""
    done = command("mapping", "adopt", "--json", *options, cwd=rig.folder, limit_s=600)
    assert done.returncode == 0, done.stderr
    return {one["object_type"]: one for one in json.loads(done.stdout)}


@pytest.mark.soak
def test_records_of_others_are_adopted_and_nothing_is_made_twice(mariadb: Server, tmp_path: Path) -> None:
    """The dry run says the same numbers; a run then makes lines only, and fills the records that were there."""
    with a_rig(mariadb, tmp_path, sink="crm") as rig:
        lived(rig)
        (tmp_path / "magento-cdc.toml").write_text(rig.toml, encoding="utf-8")
        before = in_loop(rig, lambda: held_before(rig))
        assert before == {CONTACT: CONTACTS + 1, PRODUCT: PRODUCTS, DEAL: DEALS + 1}

        told, done, again = adopted(rig, "--dry-run"), adopted(rig), adopted(rig)
        assert told == done
        wanted = {CONTACT: CONTACTS, PRODUCT: PRODUCTS, DEAL: DEALS}
        assert {ObjectType(kind): one["adopted"] for kind, one in done.items()} == wanted
        assert {ObjectType(kind): one["ours"] for kind, one in again.items()} == wanted

        with rig.daemon() as daemon:
            daemon.start()
            rig.wait_for_equality(300, keep=lambda line: not line.startswith("too much:"))
            assert daemon.stop() == 0
        live = rig.sandbox.crm.account.records.live
        after = {kind: len(live[kind]) for kind in (CONTACT, PRODUCT, DEAL)}
        assert after == before
        assert len(live[ObjectType.LINE_ITEM]) == DEALS
        titles = {one.properties.get("jobtitle") for one in live[CONTACT].values() if "magento_key" in one.properties}
        assert titles == {"Baker"}
        assert not any(one.properties.get("magento_backfilled") for one in live[CONTACT].values())
        assert command("verify", "--all", cwd=tmp_path, limit_s=600).returncode == 0
