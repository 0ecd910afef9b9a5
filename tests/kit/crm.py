"""A CRM sink beside a sandbox: what its tests share. Messages are of invented people and things."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.clock import SystemClock
from cdc.delivery.permits import StandaloneRequests
from cdc.model import Action, Message, ObjectType, Outcome, Receipt, Reference
from cdc.settings.config import Settings
from sinks.crm.sink import CrmSink
from sinks.sandbox.crm.gate import CrmRuntime
from sinks.sandbox.crm.records import Record
from sinks.sandbox.server import SandboxServer, start
from tests.kit.sandbox import recording

NOW = 1_700_000_000_000
PREFIX = {
    ObjectType.CONTACT: "customer",
    ObjectType.PRODUCT: "product",
    ObjectType.DEAL: "order",
    ObjectType.LINE_ITEM: "item",
    ObjectType.CART: "cart_object",
}


def message(kind: ObjectType, n: int | str, properties: Mapping[str, str] | None = None, **more: Any) -> Message:
    """An UPSERT of one object. ``n``: a number, or a whole external id."""
    external_id = n if isinstance(n, str) else f"magento-{PREFIX[kind]}-{n}"
    return Message(
        object_type=kind,
        external_id=external_id,
        action=more.pop("action", Action.UPSERT),
        changed_at=more.pop("changed_at", NOW),
        properties=dict(properties or {}),
        **more,
    )


def contact(n: int | str, email: str = "", **more: Any) -> Message:
    """A customer or guest; ``more``: members of the message, and properties by name."""
    members = {name: more.pop(name) for name in list(more) if name in Message.__dataclass_fields__}
    address = email or f"customer{n}@example.com"
    return message(ObjectType.CONTACT, n, {"email": address, "firstname": "Ann", "lastname": "Lee"} | more, **members)


def product(n: int, sku: str = "", **more: Any) -> Message:
    """A product."""
    members = {name: more.pop(name) for name in list(more) if name in Message.__dataclass_fields__}
    values = {"name": f"Mug {n}", "sku": sku or f"MUG-{n}", "price": "9.90", "type": "simple", "status": "enabled"}
    return message(ObjectType.PRODUCT, n, values | more, **members)


def deal(n: int, of: Reference | None = None, **more: Any) -> Message:
    """An order, placed by the contact that ``of`` names."""
    members = {name: more.pop(name) for name in list(more) if name in Message.__dataclass_fields__}
    values = {"name": f"#{n:09}", "stage": "processed", "amount": "19.80", "currency": "EUR", "order_number": f"{n:09}"}
    references = (of,) if of is not None else ()
    return message(ObjectType.DEAL, n, values | more, references=references, **members)


def line(n: int, *references: Reference, **more: Any) -> Message:
    """An order line."""
    members = {name: more.pop(name) for name in list(more) if name in Message.__dataclass_fields__}
    values = {"name": "Mug", "sku": "MUG-1", "quantity": "2", "price": "9.90", "amount": "19.80", "currency": "EUR"}
    return message(ObjectType.LINE_ITEM, n, values | more, references=references, **members)


def cart(n: int, *references: Reference, **more: Any) -> Message:
    """A cart that was left, as HubSpot's own object for carts."""
    members = {name: more.pop(name) for name in list(more) if name in Message.__dataclass_fields__}
    values = {
        "name": f"Cart {n}", "cart_id": str(n), "amount": "23.80", "currency": "EUR", "status": "abandoned",
        "store": "default", "cart_url": f"https://shop.example.com/?c={n}", "discount_amount": "0.00",
    }  # fmt: skip
    return message(ObjectType.CART, n, values | more, references=references, **members)


def deletion(of: Message, **more: Any) -> Message:
    """The deletion of a message's object."""
    return replace(of, action=Action.DELETE, properties={}, references=(), changed_at=of.changed_at + 1, **more)


