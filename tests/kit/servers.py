"""Private database servers on free ports with data folders of their own: ``MariaDB``, ``MariaDB11`` and ``MySQL``.

    with MariaDB({"binlog_row_metadata": "FULL"}) as server:
        name = server.create_database()
        connection = server.connect(database=name)

A start takes about a second: a data folder is made once per version, kept in the cache, and copied. A second small
process ends the server and removes its folder when our own process dies without doing so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pymysql
from pymysql.connections import Connection

from tests.kit.install import Unavailable, mariadb_11_root, mariadb_programs
from tests.kit.server_programs import (
    as_root,
    cached_template,
    copy_tree,
    mariadb_11_program,
    must_run,
    mysql_program,
    version_of,
)

__all__ = ["ALL_SERVERS", "MariaDB", "MariaDB11", "MySQL", "Option", "Server", "Unavailable"]

ALL_SERVERS = ("mariadb", "mariadb_11", "mysql")
"""Fixtures of every server that tests can have: ``SERVERS = ALL_SERVERS`` in a module runs its tests on all of them."""

Option = str | int | bool
"""A server option's value: text or number as is; True sets a switch, False sets its ``skip-`` form."""

_START_S = 60.0
_STOP_S = 30.0
_server_ids = itertools.count(os.getpid() % 40_000 * 100 + 1)
_database_numbers = itertools.count(1)

# The installers let root in by socket only; tests connect by TCP, as the shop's own tools do.
_ROOT_BY_TCP = """\
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
"""


