"""The programs of the private servers, and the data folders that they make."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.kit.install import CACHE, lock, mariadb_11_root, mysql_root


def loaded(root: Path, program: str) -> list[str]:
    """A program of another Debian release, run with that release's own libraries."""
    loader = next(iter(sorted(root.glob("usr/lib*/ld-linux*.so.*")) + sorted(root.glob("usr/lib/*/ld-linux*.so.*"))))
    libraries = ":".join(str(path) for path in sorted(root.glob("usr/lib/*-linux-gnu*")))
    return [str(loader), "--library-path", libraries, str(root / program)]


def mariadb_11_program() -> list[str]:
    """MariaDB 11.8 with the options that it needs outside its own system."""
    root = mariadb_11_root()
    share = root / "usr/share/mariadb"
    return [
        *loaded(root, "usr/sbin/mariadbd"),
        *("--no-defaults", f"--basedir={root / 'usr'}", f"--lc-messages-dir={share}"),
        *(f"--character-sets-dir={share / 'charsets'}", f"--plugin-dir={root / 'usr/lib/mysql/plugin'}"),
    ]  # fmt: skip


def mysql_program() -> list[str]:
    """MySQL 9 with the options that it needs outside its own system."""
    root = mysql_root()
    share = root / "usr/share/mysql"
    return [
        *loaded(root, "usr/sbin/mysqld"),
        *("--no-defaults", f"--basedir={root / 'usr'}", f"--lc-messages-dir={share}"),
        *(f"--character-sets-dir={share / 'charsets'}", f"--plugin-dir={root / 'usr/lib/mysql/plugin'}"),
    ]  # fmt: skip


def version_of(program: list[str]) -> str:
    """The version that the program prints."""
    said = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.split("Ver ", 1)[1].split()[0].split("-")[0]


def cached_template(name: str, make: Any) -> Path:
    """A fresh data folder of a server, made by ``make`` once and kept in the cache."""
    folder = CACHE / "datadirs" / name
    with lock("datadirs"):
        if not folder.exists():
            unfinished = folder.with_name(f"making-{name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def must_run(command: list[str], text: str = "") -> None:
    """Run the command; RuntimeError with its output if it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")


def as_root() -> list[str]:
    """The option that lets a server run as root, if this process does."""
    return ["--user=root"] if os.geteuid() == 0 else []


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with its holes: most of a fresh data folder is zeros."""
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)