def ref(receipt: Receipt, kind: ObjectType) -> Reference:
    """A reference to the object of a receipt."""
    return Reference(kind, receipt.external_id, receipt.record_id)


def again(sent: Message, receipt: Receipt, **properties: str) -> Message:
    """The object's next message, as delivery makes it after the receipt: its record and links are known."""
    return replace(
        sent,
        changed_at=sent.changed_at + 1000,
        properties={**sent.properties, **properties},
        record_id="" if receipt.is_record_gone else receipt.record_id or sent.record_id,
        was_accepted=True,
        linked=sent.references,
        linked_records=frozenset((one.object_type, one.record_id) for one in sent.references if one.record_id),
    )


@dataclass
class Bench:
    """A sink and the account that it writes to."""

    sink: CrmSink
    server: SandboxServer
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def crm(self) -> CrmRuntime:
        """The account, its switches, faults and calls."""
        return self.server.crm

    @property
    def requests(self) -> StandaloneRequests:
        """Permits for calls."""
        return StandaloneRequests(self.sink.traits, SystemClock())

    async def send(self, *messages: Message) -> list[Receipt]:
        """The receipts of one batch."""
        return list((await self.sink.send(messages, self.requests)).receipts)

    async def accept(self, *messages: Message) -> list[Receipt]:
        """The receipts of one batch, all of which must be acceptances."""
        receipts = await self.send(*messages)
        bad = [receipt for receipt in receipts if receipt.outcome is not Outcome.ACCEPTED]
        assert not bad, bad
        return receipts

    def record(self, kind: ObjectType, key: str) -> Record:
        """The record that has a key."""
        found = self.crm.account.by_key(kind, key)
        assert found is not None, f"no record has key {key}"
        return found

    def keys(self, kind: ObjectType) -> list[str]:
        """The keys of all records in use, "" for those without."""
        return sorted(one.properties.get("magento_key", "") for one in self.crm.account.records.live[kind].values())

    def linked(self, kind: ObjectType, record_id: str, other: ObjectType) -> list[str]:
        """The records that a record is associated with."""
        return sorted(pair.to_id for pair in self.crm.account.links.of(kind, record_id, other))

    def calls(self) -> list[str]:
        """The paths called since the last look, of objects and associations, without their common beginning."""
        kept = [one.path for one in self.crm.exchanges.kept]
        self.crm.exchanges.kept.clear()
        return [
            path.removeprefix("/crm/").replace("/2026-09", "")
            for path in kept
            if path.startswith(("/crm/objects/", "/crm/associations/"))
        ]

    def add_fault(self, **spec: Any) -> None:
        """What the account does wrong next."""
        self.crm.faults.add(spec)


def settings(
    url: str, sink: Mapping[str, Any] | None = None, mapping: Mapping[str, Any] | None = None, **crm: Any
) -> Settings:
    """Settings of a sink that writes to the sandbox at ``url``."""
    more = {"kind": "crm", "base_url": url, "access_token": "sandbox", "max_requests_per_10s": 100_000}
    return Settings.model_validate({"sink": {**more, **(sink or {})}, "mapping": mapping or {}, "crm": crm})


@asynccontextmanager
async def bench(
    *, push: bool = True, sink: Mapping[str, Any] | None = None, mapping: Mapping[str, Any] | None = None, **crm: Any
) -> AsyncIterator[Bench]:
    """A sink whose account is set up. ``crm``: settings of [crm]."""
    server = await start(record=recording())
    for quota in server.crm.quotas.values():
        quota.set(1_000_000, 10_000, None)  # quotas have tests of their own
    made = Bench(CrmSink(settings(server.url, sink, mapping, **crm)), server)
    try:
        if push:
            await made.sink.push_mapping(made.requests, dry_run=False)
            made.crm.exchanges.kept.clear()
        yield made
    finally:
        await made.sink.close()
        await server.close()


def outcomes(receipts: Sequence[Receipt]) -> list[Outcome]:
    """The outcomes of receipts."""
    return [receipt.outcome for receipt in receipts]
