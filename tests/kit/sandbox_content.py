"""A small shop in both worlds of a sandbox: every column of every list has something to show."""

from __future__ import annotations

import time
from typing import Any

import aiohttp

from cdc.model import ObjectType
from sinks.sandbox.server import SandboxServer
from tests.kit.crm_client import Client, V, definition, traced

KINDS = ("contacts", "deals", "products", "line_items")


async def fill_crm(client: Client) -> dict[str, str]:
    """A contact with two addresses, her deal with a line, and the product. Gives the record id per object type."""
    for kind in KINDS:
        await client.make_key(kind)
    number = definition("magento_total_spent", "contacts", type="number", fieldType="number")
    moment = definition("magento_created_at", "contacts", type="datetime", fieldType="date")
    for body in (number, moment):
        status, answer = await client.call("POST", f"/crm/properties/{V}/contacts", body)
        assert status == 201, answer
    contact = {
        "email": "jane@example.com",
        "firstname": "Jane",
        "lastname": "Roe",
        "city": "Ulm",
        "magento_total_spent": "1234.5",
        "magento_created_at": "1796040000000",
    }
    found = {"contacts": await _upsert(client, "contacts", "customer-7", contact)}
    client.crm.people.add_email(found["contacts"], "jane.roe@example.com")
    product = {"name": "Bag", "hs_sku": "24-MB01", "price": "59.90"}
    found["products"] = await _upsert(client, "products", "product-1", product)
    deal = {
        "dealname": "#000000042",
        "dealstage": "closedwon",
        "amount": "119.80",
        "deal_currency_code": "EUR",
        "closedate": "1796040000000",
    }
    found["deals"] = await _upsert(client, "deals", "order-42", deal)
    line = {
        "name": "Bag",
        "quantity": "2",
        "amount": "119.80",
        "hs_line_item_currency_code": "EUR",
        "hs_product_id": found["products"],
    }
    found["line_items"] = await _upsert(client, "line_items", "item-9", line)
    for direction in ("deals/contacts", "line_items/deals"):
        start, end = direction.split("/")
        pair = {"from": {"id": found[start]}, "to": {"id": found[end]}}
        status, answer = await client.links(direction, "associate/default", pair)
        assert status == 200, answer
    return found


async def _upsert(client: Client, kind: str, key: str, properties: dict[str, str]) -> str:
    item = traced(1, properties, id=key, idProperty="magento_key")
    status, answer = await client.objects(kind, "upsert", item)
    assert status == 200, answer
    record_id: str = answer["results"][0]["id"]
    return record_id


async def fill_bridge(server: SandboxServer) -> None:
    """The same shop by the bridge's messages, validated, and one message that is refused for its content."""
    now_ms = time.time_ns() // 1_000_000
    properties: dict[ObjectType, list[tuple[str, dict[str, str]]]] = {
        ObjectType.CONTACT: [
            ("customer-7", {"email": "jane@example.com", "firstname": "Jane", "lastname": "Roe", "city": "Ulm"}
             | {"customer_group": "General"}),
            ("customer-8", {"email": "no address"}),
        ],
        ObjectType.PRODUCT: [
            ("product-1", {"name": "Bag", "sku": "24-MB01", "price": "59.90", "status": "enabled"}),
        ],
        ObjectType.DEAL: [
            ("order-42", {"name": "#000000042", "stage": "processed", "amount": "119.80", "currency": "EUR"}
             | {"hs_assoc__contact_ids": "customer-7"}),
        ],
        ObjectType.LINE_ITEM: [
            ("item-9", {"name": "Bag", "quantity": "2.0000", "amount": "119.80", "currency": "EUR"}
             | {"hs_assoc__deal_id": "order-42", "hs_assoc__product_id": "product-1"}),
        ],
    }  # fmt: skip
    async with aiohttp.ClientSession() as session:
        for object_type, messages in properties.items():
            body: list[dict[str, Any]] = [
                {
                    "integratorObjectId": external_id,
                    "action": "UPSERT",
                    "changeOccurredTimestamp": now_ms,
                    "propertyNameToValues": values,
                }
                for external_id, values in messages
            ]
            url = f"{server.url}/extensions/ecomm/v1/sync-messages/{object_type.value}?hapikey=sandbox"
            async with session.put(url, json=body) as answer:
                assert answer.status == 204
            server.store.validate_next(now_ms)
