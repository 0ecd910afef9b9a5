"""What fills a Magento log and means nothing: carts, visitors, cron, indexers, sessions."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.kit.shop import seeds
from tests.kit.shop.catalog import Catalog
from tests.kit.shop.customers import Customers
from tests.kit.shop.db import Db

_JOBS = ("indexer_update_all_views", "sales_clean_quotes", "newsletter_send_all", "consumers_runner")


class Noise(Catalog, Customers):
    """The rest of the traffic. Nothing here may reach anyone."""

    db: Db
    rng: random.Random

    def add_to_cart(
        self, products: Sequence[int], *, customer: int | None = None, store: int = 1, steps: int = 2
    ) -> int:
        """A cart that is filled, re-counted ``steps`` times and left behind; the quote's id."""
        email = self.db.get("customer_entity", entity_id=customer)["email"] if customer else None
        with self.db.transaction():
            quote = self.db.insert(
                "quote", store_id=store, customer_id=customer, customer_email=email, is_active=1,
                quote_currency_code=seeds.STORE_CURRENCY[store][0],
            )  # fmt: skip
        for product in products:
            facts = self.product(product)
            with self.db.transaction():
                self.db.insert(
                    "quote_item", quote_id=quote, product_id=product, store_id=store, sku=facts.sku, name=facts.name,
                    qty=1, price=facts.price, row_total=facts.price,
                )  # fmt: skip
        for step in range(steps):
            with self.db.transaction():
                where = {"entity_id": quote}
                self.db.update("quote", where, items_count=len(products), items_qty=step + 1, grand_total=step * 10)
        return quote

    def browse(self, *, customer: int | None = None, pages: int = 3) -> None:
        """Page views: a visitor, a session, reports."""
        with self.db.transaction():
            visitor = self.db.insert("customer_visitor", customer_id=customer)
        session = f"{self.rng.getrandbits(128):032x}"
        for page in range(pages):
            with self.db.transaction():
                values = {"session_id": session, "session_expires": 3600 + page, "session_data": b"opaque" * (page + 1)}
                self.db.upsert("session", [values], ("session_id",))
            with self.db.transaction():
                self.db.insert("report_event", event_type_id=1, object_id=page, subject_id=visitor, store_id=1)

    def cron_noise(self, runs: int = 5) -> None:
        """Jobs that are planned, start, end, and are cleaned away."""
        for _ in range(runs):
            job = self.rng.choice(_JOBS)
            with self.db.transaction():
                schedule = self.db.insert("cron_schedule", job_code=job, status="pending")
            for status in ("running", "success"):
                with self.db.transaction():
                    self.db.update("cron_schedule", {"schedule_id": schedule}, status=status)
            with self.db.transaction():
                self.db.delete("cron_schedule", schedule_id=schedule)

    def merchandise(self, product: int) -> None:
        """An afternoon's work in the admin that is none of HubSpot's: a category, prices, pictures, a rule, a page.

        Only in a database that was made with ``whole``.
        """
        self._save_category(product)
        with self.db.transaction():
            where = {"entity_id": product, "all_groups": 0, "customer_group_id": 2, "website_id": 0}
            self.db.insert("catalog_product_entity_tier_price", **where, qty=10, value="9.5")
            self.db.update("catalog_product_entity_tier_price", where, value="9.25")
            self.db.delete("catalog_product_entity_tier_price", **where)
        with self.db.transaction():
            attribute = self._attribute("image")[0]
            picture = self.db.insert(
                "catalog_product_entity_media_gallery", attribute_id=attribute, value="/s/i/side.jpg"
            )
            self.db.insert(
                "catalog_product_entity_media_gallery_value", value_id=picture, entity_id=product, label="Side"
            )
            self.db.upsert(
                "catalog_product_entity_gallery",
                [{"attribute_id": attribute, "entity_id": product, "store_id": 0, "value": "/s/i/side.jpg"}],
                ("attribute_id", "entity_id", "store_id"),
            )
        with self.db.transaction():
            rule = self.db.insert("catalogrule", name="Spring", simple_action="by_percent", discount_amount=10)
            self.db.update("catalogrule", {"rule_id": rule}, is_active=1)
        with self.db.transaction():  # the rule is applied: all of its prices are written anew
            self.db.execute(f"DELETE FROM {self.db.table('catalogrule_product_price')}")
            self.db.insert_many("catalogrule_product_price", [
                {"rule_date": f"2026-03-{day:02}", "customer_group_id": group, "product_id": product, "website_id": 1,
                 "rule_price": "11.25"} for day in (1, 2, 3) for group, _, _ in seeds.CUSTOMER_GROUPS
            ])  # fmt: skip
        with self.db.transaction():
            page = self.db.insert(
                "cms_page", title="Delivery", identifier=f"delivery-{rule}", content="<p>Two days.</p>"
            )
            self.db.update("cms_page", {"page_id": page}, content="<p>Three days.</p>")

    def _save_category(self, product: int) -> None:
        numbers = {
            row["attribute_code"]: row["attribute_id"] for row in self.db.find("eav_attribute", entity_type_id=3)
        }
        values = {"int": 1, "varchar": "4", "text": "mugs", "decimal": "5", "datetime": "2026-03-01 00:00:00"}
        with self.db.transaction():
            category = self.db.insert(
                "catalog_category_entity", attribute_set_id=3, parent_id=2, path="1/2", position=1, level=2,
                children_count=0,
            )  # fmt: skip
            self.db.update("catalog_category_entity", {"entity_id": category}, path=f"1/2/{category}")
            for backend, code in seeds.CATEGORY_ATTRIBUTES.items():
                row = {"attribute_id": numbers[code], "entity_id": category, "store_id": 0, "value": values[backend]}
                self.db.insert(f"catalog_category_entity_{backend}", **row)
            self.db.insert("catalog_category_product", category_id=category, product_id=product, position=0)

    def reindex_noise(self) -> None:
        """The price indexer writes its table anew and the changelogs are emptied."""
        prices = self.db.find("catalog_product_entity_decimal", attribute_id=self._attribute("price")[0], store_id=0)
        rows = [
            {"entity_id": row["entity_id"], "customer_group_id": group, "website_id": 1, "price": row["value"],
             "final_price": row["value"], "min_price": row["value"], "max_price": row["value"]}
            for row in prices for group, _, _ in seeds.CUSTOMER_GROUPS
        ]  # fmt: skip
        with self.db.transaction():
            self.db.execute(f"DELETE FROM {self.db.table('catalog_product_index_price')}")
            self.db.insert_many("catalog_product_index_price", rows)
        for log in self.db.rows("SHOW TABLES LIKE %s", f"{self.db.prefix}catalog%\\_cl"):
            with self.db.transaction():
                self.db.execute(f"DELETE FROM `{next(iter(log.values()))}`")
