"""Starts the sandbox on a port, in the running event loop: for the demo, the ``sandbox`` command and tests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from cdc.errors import SetupError
from sinks.sandbox.app import VALIDATION_DELAY_MS, make_app
from sinks.sandbox.crm.account import CrmAccount
from sinks.sandbox.crm.gate import TOKEN, CrmRuntime, runtime_of
from sinks.sandbox.store import SandboxStore


@dataclass(slots=True)
class SandboxServer:
    """A running sandbox. ``url`` has no slash at its end; it is the value for ``sink.base_url``."""

    url: str
    store: SandboxStore
    crm: CrmRuntime
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop listening and close all connections. May be called twice."""
        await self._runner.cleanup()


async def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    store: SandboxStore | None = None,
    api_key: str = "sandbox",
    token: str = "sandbox-token",  # noqa: S107  # as in make_app
    auto_validate: bool = True,
    validation_delay_ms: int = VALIDATION_DELAY_MS,
    strict: bool = False,
    account: CrmAccount | None = None,
    access_token: str = TOKEN,
    record: Path | None = None,
    allow_hosts: Iterable[str] = (),
) -> SandboxServer:
    """Listen on ``port`` (0: a free one); other arguments as in ``make_app``. SetupError if the port is not available.

    ``account``: the CRM's account (a new one, if None). ``access_token``: the token that its paths accept. ``record``:
    a file that gets every CRM exchange.
    """
    held = store if store is not None else SandboxStore()
    crm = runtime_of(lambda: held.watch, account, access_token)
    if record is not None:
        _record(crm, record)
    app = make_app(
        held,
        api_key=api_key,
        token=token,
        auto_validate=auto_validate,
        validation_delay_ms=validation_delay_ms,
        strict=strict,
        crm=crm,
        allow_hosts=allow_hosts,
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise SetupError(
            f"the sandbox cannot listen on {host}:{port}: {_reason(error)}",
            hint="is another one running? --port 0 picks a free port",
        ) from error
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return SandboxServer(f"http://{shown}:{bound}", held, crm, runner)


def _reason(error: OSError) -> str:
    """The system's text of an error number: asyncio's own sentence around it is left out."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)


def _record(crm: CrmRuntime, path: Path) -> None:
    try:
        crm.exchanges.record_into(path)
    except OSError as error:
        raise SetupError(f"the sandbox cannot write {path}: {_reason(error)}", hint="name another file") from error
