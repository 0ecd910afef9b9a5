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
            quote = self.db.insert("quote", store_id=store, customer_id=customer, customer_email=email, is_active=1)
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
