"""Products as the admin saves them: entity row, EAV values, links, stock, url rewrites."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.kit.shop.db import Db

VALUE_TABLES = ("varchar", "text", "decimal", "datetime", "int")
GROUPED_LINK = 3
ENABLED, DISABLED = 1, 2


@dataclass(frozen=True)
class Selection:
    """One choice inside a bundle: the product and how many of it one bundle holds."""

    product: int
    qty: int = 1


@dataclass(frozen=True)
class Product:
    """What a cart needs to know of a product; names and prices in the default scope."""

    id: int
    type: str
    sku: str
    name: str
    price: Decimal
    weight: Decimal
    fixed_price: bool
    fixed_sku: bool
    ships_separately: bool


class Catalog:
    """The catalogue's part of the shop. Products are known by ``entity_id``."""

    db: Db
    rng: random.Random

    def __init__(self) -> None:
        self._attributes: dict[str, tuple[int, str]] = {}

    # ------------------------------------------------------------------------------------------ create

    def create_product(
        self,
        sku: str,
        name: str,
        price: Decimal | str | None = None,
        *,
        type_id: str = "simple",
        websites: Sequence[int] = (1,),
        values: Mapping[str, Any] | None = None,
        variants: Sequence[int] = (),
        selections: Sequence[Selection] = (),
        members: Sequence[int] = (),
    ) -> int:
        """Save a new product in one transaction, in the order of rows in which Magento saves it.

        ``values`` are attribute codes over the defaults. ``variants`` make a configurable, ``selections`` a bundle,
        ``members`` a grouped product.
        """
        slug = sku.lower().replace(" ", "-")
        given: dict[str, Any] = {
            "name": name, "url_key": slug, "image": f"/{slug[0]}/{slug[1:2] or '_'}/{slug}.jpg", "meta_title": name,
            "options_container": "container2", "status": ENABLED, "visibility": 4, "tax_class_id": 2,
        }  # fmt: skip
        if price is not None:
            given["price"] = Decimal(price)
        if type_id == "simple":
            given["weight"] = Decimal("0.5")
        given |= values or {}
        with self.db.transaction():
            product = self.db.insert(
                "catalog_product_entity", attribute_set_id=4, type_id=type_id, sku=sku,
                has_options=int(bool(variants or selections)), required_options=int(bool(variants or selections)),
            )  # fmt: skip
            for kind in VALUE_TABLES:
                rows = [self._value_row(product, code, value) for code, value in given.items()
                        if self._attribute(code)[1] == kind and value is not None]  # fmt: skip
                self.db.insert_many(f"catalog_product_entity_{kind}", rows, ignore=True)
            self.db.insert_many(
                "catalog_product_website", [{"product_id": product, "website_id": website} for website in websites]
            )
            self._link(product, variants, selections, members)
            self.db.insert(
                "cataloginventory_stock_item", product_id=product, stock_id=1, qty=100, is_in_stock=1, manage_stock=1
            )
            self._rewrite_urls(product, slug)
        if type_id in ("simple", "virtual", "downloadable"):
            with self.db.transaction():
                self.db.insert("inventory_source_item", source_code="default", sku=sku, quantity=100, status=1)
        return product

    def _link(
        self, product: int, variants: Sequence[int], selections: Sequence[Selection], members: Sequence[int]
    ) -> None:
        for variant in variants:
            self.db.insert("catalog_product_super_link", product_id=variant, parent_id=product)
        if variants:
            for place, code in enumerate(("color", "size")):
                self.db.insert(
                    "catalog_product_super_attribute",
                    product_id=product, attribute_id=self._attribute(code)[0], position=place,
                )  # fmt: skip
        for place, selection in enumerate(selections):
            option = self.db.insert(
                "catalog_product_bundle_option", parent_id=product, required=1, position=place, type="select"
            )
            self.db.insert(
                "catalog_product_bundle_selection", option_id=option, parent_product_id=product,
                product_id=selection.product, selection_qty=selection.qty, is_default=1,
            )  # fmt: skip
        for member in members:
            self.db.insert(
                "catalog_product_link", product_id=product, linked_product_id=member, link_type_id=GROUPED_LINK
            )
        children = [*variants, *(selection.product for selection in selections), *members]
        self.db.insert_many(
            "catalog_product_relation", [{"parent_id": product, "child_id": child} for child in children], ignore=True
        )

    def _rewrite_urls(self, product: int, slug: str) -> None:
        self.db.delete("url_rewrite", entity_type="product", entity_id=product)
        rows = [
            {"entity_type": "product", "entity_id": product, "request_path": f"{slug}.html",
             "target_path": f"catalog/product/view/id/{product}", "store_id": store, "is_autogenerated": 1}
            for store in (1, 2)
        ]  # fmt: skip
        self.db.upsert("url_rewrite", rows, ("request_path", "store_id"))

    # ------------------------------------------------------------------------------------------ change

    def save_values(self, product: int, values: Mapping[str, Any], *, store: int = 0) -> None:
        """Save a product's form: its entity row is touched, changed values are upserted, None deletes the row."""
        with self.db.transaction():
            self.db.execute(
                f"UPDATE {self.db.table('catalog_product_entity')} SET updated_at = NOW() WHERE entity_id = %s", product
            )
            for code, value in values.items():
                self._write_value(product, code, value, store)

    def set_price(self, product: int, price: Decimal | str) -> None:
        """The bulk price API: first the value alone, then ``updated_at`` in a statement of its own (since 2.4.8)."""
        with self.db.transaction():
            self._write_value(product, "price", Decimal(price), 0)
            self.db.execute(
                f"UPDATE {self.db.table('catalog_product_entity')} SET updated_at = NOW() WHERE entity_id = %s", product
            )

    def rename(self, product: int, name: str, *, store: int = 0) -> None:
        self.save_values(product, {"name": name}, store=store)

    def disable(self, product: int) -> None:
        self.save_values(product, {"status": DISABLED})

    def enable(self, product: int) -> None:
        self.save_values(product, {"status": ENABLED})

    def store_override(self, product: int, store: int, code: str, value: Any) -> None:
        """A value for one store view, over the default scope's."""
        self.save_values(product, {code: value}, store=store)

    def use_default(self, product: int, store: int, code: str) -> None:
        """ "Use default": the override's row is deleted."""
        self.save_values(product, {code: None}, store=store)

    def change_sku(self, product: int, sku: str) -> None:
        old = self.db.get("catalog_product_entity", entity_id=product)["sku"]
        with self.db.transaction():
            self.db.update("catalog_product_entity", {"entity_id": product}, sku=sku)
            self.db.update("inventory_source_item", {"sku": old}, sku=sku)

    def mass_update(self, products: Sequence[int], code: str, value: Any) -> None:
        """The grid's mass action: upserts straight into the value table, many rows a statement."""
        attribute, kind = self._attribute(code)
        rows = [{"attribute_id": attribute, "store_id": 0, "entity_id": product, "value": value}
                for product in products]  # fmt: skip
        with self.db.transaction():
            self.db.upsert(f"catalog_product_entity_{kind}", rows, ("attribute_id", "store_id", "entity_id"))

    def delete_product(self, product: int) -> None:
        """Rewrites go by explicit DELETEs, the entity by one; everything else cascades; the source item goes later."""
        sku = self.db.get("catalog_product_entity", entity_id=product)["sku"]
        with self.db.transaction():
            self.db.delete("url_rewrite", entity_type="product", entity_id=product)
            self.db.delete("catalog_product_entity", entity_id=product)
        with self.db.transaction():
            self.db.delete("inventory_source_item", sku=sku)

    def rename_option(self, code: str, old: str, new: str) -> None:
        """Give an attribute option another label: no product's row changes."""
        option = self.option(code, old)
        with self.db.transaction():
            self.db.update("eav_attribute_option_value", {"option_id": option, "store_id": 0}, value=new)

    # ------------------------------------------------------------------------------------------ look up

    def product(self, product: int) -> Product:
        row = self.db.get("catalog_product_entity", entity_id=product)
        values = self.values(product)
        return Product(
            id=product,
            type=row["type_id"],
            sku=row["sku"],
            name=values.get("name") or row["sku"],
            price=Decimal(values.get("price") or 0),
            weight=Decimal(values.get("weight") or 0),
            fixed_price=values.get("price_type") == 1,
            fixed_sku=values.get("sku_type") == 1,
            ships_separately=values.get("shipment_type") == 1,
        )

    def values(self, product: int, store: int = 0) -> dict[str, Any]:
        """A product's own values of one scope, by attribute code."""
        codes = {number: code for code, (number, _) in self._all_attributes().items()}
        found: dict[str, Any] = {}
        for kind in VALUE_TABLES:
            for row in self.db.find(f"catalog_product_entity_{kind}", entity_id=product, store_id=store):
                found[codes[row["attribute_id"]]] = row["value"]
        return found

    def variants(self, product: int) -> list[int]:
        found = self.db.find("catalog_product_super_link", order="link_id", parent_id=product)
        return [row["product_id"] for row in found]

    def selections(self, product: int) -> list[Selection]:
        rows = self.db.find("catalog_product_bundle_selection", order="selection_id", parent_product_id=product)
        return [Selection(row["product_id"], int(row["selection_qty"])) for row in rows]

    def option(self, code: str, label: str) -> int:
        """The option id of an attribute's label in the admin scope; of product and customer attributes alike."""
        return next(int(row["option_id"]) for row in self._options(code) if row["value"] == label)

    def option_labels(self, code: str) -> list[str]:
        """An attribute's labels in the admin scope."""
        return [row["value"] for row in self._options(code)]

    def _options(self, code: str) -> list[dict[str, Any]]:
        sql = (
            f"SELECT v.option_id, v.value FROM {self.db.table('eav_attribute')} a "
            f"JOIN {self.db.table('eav_attribute_option')} o USING (attribute_id) "
            f"JOIN {self.db.table('eav_attribute_option_value')} v USING (option_id) "
            "WHERE a.attribute_code = %s AND v.store_id = 0 ORDER BY o.sort_order"
        )
        return self.db.rows(sql, code)

    def _all_attributes(self) -> dict[str, tuple[int, str]]:
        if not self._attributes:
            self._attributes = {
                row["attribute_code"]: (row["attribute_id"], row["backend_type"])
                for row in self.db.find("eav_attribute", entity_type_id=4)
            }
        return self._attributes

    def _attribute(self, code: str) -> tuple[int, str]:
        return self._all_attributes()[code]

    def _value_row(self, product: int, code: str, value: Any, store: int = 0) -> dict[str, Any]:
        return {"attribute_id": self._attribute(code)[0], "store_id": store, "entity_id": product, "value": value}

    def _write_value(self, product: int, code: str, value: Any, store: int) -> None:
        table = f"catalog_product_entity_{self._attribute(code)[1]}"
        row = self._value_row(product, code, value, store)
        if value is None:
            self.db.delete(table, **{name: row[name] for name in ("attribute_id", "store_id", "entity_id")})
        else:
            self.db.upsert(table, [row], ("attribute_id", "store_id", "entity_id"))
