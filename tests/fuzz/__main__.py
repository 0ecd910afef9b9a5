"""Fuzzes the decoder: ``make fuzz ARGS="--minutes 10"``, ``ARGS="--target json"``.

Each target runs in a process of its own, so that a crash, a hang (10 s an input) or too much memory (1 GB) ends only
that one; the input at fault is kept in .cache/fuzz/<target>/. Inputs that reached something new are kept there too;
``--keep`` puts a sample of them into tests/fuzz/corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
WORK = HERE.parents[1] / ".cache" / "fuzz"
_MOST_KEPT = 50  # per target
_MOST_KEPT_BYTES = 24_000
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


def main() -> int:
    """The exit code: 1 when a target found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="all targets together (default 3)")
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--keep", action="store_true", help="add a sample of what is new to the corpus")
    parser.add_argument("--one", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _fuzz(*options.one)
    names = [options.target] if options.target else _names()
    found = [name for name in names if not _run(name, options.minutes * 60 / len(names))]
    if options.keep:
        for name in names:
            _keep(name)
    print("findings: " + ", ".join(found) if found else "no findings")
    return 1 if found else 0


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


def _run(name: str, seconds: float) -> bool:
    """Fuzz one target for this long; whether it held."""
    work = WORK / name
    (work / "corpus").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.fuzz", "--one", name, str(work / "corpus"), str(HERE / "corpus" / name),
            f"-max_total_time={max(1, round(seconds))}", "-timeout=10", "-rss_limit_mb=1024", "-max_len=4096",
            "-print_final_stats=1", f"-artifact_prefix={work}/",
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    match = _EXECUTIONS.search(done.stderr)
    print(f"{name:12} {match[1] if match else '?':>9} inputs  {'held' if done.returncode == 0 else 'FOUND SOMETHING'}")
    if done.returncode:
        print(_reason(done.stderr))
    return done.returncode == 0


def _reason(said: str) -> str:
    """What the target raised, and where its input was put; without libFuzzer's progress."""
    lines = [line for line in said.splitlines() if not re.match(r"#\d|INFO:|MS: |0x|stat::", line)]
    return "\n".join(lines[-40:])


def _keep(name: str) -> None:
    """Put a sample of what reached something new into the corpus, short and long, as long as there is room."""
    target = HERE / "corpus" / name
    target.mkdir(parents=True, exist_ok=True)
    room = _MOST_KEPT_BYTES - sum(path.stat().st_size for path in target.iterdir())
    found = sorted((WORK / name / "corpus").iterdir(), key=lambda path: path.stat().st_size)
    for path in found[:: max(1, len(found) // _MOST_KEPT)]:
        raw = path.read_bytes()
        room -= len(raw)
        if room < 0:
            return
        (target / hashlib.sha1(raw).hexdigest()).write_bytes(raw)


def _fuzz(name: str, *arguments: str) -> None:
    """Does not return: libFuzzer ends the process."""
    with atheris.instrument_imports(include=["cdc.binlog"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([name, *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
