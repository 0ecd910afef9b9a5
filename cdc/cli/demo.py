"""``demo``: a recorded day of a small shop through the real pipeline into the sandbox, over HTTP."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cdc.cli.common import say
from cdc.model import ObjectType

if TYPE_CHECKING:
    from cdc.settings.config import Settings
    from sinks.sandbox.server import SandboxServer

API_KEY = "demo"
DemoSink = Literal["bridge", "crm"]


def demo(
    serve: Annotated[
        bool | None, typer.Option("--serve/--no-serve", help="Keep the page up until Ctrl-C; default: on a terminal.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the page; 0 picks a free one.", min=0, max=65535)] = 0,
    sink: Annotated[
        DemoSink, typer.Option(help="Which HubSpot the day goes into: the Ecommerce Bridge, or the CRM of today.")
    ] = "bridge",
) -> None:
    """Replay a recorded shop's day into a local HubSpot look-alike. Needs nothing but this package."""
    import asyncio

    raise typer.Exit(asyncio.run(_demo(sys.stdout.isatty() if serve is None else serve, port, sink)))


def own_command() -> str:
    """This command as the user can type it: by its path if the shell would not find it by its name."""
    here = Path(sys.argv[0])
    if shutil.which("magento-cdc") or here.name != "magento-cdc":
        return "magento-cdc"
    return os.path.relpath(here)


async def _demo(serve: bool, port: int, kind: DemoSink) -> int:
    import asyncio

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
        server = await start("127.0.0.1", port, api_key=API_KEY, access_token=API_KEY, auto_validate=True)
        settings = _settings(str(recording), server.url, Path(folder), kind)
        logs.configure(settings.log, sys.stderr, logs.secrets_of(settings))
        say(f"sandbox  {server.url}")
        say(f"reading  {Path(str(recording)).name}, a day of a small shop, recorded from a real MariaDB server")
        sink = make_sink(settings)
        if isinstance(sink, SinkSetup):
            await sink.push_mapping(StandaloneRequests(sink.traits, SystemClock()), dry_run=False)
        await sink.close()
        code = await run_daemon(settings, RunOptions(until_end=True))
        while server.store.waiting:  # noqa: ASYNC110  # validated within milliseconds; plain state announces nothing
            await asyncio.sleep(0.02)
        if kind == "crm":
            _report_crm(server)
        else:
            _report_bridge(server)
        if serve and code == 0:
            say(f"\nlook at it: {server.url}   (Ctrl-C ends)")
            await _until_signal()
        elif code == 0:
            say(f"\nlook at it in a browser: {own_command()} demo --serve")
        await server.close()
    return code


async def _until_signal() -> None:
    """Wait for Ctrl-C or SIGTERM. It has its own handlers: the daemon's would count the signal as its second."""
    import asyncio

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _settings(recording: str, url: str, folder: Path, kind: DemoSink) -> Settings:
    from cdc.settings.config import load

    flags: dict[str, dict[str, Any]] = {
        "source": {"kind": "files", "files": [recording], "database": "magento"},
        "sink": {"kind": kind, "base_url": url, "access_token" if kind == "crm" else "api_key": API_KEY},
        "state": {"dir": str(folder)},
        "web": {"port": 0},
        "delivery": {"delete_grace_s": 0},  # a recording is not filled again, and nobody wants to wait for that
        "log": {"level": "warning", "format": "console"},
    }
    return load(None, flags)


def _report_bridge(server: SandboxServer) -> None:
    summary = server.store.summary()
    deals = [held for held in server.store.state().values() if held["type"] == "DEAL" and not held["deleted"]]
    arrived = {name: (held["synced"], held["deleted"]) for name, held in summary["objects"].items()}
    _say_arrived(arrived, Counter(deal["properties"].get("stage", "") for deal in deals))
    requests, errors = summary["requests"], summary["errors"]
    say(
        f"{requests['all']} requests, {summary['accepted']} messages, {errors['open']} sync errors open,"
        f" {sum(summary['violations'].values())} rules of sending broken"
    )


def _report_crm(server: SandboxServer) -> None:
    live, archived = server.crm.account.records.live, server.crm.account.records.bin
    arrived: dict[str, tuple[int, int]] = {}
    stages: Counter[str] = Counter()
    for kind in (kind for kind in ObjectType if kind in live):
        held = [record.properties for record in live[kind].values()]
        kept = sum(1 for properties in held if properties.get("magento_deleted_at"))
        arrived[kind.value] = (len(held) - kept, kept + len(archived[kind]))
        if kind is ObjectType.DEAL:
            stages.update(one.get("magento_stage", "") for one in held if not one.get("magento_deleted_at"))
    _say_arrived(arrived, stages)
    exchanges = server.crm.exchanges
    writes = ("/batch/create", "/batch/update", "/batch/archive")
    messages = sum(count for path, count in exchanges.inputs.items() if path.endswith(writes) and "/objects/" in path)
    say(
        f"{exchanges.counts['all']} requests, {messages} messages,"
        f" {sum(server.store.watch.counts.values())} rules of sending broken"
    )


def _say_arrived(arrived: Mapping[str, tuple[int, int]], stages: Counter[str]) -> None:
    """Print what arrived. ``arrived``: object type → existing objects, deleted objects."""
    say("\narrived")
    for name, (there, deleted) in arrived.items():
        say(f"  {name:<20} {there:>5}" + (f"   ({deleted} deleted since)" if deleted else ""))
    say("deals by stage")
    for stage, count in stages.most_common():
        say(f"  {stage:<20} {count:>5}")
