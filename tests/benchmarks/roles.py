"""The daemon, the relay and a member, each alone with the same load, one after the other in one run.

``ROLES_ORDERS`` orders (4,000), copied one transaction each, and the small shop that they are copied from. Each role is
the installed command with ``--until-end``, from the start of its process:

daemon   knows the shop, reads the load from the server, writes lines of JSON
relay    knows the shop, reads the load from the server, publishes its rows to a private broker
member   knows the shop, reads the load from the topic, writes lines of JSON
rebuild  an empty member: reads the topic from its beginning, and all that was sent is known from the topics

Rates are changes a second of the process's processor time: the broker runs beside it on the same cores. Seconds of wall
time are in the notes. A start costs half a second, so a larger load gives higher rates.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks.peers import OPTIONS
from tests.benchmarks.peers.load import copy_files, make_shop, play
from tests.benchmarks.peers.tables import DATABASE
from tests.benchmarks.peers.timing import Taken, run_silent
from tests.benchmarks.row import Row
from tests.benchmarks.sides import measured
from tests.kit.broker import Broker
from tests.kit.daemon import COMMAND
from tests.kit.servers import MariaDB, Server

ONLY_BY_NAME = True
ORDERS = int(os.environ.get("ROLES_ORDERS") or 4000)
ROUNDS = int(os.environ.get("ROLES_ROUNDS") or 3)
_ROLES: Final = {"daemon": "run", "relay": "relay", "member": "run"}


def rows() -> Iterator[Row]:
    """The least processor time of some rounds for each role, and its rate as a part of the daemon's."""
    with MariaDB(OPTIONS["mariadb"]) as server, Broker() as broker, tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        templates = make_shop(server)
        for role in _ROLES:
            (folder / role).mkdir()
            (folder / role / "magento-cdc.toml").write_text(_settings(role, server, broker), encoding="utf-8")
            _run(folder / role, _ROLES[role])
        taken: dict[str, list[Taken]] = {role: [] for role in (*_ROLES, "rebuild")}
        changes = 0
        for number in range(ROUNDS):
            load = play(server, templates, ORDERS, first=(number + 1) * 1_000_000)
            [log] = copy_files(server, load, folder / f"log-{number}")
            changes = measured("files", log).count
            for role, verb in _ROLES.items():
                taken[role].append(_run(folder / role, verb))
        empty = folder / "rebuild"
        empty.mkdir()
        (empty / "magento-cdc.toml").write_text(_settings("rebuild", server, broker), encoding="utf-8")
        taken["rebuild"].append(_run(empty, "run"))
        _must_agree({role: _objects(folder / role) for role in taken if role != "relay"})
    # The topic holds every round's load.
    counts = {role: changes * (ROUNDS if role == "rebuild" else 1) for role in taken}
    yield from _compared(counts, taken)


def _compared(counts: dict[str, int], taken: dict[str, list[Taken]]) -> Iterator[Row]:
    rates: dict[str, float] = {}
    for role, runs in taken.items():
        best = min(runs, key=lambda run: run.cpu_s)
        rates[role] = counts[role] / best.cpu_s
        note = f"{counts[role]:,} changes, {best.cpu_s:.1f} s of CPU, {best.wall_s:.1f} s, {best.rss_mb:.0f} MB"
        yield Row(f"role {role}, changes a second of CPU", rates[role], "changes/s", "", note)
    for role in ("relay", "member", "rebuild"):
        yield Row(f"  {role} against the daemon", rates[role] / rates["daemon"], "x", "≥ 0.5 x")


def _objects(folder: Path) -> int:
    """How many objects the state knows as accepted."""
    with contextlib.closing(sqlite3.connect(folder / "state" / "state.sqlite3")) as connection:
        [count] = connection.execute("SELECT count(*) FROM ledger WHERE accepted_at > 0").fetchone()
    return int(count)


def _must_agree(objects: dict[str, int]) -> None:
    """RuntimeError if a role left something out: its rate would be worth nothing."""
    if len(set(objects.values())) > 1 or not objects["daemon"]:
        raise RuntimeError(f"the roles ended with different numbers of accepted objects: {objects}")


def _run(folder: Path, verb: str) -> Taken:
    taken = run_silent([str(COMMAND), verb, "--until-end"], folder)
    print(f"{folder.name}: {taken.wall_s:.1f} s, {taken.cpu_s:.1f} s of CPU", file=sys.stderr, flush=True)
    return taken


def _settings(role: str, server: Server, broker: Broker) -> str:
    kafka = f'[kafka]\nbrokers = ["{broker.bootstrap}"]\nprefix = "roles"\nsession_timeout_s = 6\n'
    lines = '[sink]\nkind = "jsonl"\npath = "messages.jsonl"\n'
    shop = f'[source]\nhost = "{server.host}"\nport = {server.port}\nuser = "root"\ndatabase = "{DATABASE}"\n'
    parts = {"daemon": shop + lines, "relay": shop + kafka}
    return parts.get(role, '[source]\nkind = "kafka"\n' + kafka + lines) + "[web]\nport = 0\n"
