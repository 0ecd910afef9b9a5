"""Builds the peers that are not Python into the cache, from the sources in this package."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.kit.install import CACHE, Unavailable, lock, maven_jars

_HERE = Path(__file__).parent
_BUILT = CACHE / "peers"
_BUILD_S = 600.0


def debezium_command() -> list[str]:
    """The command that runs debezium/Peer.java, without its arguments. Raises Unavailable."""
    jars = maven_jars("debezium-embedded", _HERE / "debezium" / "pom.xml")
    source = _HERE / "debezium" / "Peer.java"
    classes = _BUILT / f"debezium-{_stamp(source, _HERE / 'debezium' / 'pom.xml')}"
    with lock("peers"):
        if not classes.exists():
            compiler = _program("javac", "Debezium's engine")
            _build("Debezium's engine", [compiler, "-cp", f"{jars}/*", "-d", "{}", str(source)], classes, _HERE)
    return ["java", "-cp", f"{classes}:{jars}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "Peer"]


def canal_command() -> list[str]:
    """The command that runs canal/main.go, without its arguments. Raises Unavailable."""
    folder = _HERE / "canal"
    built = _BUILT / f"canal-{_stamp(*(folder / name for name in ('main.go', 'go.mod', 'go.sum')))}"
    with lock("peers"):
        if not built.exists():
            compiler = _program("go", "go-mysql's canal")
            _build("go-mysql's canal", [compiler, "build", "-o", "{}/peer", "."], built, folder)
    return [str(built / "peer")]


def _stamp(*sources: Path) -> str:
    """A name that changes with the sources."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _program(name: str, what: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{what}: {name} is not installed")
    return found


def _build(what: str, command: list[str], target: Path, folder: Path) -> None:
    """Build into ``target``, which stands for {} in the command; there is no target if it fails. Raises Unavailable."""
    unfinished = target.with_name(f"making-{target.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    filled = [word.replace("{}", str(unfinished)) for word in command]
    done = subprocess.run(filled, cwd=folder, capture_output=True, text=True, timeout=_BUILD_S, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no output"]
        raise Unavailable(f"{what}: {command[0]} ended with {done.returncode}: {said[-1]}")
    unfinished.rename(target)
