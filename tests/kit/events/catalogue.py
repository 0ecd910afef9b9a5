"""Products: made, changed by every path of the admin, the API and the importer, deleted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.kit.events.stage import Scene, World
from tests.kit.shop import Line, Selection


def _created(world: World) -> None:
    shop = world.shop
    values = {
        "color": shop.option("color", "Blue"), "description": "<p>Warm &amp; soft.</p>",
        "materials": ",".join(str(shop.option("materials", one)) for one in ("Cotton", "Wool")),
    }  # fmt: skip
    world.products.ids["scarf"] = shop.create_product("SCARF", "Scarf", "24.00", values=values)


def _created_configurable(world: World) -> None:
    shop = world.shop
    variants = [shop.create_product(f"HAT-{size}", f"Hat {size}", "31.5", values={"visibility": 1}) for size in "SM"]
    world.products.ids["hat"] = shop.create_product("HAT", "Hat", type_id="configurable", variants=variants)


def _created_others(world: World) -> None:
    shop, ids = world.shop, world.products
    shop.create_product("SET-F", "Fixed set", "40", type_id="bundle", selections=[Selection(ids["mug"], 2)],
                        values={"price_type": 1})  # fmt: skip
    shop.create_product("SERIES", "Series", type_id="grouped", members=[ids["mug"], ids["cap"]])
    shop.create_product("VOUCHER", "Voucher", "20", type_id="virtual")


def _saved(**values: Any) -> Any:
    """The scarf's form is saved with these values; None empties one."""

    def scene(world: World) -> None:
        world.shop.save_values(world.products["scarf"], values)

    return scene


def _price(world: World) -> None:
    world.shop.set_price(world.products["scarf"], "21.50")


def _price_before_248(world: World) -> None:
    """Older releases write the value's row alone; the product's own row stays as it is."""
    shop = world.shop
    attribute = shop.db.get("eav_attribute", entity_type_id=4, attribute_code="price")["attribute_id"]
    where = {"attribute_id": attribute, "store_id": 0, "entity_id": world.products["scarf"]}
    with shop.db.transaction():
        shop.db.update("catalog_product_entity_decimal", where, value="20.990000")


def _mass(world: World) -> None:
    ids = world.products
    world.shop.mass_update([ids["scarf"], ids["hat"], ids["cap"]], "status", 2)


def _override(world: World) -> None:
    """Another store view's value is none of ours: the default scope is what is followed."""
    world.shop.store_override(world.products["scarf"], 2, "name", "Écharpe")


def _override_gone(world: World) -> None:
    world.shop.use_default(world.products["scarf"], 2, "name")


def _sku(world: World) -> None:
    world.shop.change_sku(world.products["scarf"], "SCARF-2")


def _import(world: World) -> None:
    """A CSV import: one upsert over many products' rows, new and old."""
    shop = world.shop
    attribute, _ = shop.db.get("eav_attribute", entity_type_id=4, attribute_code="name")["attribute_id"], 0
    names = {"scarf": "Scarf (imported)", "hat": "Hat"}
    rows = [
        {"attribute_id": attribute, "store_id": 0, "entity_id": world.products[name], "value": value}
        for name, value in names.items()
    ]
    with shop.db.transaction():
        shop.db.upsert("catalog_product_entity_varchar", rows, ("attribute_id", "store_id", "entity_id"))


def _replaced(world: World) -> None:
    """An import that replaces: the product goes and comes again under another id."""
    shop, old = world.shop, world.products["hat"]
    shop.delete_product(old)
    world.products.ids["hat"] = shop.create_product("HAT", "Hat again", "30")


def _option_renamed(world: World) -> None:
    world.shop.rename_option("color", "Blue", "Navy")


def _option_label(world: World) -> None:
    """A label of another store view is none of ours."""
    option = world.shop.option("color", "Black")
    with world.shop.db.transaction():
        world.shop.db.update("eav_attribute_option_value", {"option_id": option, "store_id": 2}, value="Noir foncé")


def _option_deleted(world: World) -> None:
    """Its labels go silently; the products keep the dead number."""
    with world.shop.db.transaction():
        world.shop.db.delete("eav_attribute_option", option_id=world.shop.option("materials", "Wool"))


def _websites(world: World) -> None:
    """A save that drops a website and adds another."""
    shop, product = world.shop, world.products["scarf"]
    with shop.db.transaction():
        shop.db.delete("catalog_product_website", product_id=product)
        shop.db.insert("catalog_product_website", product_id=product, website_id=2)


def _scope_switch(world: World) -> None:
    """The price's scope becomes the website's: every price is written once more per view, the default stays."""
    shop = world.shop
    attribute = shop.db.get("eav_attribute", entity_type_id=4, attribute_code="price")["attribute_id"]
    table = shop.db.table("catalog_product_entity_decimal")
    with shop.db.transaction():
        shop.db.execute(
            f"INSERT INTO {table} (attribute_id, store_id, entity_id, value) "
            f"SELECT attribute_id, 3, entity_id, value + 1 FROM {table} WHERE attribute_id = %s AND store_id = 0 "
            "ORDER BY value_id", attribute,
        )  # fmt: skip


def _deleted(world: World) -> None:
    """One row is logged, fifty tables' rows go silently."""
    world.shop.delete_product(world.products["scarf"])


def _deleted_sold(world: World) -> None:
    """Lines still name it: it stays, standing on what the newest line says."""
    world.shop.place_order(world.shop.person(), [Line(world.products["cap"])])
    world.shop.set_price(world.products["cap"], Decimal("22"))
    world.shop.delete_product(world.products["cap"])


CATALOGUE: tuple[Scene, ...] = (
    ("product-created", _created),
    ("product-created-configurable", _created_configurable),
    ("product-created-others", _created_others),
    ("product-renamed", _saved(name="Scarf, long")),
    ("product-price", _price),
    ("product-price-value-only", _price_before_248),
    ("product-value-emptied", _saved(description=None, color=None)),
    ("product-image", _saved(image="no_selection", short_description="Soft.")),
    ("product-override", _override),
    ("product-override-gone", _override_gone),
    ("product-mass-disabled", _mass),
    ("product-sku", _sku),
    ("product-import", _import),
    ("product-import-replace", _replaced),
    ("product-websites", _websites),
    ("product-price-scope", _scope_switch),
    ("product-option-renamed", _option_renamed),
    ("product-option-other-label", _option_label),
    ("product-option-deleted", _option_deleted),
    ("product-deleted", _deleted),
    ("product-deleted-sold", _deleted_sold),
)
