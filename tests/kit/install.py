"""Find or fetch what tests run: MariaDB, Chromium, promtool by apt, MySQL from Debian unstable, Kafka by Maven, axe by
npm.

Everything is named by package; mirrors come from the machine's own apt configuration. Several test processes may ask
at once: one installs, the others wait for its lock. What cannot be had raises ``Unavailable`` with the reason, which
tests print as their skip line.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"
MYSQL_ROOT = CACHE / "mysql" / "root"
MARIADB_11_ROOT = CACHE / "mariadb-11" / "root"

AXE_VERSION = "4.10.3"
AXE_SHA512 = (
    "5e6edba515e70d25f6604d9815f064d859c5d1ea7ab661bbc4f87c88779ef0c2"
    "1cae0abbeb636471ef39e9d62d2582e4b88a1866f19f4ecfcf6d986275e4dc12"
)

KAFKA_POM = Path(__file__).with_name("kafka") / "pom.xml"
DEBEZIUM_POM = Path(__file__).with_name("debezium") / "pom.xml"

_FAILURE_COUNTS_FOR_S = 600  # spares each worker of a test run the same vain download
_APT = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30"]
_POLICY = Path("/usr/sbin/policy-rc.d")


class Unavailable(Exception):
    """A server's programs cannot be had here; the text says why, in one sentence."""


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the named lock of the cache folder; other processes of this checkout wait."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def mariadb_programs() -> dict[str, Path]:
    """Paths of ``mariadbd``, ``mariadb-install-db`` and ``mariadb-binlog``, installed first where they are missing.

    Raises Unavailable.
    """
    names = ("mariadbd", "mariadb-install-db", "mariadb-binlog")
    with lock("install"):
        if not all(_which(name) for name in names):
            _once("mariadb", lambda: _apt_install("mariadb-server"))
    missing = [name for name in names if not _which(name)]
    if missing:
        raise Unavailable(f"MariaDB: {', '.join(missing)} not found after installing mariadb-server")
    return {name: _found(name) for name in names}


def chromium() -> Path:
    """The browser, installed first where there is none. Raises Unavailable."""
    names = ("chromium", "chromium-browser", "google-chrome")
    with lock("install"):
        if not any(map(_which, names)):
            _once("chromium", lambda: _apt_install("chromium"))
    found = next(filter(None, map(_which, names)), None)
    if found is None:
        raise Unavailable("Chromium: not found after installing chromium")
    return Path(found)


def promtool() -> Path:
    """Prometheus' tool for rules and metrics, installed first where there is none. Raises Unavailable."""
    with lock("install"):
        if not _which("promtool"):
            _once("promtool", lambda: _apt_install("prometheus"))
    if not _which("promtool"):
        raise Unavailable("promtool: not found after installing prometheus")
    return _found("promtool")


def axe() -> Path:
    """axe-core's script, which looks through a page for what keeps people out; fetched by npm. Raises Unavailable."""
    script = CACHE / "axe-core" / AXE_VERSION / "axe.min.js"
    with lock("install"):
        if not script.exists():
            _once("axe-core", lambda: _fetch_axe(script))
    return script


def _fetch_axe(script: Path) -> None:
    if _which("npm") is None:
        raise Unavailable("axe-core: npm is not installed")
    fetched = script.parent.with_name("fetching")
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir(parents=True)
    _run("axe-core", ["npm", "pack", f"axe-core@{AXE_VERSION}", "--pack-destination", str(fetched), "--silent"], 120)
    [packed] = fetched.glob("*.tgz")
    if hashlib.sha512(packed.read_bytes()).hexdigest() != AXE_SHA512:
        raise Unavailable(f"axe-core {AXE_VERSION}: the registry gave another file than it once did")
    with tarfile.open(packed) as package:
        source = package.extractfile("package/axe.min.js")
        assert source is not None
        text = source.read()
    script.parent.mkdir(exist_ok=True)
    (fetched / script.name).write_bytes(text)
    (fetched / script.name).rename(script)


def mysql_root() -> Path:
    """The folder that holds Debian unstable's MySQL with the libraries it needs. Raises Unavailable."""
    with lock("install"):
        if not (MYSQL_ROOT / "usr/sbin/mysqld").exists():
            _once("mysql", lambda: _unpack(MYSQL_ROOT, "sid", "mysql-server-core", "usr/sbin/mysqld"))
    return MYSQL_ROOT


