"""The account's set-up for the bridge: the install (version 1) or a store (version 2), and the settings.

``check`` reads the set-up, ``push`` creates and changes it. Both use one list of differences, so ``push`` changes
exactly what ``check`` reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from cdc.errors import SinkError, SinkSwitchedOffError, SinkUnauthorizedError
from cdc.model import CheckResult
from cdc.protocols import Requests
from cdc.settings.mapping import CustomProperties
from cdc.settings.sink import SinkSettings
from sinks.bridge.mapping import merged_settings
from sinks.bridge.wire import FAMILY, records_of
from sinks.hubspot.api import Api
from sinks.hubspot.numbers import text_of

FIX = "magento-cdc mapping push"


class Account:
    """One account's install or store, and settings. ``root`` is the version's path."""

    def __init__(self, api: Api, settings: SinkSettings, root: str, custom: CustomProperties) -> None:
        """``custom``: the merchant's own properties."""
        self._api, self._root, self._custom = api, root, custom
        self._version = settings.api_version
        self._store = {"id": settings.store_id, "label": settings.store_label}
        if settings.store_admin_uri:
            self._store["adminUri"] = settings.store_admin_uri

    async def check(self, requests: Requests) -> Sequence[CheckResult]:
        """Whether the app is installed and switched on, and the settings are ours. Raises nothing."""
        ready = ("sink install", self._check_install) if self._version == 1 else ("sink store", self._check_store)
        findings = []
        for name, look in (ready, ("sink mapping", self._check_settings)):
            try:
                findings.append(await look(name, requests))
            except SinkUnauthorizedError as error:
                # Keys open these paths, and tokens do not.
                # these take the account's key only, never an OAuth token
                token = self._api.http.has_token
                fix = "set sink.api_key to look, or trust the account's settings" if token else error.hint
                findings.append(CheckResult(name, token, error.message, fix=fix, warning=token))
            except SinkError as error:
                findings.append(CheckResult(name, False, error.message, fix=error.hint))
        return findings

    async def _check_install(self, name: str, requests: Requests) -> CheckResult:
        status = await self._install_status(requests)
        # Either flag off means that messages are taken and never shown.
        missing = [flag for flag in ("installCompleted", "ecommSettingsEnabled") if status.get(flag) is not True]
        if missing:
            return CheckResult(name, False, f"the bridge takes no messages yet: {', '.join(missing)} is false", fix=FIX)
        return CheckResult(name, True, "the bridge is installed and switched on")

    async def _check_store(self, name: str, requests: Requests) -> CheckResult:
        held = await self._held_store(requests)
        if held is None:
            return CheckResult(name, False, f"the account has no store {self._store['id']!r}", fix=FIX)
        lines = self._store_differences(held)
        if lines:  # a label of another text keeps nothing from arriving
            return CheckResult(name, True, f"store {self._store['id']!r}: {'; '.join(lines)}", fix=FIX, warning=True)
        return CheckResult(name, True, f"the account has the store {self._store['id']!r}")

    async def _check_settings(self, name: str, requests: Requests) -> CheckResult:
        lines = merged_settings(await self._settings(requests), self._custom, self._version)[1]
        if lines:
            more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
            return CheckResult(name, False, f"the settings differ from ours: {'; '.join(lines[:3])}{more}", fix=FIX)
        return CheckResult(name, True, "the bridge maps each of our properties that has a target in HubSpot")

    async def push(self, requests: Requests, *, dry_run: bool) -> Sequence[str]:
        """Create the install or store, then put the settings, each only where it differs. One line per step
        done or to do.
        """
        lines = await (
            self._push_install(requests, dry_run) if self._version == 1 else self._push_store(requests, dry_run)
        )
        body, differences = merged_settings(await self._settings(requests), self._custom, self._version)
        if differences:
            if not dry_run:
                await self._put(requests, "settings", body, what="the settings")
            lines.append(f"settings: {_done('put', dry_run)}, {len(differences)} difference(s)")
            lines += [f"  {difference}" for difference in differences]
        place = "install" if self._version == 1 else "store"
        return lines or [f"{place} and settings are in place; nothing to do"]

    async def _push_install(self, requests: Requests, dry_run: bool) -> list[str]:
        # Installing twice is refused.
        if (await self._install_status(requests)).get("installCompleted") is True:
            return []
        if not dry_run:
            await self._api.call(requests, FAMILY, "POST", f"{self._root}/installs", what="the install")
        return [f"install: {_done('made', dry_run)}"]

    async def _push_store(self, requests: Requests, dry_run: bool) -> list[str]:
        """Create the store. The first store's creation installs the bridge."""
        held = await self._held_store(requests)
        differences = [] if held is None else self._store_differences(held)
        # Nothing to do.
        if held is not None and not differences:
            return []
        if not dry_run:
            await self._put(requests, "stores", self._store, what="the store")
        verb = "made" if held is None else "changed"
        return [f"store {self._store['id']}: {_done(verb, dry_run)}", *(f"  {line}" for line in differences)]

    def _store_differences(self, held: Mapping[str, Any]) -> list[str]:
        return [
            f"{name}: {text_of(held.get(name))!r} → {ours!r}"
            for name, ours in self._store.items()
            if name != "id" and text_of(held.get(name)) != ours
        ]

    async def _held_store(self, requests: Requests) -> Mapping[str, Any] | None:
        """The store, from the list of stores: no source says what the path of a single store answers if the store is
        missing.
        """
        content = await self._api.ask(requests, FAMILY, f"{self._root}/stores", what="the list of stores")
        return next((store for store in records_of(content) if store.get("id") == self._store["id"]), None)

    async def _install_status(self, requests: Requests) -> Mapping[str, Any]:
        content = await self._api.ask(requests, FAMILY, f"{self._root}/installs/status", what="the install status")
        return content if isinstance(content, Mapping) else {}

    async def _settings(self, requests: Requests) -> Mapping[str, Any]:
        try:
            content = await self._api.ask(requests, FAMILY, f"{self._root}/settings", what="the settings")
        except SinkSwitchedOffError:
            return {}  # asked only after another call of the bridge worked, so: none stored yet
        return content if isinstance(content, Mapping) else {}

    async def _put(self, requests: Requests, path: str, body: Any, *, what: str) -> None:
        await self._api.call(requests, FAMILY, "PUT", f"{self._root}/{path}", what=what, body=orjson.dumps(body))


def _done(verb: str, dry_run: bool) -> str:
    return f"would be {verb}" if dry_run else verb
