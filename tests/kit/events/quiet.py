"""What a log is full of and nobody waits for: each of these scenes must send nothing at all."""

from __future__ import annotations

from tests.kit.events.stage import Scene, World


def _logins(world: World) -> None:
    """Logins, one after failures; a password's hash that is made anew at a login."""
    for customer in (world.customers["regular"], world.customers["collector"]):
        world.shop.fail_login(customer)
        world.shop.login(customer)
        world.shop.browse(customer=customer)
        world.shop.change_password(customer)


def _carts(world: World) -> None:
    shop, ids = world.shop, world.products
    shop.add_to_cart([ids["mug"], ids["poster"]], customer=world.customers["regular"], steps=4)
    shop.add_to_cart([ids["mug"]], steps=6)
    shop.browse(pages=5)


def _cron(world: World) -> None:
    world.shop.cron_noise(10)
    with world.shop.db.transaction():
        world.shop.db.execute(f"DELETE FROM {world.shop.db.table('quote')} WHERE is_active = 0")


def _indexers(world: World) -> None:
    world.shop.reindex_noise()


def _saved_again(world: World) -> None:
    """The admin's "save" without a change: only the product's updated_at."""
    shop = world.shop
    values = shop.values(world.products["mug"])
    shop.save_values(world.products["mug"], {"name": values["name"], "price": values["price"]})


def _mails(world: World) -> None:
    """Confirmations go out by cron: the order's own row is written for each, and its comments' rows."""
    shop = world.shop
    with shop.db.transaction():
        shop.db.execute(f"UPDATE {shop.db.table('sales_order')} SET send_email = 1, email_sent = NULL")
        shop.db.execute(f"UPDATE {shop.db.table('sales_order')} SET email_sent = 1, updated_at = NOW()")


def _same_statements(world: World) -> None:
    """Statements that change nothing leave nothing in the log: same values, a doubled key, a rollback."""
    db, mug = world.shop.db, world.products["mug"]
    row = db.get("catalog_product_entity", entity_id=mug)
    with db.transaction():
        db.update("catalog_product_entity", {"entity_id": mug}, sku=row["sku"])
        db.insert_many("catalog_product_website", [{"product_id": mug, "website_id": 1}], ignore=True)
    db.connection.begin()
    db.update("catalog_product_entity", {"entity_id": mug}, sku="ROLLED-BACK")
    db.connection.rollback()


def _merchandising(world: World) -> None:
    """Categories, tier prices, pictures, price rules and pages: all of it in tables that nobody reads."""
    world.shop.merchandise(world.products["mug"])


def _stock(world: World) -> None:
    db = world.shop.db
    with db.transaction():
        db.execute(f"UPDATE {db.table('inventory_source_item')} SET quantity = quantity - 1")
        db.execute(f"UPDATE {db.table('cataloginventory_stock_item')} SET qty = qty - 1")


QUIET: tuple[Scene, ...] = (
    ("noise-logins", _logins),
    ("noise-carts", _carts),
    ("noise-cron", _cron),
    ("noise-indexers", _indexers),
    ("noise-saved-again", _saved_again),
    ("noise-mails", _mails),
    ("noise-same-statements", _same_statements),
    ("noise-stock", _stock),
    ("noise-merchandising", _merchandising),
)
