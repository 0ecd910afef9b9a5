"""Measures the first load of a large shop: the daemon beside a dump of the same tables, and what the shop feels."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.live_orders import LiveOrders, percentile
from tests.kit import big_shop, schema
from tests.kit.big_shop import Sizes, settings_for
from tests.kit.daemon import Daemon, command
from tests.kit.servers import MariaDB, MySQL, Server
from tests.kit.shop import Shop

QUIET_S: Final = 30.0
"""How long orders are placed before the daemon starts, and after the load."""
LOOK_S: Final = 0.5
LIMIT_S: Final = 3600.0
DUMPS: Final = ("mariadb-dump", "mysqldump")
OPTIONS: Final = {"innodb_buffer_pool_size": "1G"}
ALONE, IDLE = "without the daemon", "idle"
PHASES: Final = ("load", "render", "send")


@dataclass
class Found:
    """What was measured. Seconds, bytes and counts; latencies and writes in milliseconds (p50, p99, how many).

    ``lost``: live orders whose line item never came. ``busy``: the machine's load average when the run began.
    """

    server: str = ""
    orders: int = 0
    rows: int = 0
    objects: int = 0
    lost: int = 0
    busy: float = 0.0
    fill_s: float = 0.0
    dump_s: float | None = None
    dump_bytes: int = 0
    load_s: float = 0.0
    render_s: float = 0.0
    sent_s: float = 0.0
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    state_mb: float = 0.0
    state_peak_mb: float = 0.0
    files_mb: dict[str, float] = field(default_factory=dict)
    tables_mb: dict[str, float] = field(default_factory=dict)
    latency_ms: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    writes_ms: dict[str, tuple[float, float, int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def measure(
    kind: str,
    sizes: Sizes,
    folder: Path | None = None,
    *,
    keep: bool = False,
    extra: str = "",
    quiet_s: float = QUIET_S,
) -> Found:
    """One run from an empty server on. ``kind``: ``mariadb`` or ``mysql``. ``folder``: where the daemon works; a
    temporary one if not given. ``keep``: that folder stays. ``extra``: more settings, as TOML.
    """
    server_kind = {"mariadb": MariaDB, "mysql": MySQL}[kind]
    work = Path(tempfile.mkdtemp(prefix="large-load-", dir=folder))
    try:
        with server_kind(OPTIONS | _fast_log(kind)) as server:
            found = Found(f"{server.flavor} {server.version.split('-')[0]}", sizes.orders, busy=os.getloadavg()[0])
            _measure(server, sizes, work, found, extra, quiet_s)
    finally:
        if keep:
            _say(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    return found


def _fast_log(kind: str) -> dict[str, str | int]:
    """A redo log that is large enough to be filled without stops."""
    return {"innodb_log_file_size": "512M"} if kind == "mariadb" else {"innodb_redo_log_capacity": "1G"}


def _measure(server: Server, sizes: Sizes, work: Path, found: Found, extra: str, quiet_s: float) -> None:
    database = server.create_database("large")
    with contextlib.closing(server.connect(database=database)) as connection:
        schema.load(connection)
        Shop(connection).install()
    began_s = time.monotonic()
    big_shop.fill(server, database, sizes, lambda table: _say(f"filled {table}"))
    found.fill_s = time.monotonic() - began_s
    # On MySQL the log is read from the start of its present file: definitions there would have tables read again.
    server.rotate()
    toml = settings_for(server, database) + extra
    (work / "magento-cdc.toml").write_text(toml, encoding="utf-8")
    plan = json.loads(command("import", "--dry-run", "--json", cwd=work, limit_s=900).stdout)
    found.rows, found.objects = plan["rows"], sum(plan["messages"].values())
    _say(f"{found.rows:,} rows, {found.objects:,} objects; dumping")
    found.dump_s, found.dump_bytes = _dump(server, database, [name for name, rows in plan["tables"].items() if rows])
    buyer = product = big_shop.FIRST + 1
    with LiveOrders(server, database, work / "out.jsonl", buyer=buyer, product=product) as live:
        live.phase = ALONE
        time.sleep(quiet_s)
        with Daemon(work, toml) as daemon:
            _load(daemon, live, work, found)
            live.phase = IDLE
            _say("idle")
            time.sleep(quiet_s)
            live.phase, live.is_followed = "end", False
            _wait(lambda: not live.waiting, live, 30)
            found.lost = live.waiting
            found.cpu_s, found.rss_mb = _cpu_s(daemon.pid), _peak_mb(daemon.pid)
            if daemon.stop(120) != 0:
                raise RuntimeError(f"the daemon did not end well; see {work / 'run.log'}")
    for values, into in ((live.latencies_ms, found.latency_ms), (live.writes_ms, found.writes_ms)):
        for phase, taken in values.items():
            if phase not in ("start", "end"):
                into[phase] = (percentile(taken, 0.5), percentile(taken, 0.99), len(taken))
    _state(work / "state", found)


def _load(daemon: Daemon, live: LiveOrders, work: Path, found: Found) -> None:
    """From the start of the daemon until its first load is sent. Sets the times of the phases."""
    began_s = time.monotonic()
    live.phase = "start"
    daemon.start()
    daemon.port()
    ends: dict[str, float] = {}
    phase, said_s = "", began_s
    while phase or not ends:
        now_s = time.monotonic()
        if now_s - began_s > LIMIT_S:
            raise RuntimeError(f"not sent within {LIMIT_S:.0f} s")
        if live.failure is not None:
            raise live.failure
        if not daemon.is_running:
            raise RuntimeError((work / "run.log").read_text(encoding="utf-8")[-2000:])
        status = daemon.ask("/status").get("first_load")
        if status is not None:
            phase = status["phase"]
            if phase:
                # Orders from before the daemon's position in the log are history, which takes its time.
                live.is_followed = True
                ends[phase] = live_at = time.monotonic() - began_s
                live.phase = phase
                if now_s - said_s > 10:
                    said_s = now_s
                    _say(f"{live_at:.0f} s: {phase} {status['done']:,} of {status['expected']:,},"
                         f" {_peak_mb(daemon.pid):.0f} MB, {live.waiting} live orders wait")  # fmt: skip
        found.state_peak_mb = max(found.state_peak_mb, sum(_sizes_mb(work / "state").values()))
        time.sleep(LOOK_S)
    found.sent_s = time.monotonic() - began_s
    found.load_s = ends.get("load", 0.0)
    found.render_s = max(ends.get("render", 0.0), found.load_s) - found.load_s


def _dump(server: Server, database: str, tables: list[str]) -> tuple[float | None, int]:
    """Seconds and bytes of a dump of these tables, as a user would make one; None if no program can."""
    program = next((found for name in DUMPS if (found := shutil.which(name))), None)
    if program is None:
        return None, 0
    arguments = [program, "--no-defaults", "--single-transaction", "--quick", "-h", server.host, "-P", str(server.port),
                 "-u", "root", database, *tables]  # fmt: skip
    began_s = time.monotonic()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        counted = subprocess.run(["wc", "-c"], stdin=process.stdout, capture_output=True, text=True, check=True)
        process.stdout.close()
        said = process.stderr.read().decode("utf-8", "replace")
    if process.returncode:
        _say(f"the dump failed: {said.strip()[-300:]}")
        return None, 0
    return time.monotonic() - began_s, int(counted.stdout)


def _wait(is_done: Callable[[], bool], live: LiveOrders, limit_s: float) -> None:
    end_s = time.monotonic() + limit_s
    while not is_done() and time.monotonic() < end_s:
        if live.failure is not None:
            raise live.failure
        time.sleep(0.1)


def _peak_mb(pid: int) -> float:
    """The most memory that the process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _sizes_mb(folder: Path) -> dict[str, float]:
    found = {}
    if folder.exists():
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a journal comes and goes
                found[path.name] = path.stat().st_size / 1e6
    return found


def _state(folder: Path, found: Found) -> None:
    """The sizes of the state's files, and of its tables with their indexes."""
    found.files_mb = {name: size for name, size in sorted(_sizes_mb(folder).items()) if size >= 0.1}
    found.state_mb = sum(_sizes_mb(folder).values())
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'state.sqlite3'}?mode=ro", uri=True)) as db:
        rows = db.execute(
            "SELECT coalesce(m.tbl_name, d.name), sum(d.pgsize) / 1e6 FROM dbstat('main', 1) d"
            " LEFT JOIN sqlite_master m ON m.name = d.name GROUP BY 1 HAVING sum(d.pgsize) > 1e5 ORDER BY 2 DESC"
        ).fetchall()
    found.tables_mb = dict(rows)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
