"""What happens to the shop itself: views, attributes and rows that other code replaces wholesale."""

from __future__ import annotations

from tests.kit.events.stage import Scene, World


def _replaced_row(world: World) -> None:
    """REPLACE of a row that others refer to is a DELETE and an INSERT: what hangs on it goes silently."""
    db, poster = world.shop.db, world.products["poster"]
    table = db.table("catalog_product_entity")
    with db.transaction():
        db.execute(
            f"REPLACE INTO {table} (entity_id, attribute_set_id, type_id, sku, created_at) "
            "VALUES (%s, 4, 'simple', 'POSTER-R', '2026-03-01 08:00:00')", poster,
        )  # fmt: skip


def _replaced_leaf(world: World) -> None:
    """REPLACE of a row that nothing refers to, with one key alone, is an UPDATE."""
    db = world.shop.db
    payment = db.get("sales_order_payment", parent_id=world.orders["grouped"])
    with db.transaction():
        db.execute(
            f"REPLACE INTO {db.table('sales_order_payment')} (entity_id, parent_id, method) VALUES (%s, %s, %s)",
            payment["entity_id"], payment["parent_id"], "banktransfer",
        )  # fmt: skip


def _backend_moves(world: World) -> None:
    """A patch moves an attribute's values to another table and says so in the attribute's row."""
    db = world.shop.db
    where = {"entity_type_id": 4, "attribute_code": "url_key"}
    attribute = db.get("eav_attribute", **where)["attribute_id"]
    old, new = (db.table(f"catalog_product_entity_{kind}") for kind in ("varchar", "text"))
    with db.transaction():
        db.execute(
            f"INSERT INTO {new} (attribute_id, store_id, entity_id, value) "
            f"SELECT attribute_id, store_id, entity_id, value FROM {old} WHERE attribute_id = %s ORDER BY value_id",
            attribute,
        )  # fmt: skip
        db.execute(f"DELETE FROM {old} WHERE attribute_id = %s", attribute)
        db.update("eav_attribute", where, backend_type="text")


def _attribute_gone(world: World) -> None:
    """An attribute is removed: its values and options go silently, what was sent of it stays."""
    with world.shop.db.transaction():
        world.shop.db.delete("eav_attribute", entity_type_id=4, attribute_code="materials")


def _view_renamed(world: World) -> None:
    with world.shop.db.transaction():
        world.shop.db.update("store", {"store_id": 2}, code="fr_new")


def _view_gone(world: World) -> None:
    """A store view is removed: its orders keep their rows with store_id NULL, silently."""
    with world.shop.db.transaction():
        world.shop.db.delete("store", store_id=2)


UPHEAVAL: tuple[Scene, ...] = (
    ("shop-replace-parent", _replaced_row),
    ("shop-replace-leaf", _replaced_leaf),
    ("shop-attribute-moves", _backend_moves),
    ("shop-attribute-deleted", _attribute_gone),
    ("shop-view-renamed", _view_renamed),
    ("shop-view-deleted", _view_gone),
)