class Server:
    """One private server. A context manager; ``start`` and ``stop`` do the same by hand.

    ``options`` are server options by name (underscores or hyphens), over the kit's own; they hold over restarts.
    The kit's own: ROW format, FULL images, a log named ``binlog``, no fsync. Everything else is the server's
    default: ``binlog_row_metadata`` is NO_LOG on MariaDB and MINIMAL on MySQL, and MySQL 9.7 writes GTIDs unless
    told ``{"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}``.
    Raises Unavailable when the programs cannot be had, RuntimeError when the server does not start.
    """

    flavor = ""
    host = "127.0.0.1"

    def __init__(self, options: Mapping[str, Option] | None = None) -> None:
        self.options: dict[str, Option] = dict(options or {})
        self.server_id = int(self.options.get("server_id", next(_server_ids)))
        self.port = 0
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------------------------------------ life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"pid {self._process.pid}" if self._process else "stopped"
        return f"<{self.flavor} {self.host}:{self.port} {state}>"

    def start(self) -> None:
        """Start on a free port with a fresh data folder; later starts keep both."""
        if self._process is not None:
            return
        if not self.port:
            template = self._template()
            self.folder = Path(tempfile.mkdtemp(prefix=f"{self.flavor}-"))
            copy_tree(template, self.datadir)
            self.port = _free_port()
        self._launch()

    def stop(self) -> None:
        """Shut down as a service would: the log gets its stop event. Keeps the data."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``. Committed transactions survive; the log has no stop event. Keeps the data."""
        self._end(signal.SIGKILL)

    def restart(self, options: Mapping[str, Option] | None = None) -> None:
        """Stop and start on the same port and data, with ``options`` added to the ones held."""
        self.stop()
        self.options.update(options or {})
        self.start()

    def close(self) -> None:
        """End the server and remove its data."""
        self._end(signal.SIGKILL)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder, self.port = Path(), 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    # ------------------------------------------------------------------------------------------ use

    @property
    def datadir(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    def connect(self, user: str = "root", password: str = "", database: str | None = None, **more: Any) -> Connection:
        """A connection over TCP with autocommit on, utf8mb4 and time zone +00:00; ``more`` goes to PyMySQL."""
        settings: dict[str, Any] = {"charset": "utf8mb4", "autocommit": True, "init_command": "SET time_zone='+00:00'"}
        return pymysql.connect(
            host=self.host, port=self.port, user=user, password=password, database=database, **(settings | more)
        )

    def run(self, *statements: str, database: str | None = None) -> tuple[tuple[Any, ...], ...]:
        """Run statements as root on a connection of their own; the rows of the last one."""
        with contextlib.closing(self.connect(database=database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return tuple(cursor.fetchall())

    def create_user(self, name: str, password: str, grants: Sequence[str] = (), *, options: str = "") -> None:
        """Make an account for any host; a grant is what stands between GRANT and TO: ``SELECT ON shop.*``."""
        quoted = password.replace("'", "''")
        self.run(
            f"DROP USER IF EXISTS '{name}'@'%'",
            f"CREATE USER '{name}'@'%' IDENTIFIED BY '{quoted}' {options}",
            *(f"GRANT {grant} TO '{name}'@'%'" for grant in grants),
        )

    def create_database(self, prefix: str = "shop") -> str:
        """Make an empty utf8mb4 database with a name no other test of this process uses."""
        name = f"{prefix}_{os.getpid()}_{next(_database_numbers)}"
        self.run(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        return name

    @contextlib.contextmanager
    def database(self, prefix: str = "shop") -> Iterator[str]:
        """A database that is dropped afterwards."""
        name = self.create_database(prefix)
        try:
            yield name
        finally:
            if self.running:
                self.run(f"DROP DATABASE IF EXISTS `{name}`")

    @property
    def version(self) -> str:
        return str(self.run("SELECT VERSION()")[0][0])

    def binlog_files(self) -> list[Path]:
        """The log's files, oldest first."""
        return [self.datadir / str(row[0]) for row in self.run("SHOW BINARY LOGS")]

    def log_position(self) -> tuple[str, int]:
        """The end of the log: file name and offset in bytes."""
        row = self.run(self._log_status)[0]
        return str(row[0]), int(row[1])

    def rotate(self) -> None:
        """Begin a new log file."""
        self.run("FLUSH BINARY LOGS")

    # ------------------------------------------------------------------------------------------ per flavour

    _log_status = "SHOW MASTER STATUS"

    def _program(self) -> list[str]:
        raise NotImplementedError

    def _template(self) -> Path:
        raise NotImplementedError

    def _own_options(self) -> dict[str, Option]:
        return {}

    # ------------------------------------------------------------------------------------------ inside

    def _arguments(self) -> list[str]:
        options: dict[str, Option] = {
            "datadir": str(self.datadir),
            "socket": str(self.socket),
            "tmpdir": str(self._own_tmpdir()),  # a starting MariaDB removes temporary tables it finds, also others'
            "pid-file": str(self.folder / "pid"),
            "log-error": str(self.folder / "log"),
            "port": self.port,
            "bind-address": self.host,
            "server-id": self.server_id,
            "log-bin": "binlog",
            "binlog-format": "ROW",
            "binlog-row-image": "FULL",
            "sync-binlog": 0,
            "innodb-flush-log-at-trx-commit": 2,  # in the system's hands at commit: survives kill -9 of the server
            "innodb-buffer-pool-size": "64M",
            "innodb-use-native-aio": 0,  # a machine's aio slots are few, and several servers run at once
            "character-set-server": "utf8mb4",
            "collation-server": "utf8mb4_general_ci",
            "default-time-zone": "+00:00",
            "max-connections": 60,
            "skip-name-resolve": True,
        }
        options |= self._own_options()
        options |= {name.replace("_", "-"): value for name, value in self.options.items()}
        return [*self._program(), *as_root(), *itertools.starmap(_flag, options.items())]

    def _own_tmpdir(self) -> Path:
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _launch(self) -> None:
        deadline = time.monotonic() + _START_S
        with (self.folder / "said").open("wb") as said:
            self._process = process = subprocess.Popen(
                self._arguments(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server themselves
            )
        self._watchdog = _watch(process.pid, self.folder)
        while True:
            with contextlib.suppress(pymysql.err.OperationalError, OSError):
                self.connect(connect_timeout=2).close()
                return
            if process.poll() is not None or time.monotonic() > deadline:
                ended = f"ended with {process.returncode}" if process.returncode is not None else "does not answer"
                self._end(signal.SIGKILL)
                raise RuntimeError(f"{self.flavor} {ended}; the end of its log:\n{self._log_tail()}")
            time.sleep(0.02)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._watchdog:
            self._watchdog.kill()
            self._watchdog.communicate()
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log_tail(self) -> str:
        """Before a server opens its log it complains on stderr."""
        logs = [path for name in ("said", "log") if (path := self.folder / name).exists()]
        return "\n".join("\n".join(log.read_text(errors="replace").splitlines()[-12:]) for log in logs)


class MariaDB(Server):
    """MariaDB as the system's package manager has it."""

    flavor = "mariadb"

    def _program(self) -> list[str]:
        return [str(mariadb_programs()["mariadbd"]), "--no-defaults"]

    def _own_options(self) -> dict[str, Option]:
        return {"innodb-log-file-size": "32M", "innodb-doublewrite": 0}

    def _template(self) -> Path:
        programs = mariadb_programs()
        version = version_of([str(programs["mariadbd"])])

        def make(folder: Path) -> None:
            common = ["--no-defaults", *as_root(), f"--datadir={folder}", "--innodb-log-file-size=32M"]
            must_run([
                str(programs["mariadb-install-db"]), *common, "--auth-root-authentication-method=normal",
                "--skip-test-db", "--skip-name-resolve",
            ])  # fmt: skip
            must_run([str(programs["mariadbd"]), *common, "--bootstrap"], text="FLUSH PRIVILEGES;\n" + _ROOT_BY_TCP)

        return cached_template(f"mariadb-{version}", make)


class MariaDB11(MariaDB):
    """MariaDB 11.8 from Debian trixie, unpacked into the cache and run with the libraries it came with."""

    def _program(self) -> list[str]:
        return mariadb_11_program()

    def _template(self) -> Path:
        program = mariadb_11_program()
        share = mariadb_11_root() / "usr/share/mariadb"
        scripts = ("mariadb_system_tables.sql", "mariadb_performance_tables.sql", "mariadb_system_tables_data.sql")

        def make(folder: Path) -> None:
            folder.mkdir()
            tables = "".join((share / name).read_text(encoding="utf-8") for name in scripts)
            text = f"CREATE DATABASE mysql;\nUSE mysql;\n{tables}\nFLUSH PRIVILEGES;\n{_ROOT_BY_TCP}"
            options = [f"--datadir={folder}", "--innodb-log-file-size=32M", "--bootstrap"]
            must_run([*program, *as_root(), *options], text=text)

        return cached_template(f"mariadb-{version_of(program)}", make)


class MySQL(Server):
    """MySQL 9 from Debian unstable, unpacked into the cache and run with the libraries it came with."""

    flavor = "mysql"
    _log_status = "SHOW BINARY LOG STATUS"

    def _program(self) -> list[str]:
        return mysql_program()

    def _own_options(self) -> dict[str, Option]:
        return {
            "innodb-redo-log-capacity": "32M",
            "innodb-doublewrite": 0,
            "mysqlx": 0,
            "performance-schema": 0,  # several servers at once share one small machine
            "secure-file-priv": "",  # Debian's built-in default is a folder that a private server has not
        }

    def _template(self) -> Path:
        program = mysql_program()

        def make(folder: Path) -> None:
            statements = folder.with_suffix(".sql")
            statements.write_text(_ROOT_BY_TCP)
            must_run([
                *program, *as_root(), f"--datadir={folder}", "--initialize-insecure",
                f"--init-file={statements}", "--innodb-redo-log-capacity=32M", "--skip-log-bin",
            ])  # fmt: skip
            statements.unlink()
            (folder / "auto.cnf").unlink(missing_ok=True)  # the server's uuid: each copy makes its own

        return cached_template(f"mysql-{version_of(program)}", make)


def _flag(name: str, value: Option) -> str:
    if value is True:
        return f"--{name}"
    return f"--skip-{name}" if value is False else f"--{name}={value}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _watch(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """A process that ends the server when ours is gone: its input closes with us, however we die."""
    script = 'read -r _; kill -9 "$1" 2>/dev/null; sleep 1; rm -rf "$2"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "watchdog", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
