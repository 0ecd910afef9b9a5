"""Accounts, addresses and the newsletter, in Magento's transactions."""

from __future__ import annotations

import random
from typing import Any

from tests.kit.shop import seeds
from tests.kit.shop.db import Db
from tests.kit.shop.people import Person, invent

SUBSCRIBED, NOT_ACTIVE, UNSUBSCRIBED, UNCONFIRMED = 1, 2, 3, 4


class Customers:
    """The customers' part of the shop. Customers and addresses are known by ``entity_id``."""

    db: Db
    rng: random.Random

    def __init__(self) -> None:
        self._people = 0

    def person(self) -> Person:
        """Someone new."""
        self._people += 1
        return invent(self.rng, self._people)

    def register(
        self, person: Person | None = None, *, store: int = 1, with_address: bool = True, newsletter: bool = False
    ) -> int:
        """Make an account: the row, its (empty) defaults, the address, the reset token, then grid and newsletter."""
        person = person or self.person()
        website = seeds.STORE_WEBSITE[store]
        with self.db.transaction():
            customer = self.db.insert(
                "customer_entity", website_id=website, store_id=store, email=person.email, group_id=1, is_active=1,
                firstname=person.firstname, lastname=person.lastname, created_in=seeds.STORES[store][4],
                password_hash=self._token(96),
            )  # fmt: skip
            where = {"entity_id": customer}
            self.db.update("customer_entity", where, default_billing=None, default_shipping=None)
        if with_address:
            self.add_address(customer, person, default=True)
        with self.db.transaction():
            self.db.execute(
                f"UPDATE {self.db.table('customer_entity')} SET rp_token = %s, rp_token_created_at = NOW() "
                "WHERE entity_id = %s", self._token(64), customer,
            )  # fmt: skip
        self._customer_grid(customer)
        self._adopt_subscriber(customer, person.email, website)
        if newsletter:
            self.subscribe(person.email, customer=customer, store=store)
        return customer

    def add_address(self, customer: int, person: Person | None = None, *, default: bool = False) -> int:
        """Save an address in its own transaction, with the customer's defaults when it becomes the default."""
        person = person or self.person()
        with self.db.transaction():
            address = self.db.insert("customer_address_entity", parent_id=customer, is_active=1, **person.address())
            if default:
                where = {"entity_id": customer}
                self.db.update("customer_entity", where, default_billing=address, default_shipping=address)
        return address

    def edit_customer_address(self, address: int, **columns: Any) -> None:
        with self.db.transaction():
            self.db.update("customer_address_entity", {"entity_id": address}, **columns)

    def delete_customer_address(self, address: int) -> None:
        """An explicit DELETE; the customer's default ids that name it are emptied with it."""
        parent = self.db.get("customer_address_entity", entity_id=address)["parent_id"]
        customer = self.db.get("customer_entity", entity_id=parent)
        defaults = {name: None for name in ("default_billing", "default_shipping") if customer[name] == address}
        with self.db.transaction():
            if defaults:
                self.db.update("customer_entity", {"entity_id": parent}, **defaults)
            self.db.delete("customer_address_entity", entity_id=address)

    def edit_customer(self, customer: int, **columns: Any) -> None:
        """Save the profile: names, dob, gender, group."""
        with self.db.transaction():
            self.db.update("customer_entity", {"entity_id": customer}, **columns)
        self._customer_grid(customer)

    def set_loyalty_tier(self, customer: int, option: int | None) -> None:
        """A custom attribute: upserted, or its row deleted when emptied."""
        self._choose("customer_entity_int", "loyalty_tier", customer, option)

    def set_delivery_zone(self, address: int, option: int | None) -> None:
        """The same for an attribute of addresses."""
        self._choose("customer_address_entity_int", "delivery_zone", address, option)

    def _choose(self, table: str, code: str, entity: int, option: int | None) -> None:
        attribute = self.db.get("eav_attribute", attribute_code=code)["attribute_id"]
        with self.db.transaction():
            if option is None:
                self.db.delete(table, attribute_id=attribute, entity_id=entity)
            else:
                row = {"attribute_id": attribute, "entity_id": entity, "value": option}
                self.db.upsert(table, [row], ("attribute_id", "entity_id"))

    def change_email(self, customer: int, email: str) -> None:
        """The account, then every order with the old email one by one, then quotes, then the newsletter's row."""
        old = self.db.get("customer_entity", entity_id=customer)["email"]
        with self.db.transaction():
            self.db.update("customer_entity", {"entity_id": customer}, email=email, rp_token=None)
        for order in self.db.find("sales_order", customer_id=customer, customer_email=old):
            with self.db.transaction():
                self.db.update("sales_order", {"entity_id": order["entity_id"]}, customer_email=email)
        with self.db.transaction():
            self.db.update("quote", {"customer_id": customer}, customer_email=email)
        with self.db.transaction():
            self.db.update("newsletter_subscriber", {"customer_id": customer}, subscriber_email=email)
        self._customer_grid(customer)

    def login(self, customer: int) -> None:
        """A login: log and visitor rows; the account's row is touched only after failures."""
        log = self.db.table("customer_log")
        with self.db.transaction():
            self.db.execute(
                f"INSERT INTO {log} (customer_id, last_login_at) VALUES (%s, NOW()) "
                "ON DUPLICATE KEY UPDATE last_login_at = VALUES(last_login_at)", customer,
            )  # fmt: skip
        with self.db.transaction():
            self.db.insert("customer_visitor", customer_id=customer)
        with self.db.transaction():
            where = {"entity_id": customer}
            self.db.update("customer_entity", where, failures_num=0, first_failure=None, lock_expires=None)

    def fail_login(self, customer: int) -> None:
        """A wrong password: an account event that means nothing to anyone else."""
        with self.db.transaction():
            self.db.execute(
                f"UPDATE {self.db.table('customer_entity')} SET failures_num = failures_num + 1, "
                "first_failure = NOW() WHERE entity_id = %s", customer,
            )  # fmt: skip

    def change_password(self, customer: int) -> None:
        with self.db.transaction():
            where = {"entity_id": customer}
            self.db.update("customer_entity", where, password_hash=self._token(96), rp_token=None)

    def delete_customer(self, customer: int) -> None:
        """One logged DELETE; addresses go and orders lose their customer silently; the newsletter's row goes after."""
        email = self.db.get("customer_entity", entity_id=customer)["email"]
        with self.db.transaction():
            self.db.delete("customer_entity", entity_id=customer)
            for kind in ("varchar", "int", "decimal", "text", "datetime"):
                self.db.delete(f"customer_entity_{kind}", entity_id=customer)  # Magento asks; no row is left to match
        with self.db.transaction():
            self.db.delete("newsletter_subscriber", subscriber_email=email)
        with self.db.transaction():
            self.db.delete("customer_grid_flat", entity_id=customer)

    # ------------------------------------------------------------------------------------------ newsletter

    def subscribe(self, email: str, *, customer: int = 0, store: int = 1, status: int = SUBSCRIBED) -> None:
        """One row per email and website, inserted once and updated afterwards."""
        self._newsletter(email, customer, store, status)

    def unsubscribe(self, email: str) -> None:
        self._newsletter(email, 0, 1, UNSUBSCRIBED)

    def _newsletter(self, email: str, customer: int, store: int, status: int) -> None:
        found = self.db.find("newsletter_subscriber", subscriber_email=email)
        with self.db.transaction():
            if found:
                where = {"subscriber_id": found[0]["subscriber_id"]}
                self.db.update("newsletter_subscriber", where, subscriber_status=status)
            else:
                self.db.insert(
                    "newsletter_subscriber", store_id=store, customer_id=customer, subscriber_email=email,
                    subscriber_status=status, subscriber_confirm_code=self._token(32),
                )  # fmt: skip

    def _adopt_subscriber(self, customer: int, email: str, website: int) -> None:
        for row in self.db.find("newsletter_subscriber", subscriber_email=email, customer_id=0):
            if seeds.STORE_WEBSITE.get(row["store_id"]) == website:
                with self.db.transaction():
                    where = {"subscriber_id": row["subscriber_id"]}
                    self.db.update("newsletter_subscriber", where, customer_id=customer)

    # ------------------------------------------------------------------------------------------ inside

    def _customer_grid(self, customer: int) -> None:
        row = self.db.get("customer_entity", entity_id=customer)
        copied = {name: row[name] for name in ("entity_id", "email", "group_id", "created_at", "website_id")}
        with self.db.transaction():
            self.db.upsert(
                "customer_grid_flat", [copied | {"name": f"{row['firstname']} {row['lastname']}"}], ("entity_id",)
            )

    def _token(self, length: int) -> str:
        return "".join(self.rng.choices("0123456789abcdef", k=length))
