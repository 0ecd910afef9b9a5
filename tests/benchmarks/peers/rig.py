"""The machine and the versions of a run, in words, and the file of the last run."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tests.kit.install import CACHE, mariadb_programs

RESULT = CACHE / "bench" / "peers.json"
"""The last run in full."""

_BUSY_FROM = 1.0  # what ended a minute ago still shows in the average
_HERE = Path(__file__).parent


class Rig(NamedTuple):
    """``text``: when, on what and with which versions. ``is_busy``: whether other programs ran beside."""

    text: str
    is_busy: bool


def described(load: float) -> Rig:
    """What a run was measured on. ``load``: the machine's load average before the run."""
    is_busy = load >= _BUSY_FROM
    busy = f"busy with other work, load average {load:.1f}" if is_busy else "idle"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    text = (
        f"{datetime.now(UTC):%Y-%m-%d} on {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, otherwise {busy}:"
        f" Python {platform.python_version()}, {', '.join(_versions())}"
    )
    return Rig(text, is_busy)


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1].strip() if found else platform.machine()


def _versions() -> list[str]:
    pom, module = (_HERE / name for name in ("debezium/pom.xml", "canal/go.mod"))
    debezium = re.search(r"debezium-embedded</artifactId>\s*<version>([^<]+)", pom.read_text(encoding="utf-8"))
    canal = re.search(r"go-mysql (v\S+)", module.read_text(encoding="utf-8"))
    assert debezium is not None
    assert canal is not None
    program = [str(mariadb_programs()["mariadbd"]), "--version"]  # mariadb-binlog does not say its release
    text = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    release = re.search(r"\d+\.\d+\.\d+", text)
    assert release is not None
    return [
        f"Debezium {debezium[1]}",
        f"go-mysql {canal[1]}",
        f"python-mysql-replication {version('mysql-replication')}",
        f"mariadb-binlog {release[0]}",
    ]
