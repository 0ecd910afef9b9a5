"""Categories as the admin saves them: the tree's rows, names by store view, links to products.

Only in a database that was made with ``whole``.
"""

from __future__ import annotations

from tests.kit.shop.db import Db

TREE_ROOT, STORE_ROOT = 1, 2


class Categories:
    """The catalogue's tree. Categories are known by ``entity_id``."""

    db: Db

    def plant_categories(self) -> None:
        """The two categories that an install makes: the tree's root and the store's root."""
        with self.db.transaction():
            for category, parent, path, name in (
                (TREE_ROOT, 0, "1", "Root Catalog"),
                (STORE_ROOT, TREE_ROOT, "1/2", "Default Category"),
            ):
                self.db.insert(
                    "catalog_category_entity",
                    entity_id=category, attribute_set_id=3, parent_id=parent, path=path, position=1,
                    level=path.count("/"), children_count=0,
                )  # fmt: skip
                self._name(category, name, 0)

    def create_category(self, name: str, parent: int = STORE_ROOT) -> int:
        """Save a new category; its path has its own number, so it is written in a second statement."""
        above = self.db.get("catalog_category_entity", entity_id=parent)
        with self.db.transaction():
            category = self.db.insert(
                "catalog_category_entity",
                attribute_set_id=3, parent_id=parent, path=above["path"], position=1, level=above["level"] + 1,
                children_count=0,
            )  # fmt: skip
            self.db.update("catalog_category_entity", {"entity_id": category}, path=f"{above['path']}/{category}")
            self._name(category, name, 0)
        return category

    def rename_category(self, category: int, name: str, *, store: int = 0) -> None:
        """Save a category with another name in a store view or in the default scope."""
        with self.db.transaction():
            self._name(category, name, store)

    def move_category(self, category: int, parent: int) -> None:
        """Drag a category below another one: the paths of all categories below it are written anew."""
        held = self.db.get("catalog_category_entity", entity_id=category)
        above = self.db.get("catalog_category_entity", entity_id=parent)
        path = f"{above['path']}/{category}"
        table = self.db.table("catalog_category_entity")
        with self.db.transaction():
            self.db.execute(
                f"UPDATE {table} SET path = REPLACE(path, %s, %s) WHERE path LIKE %s",
                f"{held['path']}/", f"{path}/", f"{held['path']}/%",
            )  # fmt: skip
            self.db.update("catalog_category_entity", {"entity_id": category}, parent_id=parent, path=path)

    def delete_category(self, category: int) -> None:
        """Delete a category: names and links go below the log."""
        with self.db.transaction():
            self.db.delete("catalog_category_entity", entity_id=category)

    def categorise(self, product: int, *categories: int) -> None:
        """Save a product in exactly these categories."""
        held = {row["category_id"] for row in self.db.find("catalog_category_product", product_id=product)}
        with self.db.transaction():
            for category in sorted(held - {*categories}):
                self.db.delete("catalog_category_product", category_id=category, product_id=product)
            for category in sorted({*categories} - held):
                self.db.insert("catalog_category_product", category_id=category, product_id=product, position=0)

    def sort_category(self, category: int) -> None:
        """Save the order of a category's products: every link's row is written."""
        table = self.db.table("catalog_category_product")
        with self.db.transaction():
            self.db.execute(f"UPDATE {table} SET position = position + 1 WHERE category_id = %s", category)

    def _name(self, category: int, name: str, store: int) -> None:
        attribute = self.db.get("eav_attribute", entity_type_id=3, attribute_code="name")["attribute_id"]
        row = {"attribute_id": attribute, "store_id": store, "entity_id": category, "value": name}
        self.db.upsert("catalog_category_entity_varchar", [row], ("attribute_id", "store_id", "entity_id"))
