"""A sandbox beside the test, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cdc.model import ObjectType
from sinks.sandbox.crm.gate import CrmRuntime
from sinks.sandbox.crm.routes_sandbox import state_of
from sinks.sandbox.server import SandboxServer, start
from tests.kit.canary import API_KEY
from tests.kit.daemon import KILLS, fetch
from tests.kit.full_render import State, living

REPEATS: Final = frozenset({"association_made_twice", "write_without_change", "beyond_quota"})
"""The rules that may be broken behind a kill: the receipts and the count of calls died with the process."""


def recording() -> Path | None:
    """The file that every sandbox of this test run writes its CRM exchanges to, if SANDBOX_RECORD names one."""
    name = os.environ.get("SANDBOX_RECORD", "")
    return Path(name) if name else None


class SandboxThread:
    """A sandbox with an event loop of its own, so that the test and the daemon's process can both talk to it.

    ``hosts``: names that it answers for, beside this machine's own.
    """

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._kills = len(KILLS)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="sandbox", daemon=True)
        self._thread.start()
        self._server: SandboxServer = asyncio.run_coroutine_threadsafe(self._start(hosts), self.loop).result(10)
        self.url = self._server.url

    @staticmethod
    async def _start(hosts: Sequence[str]) -> SandboxServer:
        return await start(api_key=API_KEY, access_token=API_KEY, strict=True, record=recording(), allow_hosts=hosts)

    @property
    def crm(self) -> CrmRuntime:
        """The CRM side: account, switches, faults, quotas, people's hands. The token is ``API_KEY``."""
        return self._server.crm

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def state(self, store_id: str = "default") -> State:
        """What a store of it holds and has validated."""
        return living(fetch(f"{self.url}/_sandbox/state?store={store_id}", 30))

    def raw_state(self) -> State:
        """The same with what was deleted."""
        document: State = fetch(f"{self.url}/_sandbox/state", 30)
        return document

    def crm_state(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The records of the CRM's account in use: object type → key → record."""

        async def looked() -> dict[str, dict[str, dict[str, Any]]]:
            return state_of(self._server.crm)

        return asyncio.run_coroutine_threadsafe(looked(), self.loop).result(30)

    def violations(self) -> dict[str, int]:
        """Rules that the sender broke, and how often.

        A daemon that was killed had requests on the wire whose receipts are lost: it may repeat them, which changes
        nothing in HubSpot. And the next process does not know which calls its forerunner made in the present ten
        seconds: the receiver's 429 tells it, and it obeys.
        """
        may_repeat = REPEATS if len(KILLS) > self._kills else frozenset()
        counts: dict[str, int] = fetch(f"{self.url}/_sandbox/violations")["counts"]
        return {rule: count for rule, count in counts.items() if count and rule not in may_repeat}

    def forget_violations(self) -> None:
        """For a test that had a rule broken on purpose."""
        self._server.store.watch.counts.clear()
        self._server.store.watch.kept.clear()

    def assert_rules_kept(self) -> None:
        """AssertionError with what was broken, if a rule of sending was (``violations``)."""
        broken = self.violations()
        assert not broken, f"rules of sending broken: {broken}, {list(self._server.store.watch.kept)[:10]}"

    def switch(self, *, on: bool) -> None:
        """Whether the account's settings are enabled, as its owner does it by hand."""
        held = self._server.store.settings
        assert held is not None
        self._server.store.settings = dataclasses.replace(held, enabled=on)

    def set_fault(self, fault: dict[str, object]) -> None:
        """What /_sandbox/faults takes, e.g. ``{"hang": 3}``."""
        self._faults("/_sandbox/faults", "POST", json.dumps(fault).encode())

    def set_crm_fault(self, fault: dict[str, object]) -> None:
        """What /_sandbox/crm/faults takes, e.g. ``{"cut": "after"}``."""
        self._faults("/_sandbox/crm/faults", "POST", json.dumps(fault).encode())

    def clear_faults(self) -> None:
        """Behave again, in both worlds."""
        for path in ("/_sandbox/faults", "/_sandbox/crm/faults"):
            self._faults(path, "DELETE", None)

    def _faults(self, path: str, method: str, body: bytes | None) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method=method)
        urllib.request.urlopen(request, timeout=5).close()

    def accepted(self) -> int:
        """Messages accepted so far."""
        return self._server.store.accepted

    def has_accepted(self, object_type: ObjectType, external_id: str) -> bool:
        """Whether a message of this object has arrived, validated or not. Looks into memory, without a request."""
        return external_id in self._server.store.objects[object_type]
