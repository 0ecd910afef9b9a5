"""A running sandbox and a client of its CRM paths."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sinks.sandbox.server import start
from tests.kit.crm_client import Client
from tests.kit.sandbox import recording


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A new account."""
    server = await start(auto_validate=False, record=recording())
    async with aiohttp.ClientSession() as session:
        yield Client(server, session)
    await server.close()
