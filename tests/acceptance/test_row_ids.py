"""Adobe Commerce's catalogue on a real server: scheduled versions go live when the shop says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Rig, a_rig
from tests.kit.daemon import command, wait_until
from tests.kit.schema.commerce import turn_into_commerce
from tests.kit.servers import Server

FIRST, LAST = 1, 2147483647
SALE, END = 1_800_000_000, 1_800_086_400


class Commerce:
    """Products with versions, as the paid edition writes them."""

    def __init__(self, rig: Rig) -> None:
        self.db = rig.shop.db
        attributes = self.db.find("eav_attribute", entity_type_id=4)
        self._ids = {row["attribute_code"]: (row["attribute_id"], row["backend_type"]) for row in attributes}

    def product(self, sku: str) -> int:
        """A number of the sequence, in one transaction with its first row."""
        with self.db.transaction():
            number = self.db.insert("sequence_product", sequence_value=None)
            self.version(number, sku, FIRST, LAST)
        return number

    def version(self, number: int, sku: str, created_in: int, updated_in: int, **values: object) -> int:
        row = self.db.insert(
            "catalog_product_entity", entity_id=number, sku=sku, created_in=created_in, updated_in=updated_in
        )
        for code, value in {"name": sku.title(), "status": 1, **values}.items():
            attribute, kind = self._ids[code]
            self.db.insert(f"catalog_product_entity_{kind}", attribute_id=attribute, row_id=row, value=value)
        return row

    def schedule(self, number: int, sku: str, **values: object) -> None:
        """A sale: the live row ends where it begins, and what was before comes again after it."""
        with self.db.transaction():
            self.db.update("catalog_product_entity", {"entity_id": number, "created_in": FIRST}, updated_in=SALE)
            self.version(number, sku, SALE, END, **values)
            self.version(number, sku, END, LAST)

    def apply(self, version: int) -> None:
        """The cron that makes a version live."""
        with self.db.transaction():
            data = json.dumps({"current_version": str(version)})
            self.db.upsert("flag", [{"flag_id": 1, "flag_code": "staging", "flag_data": data}], ("flag_id",))


@pytest.fixture
def rig(mariadb: Server, tmp_path: Path) -> Iterator[Rig]:
    with a_rig(mariadb, tmp_path) as made:
        turn_into_commerce(made.shop.db.connection)
        yield made


def test_trap_19_adobe_commerce_keys_the_catalogue_by_rows(rig: Rig) -> None:
    """Imported by the live row, changed by the flag alone, deleted by the sequence: HubSpot equals a full render."""
    shop = Commerce(rig)
    mug, cup = shop.product("mug"), shop.product("cup")
    shop.schedule(mug, "mug", price="7.50")

    def price() -> str | None:
        properties: dict[str, str] = rig.sandbox.state().get(f"magento-product-{mug}", {}).get("properties", {})
        return properties.get("price")

    assert command("check", cwd=_with_settings(rig)).stdout.count("FAIL") == 0
    with rig.daemon() as daemon:
        daemon.start()
        rig.wait_for_equality()
        assert price() is None

        shop.apply(SALE)
        wait_until(lambda: price() == "7.50", 30, "the sale is live")
        rig.wait_for_equality()

        shown = command("mapping", "show", "product", str(mug), cwd=rig.folder)
        assert "7.50" in shown.stdout, shown.stderr

        shop.apply(END)
        wait_until(lambda: not price(), 30, "the sale is over")
        with shop.db.transaction():
            shop.db.delete("sequence_product", sequence_value=cup)
        rig.wait_for_equality()
        assert f"magento-product-{cup}" not in _living(rig)

        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}
    assert [line for line in daemon.lines() if line["level"] in ("warning", "error", "critical")] == []


def _with_settings(rig: Rig) -> Path:
    (rig.folder / "magento-cdc.toml").write_text(rig.toml, encoding="utf-8")
    return rig.folder


def _living(rig: Rig) -> set[str]:
    return {key for key, held in rig.sandbox.state().items() if not held.get("deleted")}