def mariadb_11_root() -> Path:
    """The folder that holds MariaDB 11.8 of Debian trixie with the libraries it needs. Raises Unavailable."""
    with lock("install"):
        if not (MARIADB_11_ROOT / "usr/sbin/mariadbd").exists():
            _once("mariadb-11", lambda: _unpack(MARIADB_11_ROOT, "trixie", "mariadb-server-core", "usr/sbin/mariadbd"))
    return MARIADB_11_ROOT


def kafka_jars() -> Path:
    """The folder that holds a Kafka broker's jars, as tests/kit/kafka/pom.xml names them. Raises Unavailable."""
    return maven_jars("kafka", KAFKA_POM)


def debezium_jars() -> Path:
    """The folder that holds Kafka Connect's and Debezium's jars, as tests/kit/debezium/pom.xml names them.

    Raises Unavailable.
    """
    return maven_jars("debezium", DEBEZIUM_POM)


def maven_jars(what: str, pom: Path) -> Path:
    """The folder that holds the jars that this pom names, fetched first where they are missing. Raises Unavailable."""
    folder = CACHE / what / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    with lock("install"):
        if not folder.exists():
            _once(what, lambda: _fetch_jars(what, pom, folder))
        if _which("java") is None:
            _once("java", lambda: _apt_install("default-jre-headless"))
    return folder


def _fetch_jars(what: str, pom: Path, folder: Path) -> None:
    if _which("mvn") is None:
        _apt_install("maven")
    unfinished = folder.with_name("fetching")
    shutil.rmtree(unfinished, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}"]
    _run(what, ["mvn", "--quiet", "--batch-mode", "--file", str(pom), *goal], 600)
    unfinished.rename(folder)


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _found(name: str) -> Path:
    path = _which(name)
    assert path is not None
    return Path(path)


def _once(what: str, install: Callable[[], None]) -> None:
    """Run ``install``; remember a failure for a while, since the next worker would fail the same way."""
    memo = CACHE / f"{what}.unavailable"
    if memo.exists() and time.time() - memo.stat().st_mtime < _FAILURE_COUNTS_FOR_S:
        raise Unavailable(memo.read_text())
    try:
        install()
    except Unavailable as error:
        memo.write_text(str(error))
        raise
    memo.unlink(missing_ok=True)


def _need_root(what: str) -> None:
    if os.geteuid() != 0:
        raise Unavailable(f"{what} is not installed, and installing it needs root")
    if _which("apt-get") is None:
        raise Unavailable(f"{what} is not installed, and there is no apt-get to install it with")


def _run(what: str, command: list[str], timeout_s: float) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{what}: {command[0]} took longer than {timeout_s:.0f} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no output"]
        raise Unavailable(f"{what}: {command[0]} ended with {done.returncode}: {lines[-1]}")


@contextlib.contextmanager
def _services_stay_down() -> Iterator[None]:
    """Debian starts a service right after installing it; we want the programs only."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _apt_install(package: str) -> None:
    _need_root(package)
    command = [*_APT, "install", "--no-install-recommends", package]
    with _services_stay_down():
        try:
            _run(package, command, 600)
        except Unavailable:  # package lists older than the mirror, or none at all
            _run(package, [*_APT, "update"], 300)
            _run(package, command, 600)


def _debian_mirror() -> str:
    """The Debian mirror that this machine's apt uses for its main archive."""
    wanted = ["Origin: Debian", "Component: main", "Created-By: Packages"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", *wanted]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"apt-get does not say which Debian mirror it uses ({error})") from None
    for line in listed.splitlines():
        mirror, _, label = line.partition(" ")
        if label == "Debian":  # not Debian-Security
            return mirror
    raise Unavailable("this machine's apt knows no Debian mirror, so another release's server cannot be had")


def _unpack(root: Path, suite: str, package: str, program: str) -> None:
    """Fetch a package of another Debian release with all it needs, and unpack it into ``root``."""
    what = f"{package} of Debian {suite}"
    _need_root(what)
    mirror = _debian_mirror()
    if _which("debootstrap") is None:
        _apt_install("debootstrap")
    fetched, folder = root.with_name("packages"), root.with_name("unpacking")
    for old in (fetched, folder):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    # Fetched and unpacked but not configured: nothing is run in the folder, so no mounts and no chroot are needed.
    command = ["debootstrap", "--download-only", "--variant=minbase", f"--include={package}", suite]
    _run(what, [*command, str(fetched), mirror], 900)
    packages = sorted((fetched / "var/cache/apt/archives").glob("*.deb"))
    for one in packages:
        _run(what, ["dpkg-deb", "--extract", str(one), str(folder)], 120)
    shutil.rmtree(fetched)
    if not (folder / program).exists():
        raise Unavailable(f"{what}: no {program} in the {len(packages)} packages fetched")
    folder.rename(root)
