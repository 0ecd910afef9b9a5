"""A small client of the sandbox's CRM paths."""

from __future__ import annotations

from typing import Any

import aiohttp

from sinks.sandbox.crm.gate import CrmRuntime
from sinks.sandbox.server import SandboxServer

V = "2026-09"
"""The version in the paths."""


class Client:
    """Calls with the token. Every call gives the status and the body (None: empty)."""

    def __init__(self, server: SandboxServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.crm: CrmRuntime = server.crm
        self._session = session
        self.headers: dict[str, str] = {}

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """One call under the server's root."""
        headers = {"Authorization": "Bearer sandbox", "Content-Type": "application/json"} | self.headers
        url = self.server.url + path
        async with self._session.request(method, url, json=body, params=query, headers=headers) as answer:
            self.answer_headers = answer.headers
            text = await answer.text()
            return answer.status, (await answer.json() if text and "json" in answer.content_type else text or None)

    async def objects(self, kind: str, verb: str, *inputs: dict[str, Any], **more: Any) -> tuple[int, Any]:
        """A batch call of objects."""
        return await self.call("POST", f"/crm/objects/{V}/{kind}/batch/{verb}", {"inputs": list(inputs), **more})

    async def links(self, direction: str, verb: str, *inputs: dict[str, Any]) -> tuple[int, Any]:
        """A batch call of associations, ``direction`` like ``deals/contacts``."""
        return await self.call("POST", f"/crm/associations/{V}/{direction}/batch/{verb}", {"inputs": list(inputs)})

    async def make(self, kind: str, **properties: str) -> str:
        """A new record's id."""
        status, body = await self.call("POST", f"/crm/objects/{V}/{kind}", {"properties": properties})
        assert status == 201, body
        record_id: str = body["id"]
        return record_id

    async def make_key(self, kind: str, name: str = "magento_key") -> None:
        """A unique property, as setup makes it."""
        unique = definition(name, kind, hasUniqueValue=True)
        status, body = await self.call("POST", f"/crm/properties/{V}/{kind}", unique)
        assert status == 201, body


def definition(name: str, kind: str = "contacts", **more: Any) -> dict[str, Any]:
    """A text property in HubSpot's own group of the object type."""
    group = f"{kind.removesuffix('s').replace('_', '')}information"
    return {"name": name, "label": name, "groupName": group, "type": "string", "fieldType": "text"} | more


def traced(number: int, properties: dict[str, str], **more: str) -> dict[str, Any]:
    """An input of a batch with a trace id of its own."""
    return {"objectWriteTraceId": str(number), "properties": properties, **more}
