"""``demo``: a recorded day of a small shop through the real pipeline into the sandbox, over HTTP."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.cli.common import say
from cdc.settings.config import Settings, load

API_KEY = "demo"


def demo(
    serve: Annotated[
        bool | None, typer.Option("--serve/--no-serve", help="Keep the page up until Ctrl-C; default: on a terminal.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the page; 0 picks a free one.", min=0, max=65535)] = 0,
) -> None:
    """Replay a recorded shop's day into a local HubSpot look-alike. Needs nothing but this package."""
    raise typer.Exit(asyncio.run(_demo(sys.stdout.isatty() if serve is None else serve, port)))


async def _demo(serve: bool, port: int) -> int:
    from cdc import logs
    from cdc.clock import SystemClock
    from cdc.daemon import RunOptions
    from cdc.delivery.permits import StandaloneRequests
    from cdc.protocols import SinkSetup
    from cdc.sink_output import run_daemon
    from sinks.registry import make_sink
    from sinks.sandbox.server import start

    recording = files("cdc") / "demo" / "shop-day.000001"
    with tempfile.TemporaryDirectory(prefix="magento-cdc-demo-") as folder:
        server = await start("127.0.0.1", port, api_key=API_KEY, auto_judge=True)
        settings = _settings(str(recording), server.url, Path(folder))
        logs.configure(settings.log, sys.stderr, logs.secrets_of(settings))
        say(f"sandbox  {server.url}")
        say(f"reading  {Path(str(recording)).name}, a day of a small shop, recorded from a real MariaDB server")
        sink = make_sink(settings)
        if isinstance(sink, SinkSetup):
            await sink.push_mapping(StandaloneRequests(sink.traits, SystemClock()), dry_run=False)
        await sink.close()
        code = await run_daemon(settings, RunOptions(until_end=True))
        while server.store.waiting:  # noqa: ASYNC110  # judged within milliseconds; plain state announces nothing
            await asyncio.sleep(0.02)
        _report(server.store.summary(), server.store.state())
        if serve and code == 0:
            say(f"\nlook at it: {server.url}   (Ctrl-C ends)")
            await _until_signal()
        elif code == 0:
            say("\nlook at it in a browser: magento-cdc demo --serve")
        await server.close()
    return code


async def _until_signal() -> None:
    """Wait for Ctrl-C or SIGTERM: handlers of our own, the daemon's would take it for a second signal to itself."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _settings(recording: str, url: str, folder: Path) -> Settings:
    flags: dict[str, dict[str, Any]] = {
        "source": {"kind": "files", "files": [recording], "database": "magento"},
        "sink": {"kind": "bridge", "base_url": url, "api_key": API_KEY},
        "state": {"dir": str(folder)},
        "web": {"port": 0},
        "log": {"level": "warning", "format": "console"},
    }
    return load(None, flags)


def _report(summary: dict[str, Any], state: dict[str, Any]) -> None:
    say("\narrived")
    for name, held in summary["objects"].items():
        say(f"  {name:<20} {held['synced']:>5}" + (f"   ({held['deleted']} deleted since)" if held["deleted"] else ""))
    deals = [held for held in state.values() if held["type"] == "DEAL" and not held["deleted"]]
    stages = Counter(deal["properties"].get("stage", "") for deal in deals)
    say("deals by stage")
    for stage, count in stages.most_common():
        say(f"  {stage:<20} {count:>5}")
    requests, errors = summary["requests"], summary["errors"]
    say(
        f"{requests['all']} requests, {summary['accepted']} messages, {errors['open']} sync errors open,"
        f" {sum(summary['violations'].values())} rules of sending broken"
    )
