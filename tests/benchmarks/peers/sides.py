"""The sides of the comparison, and how each is set up and run."""

from __future__ import annotations

import compileall
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.load import Load
from tests.benchmarks.peers.programs import canal_command, debezium_command
from tests.benchmarks.peers.tables import DATABASE, TABLES
from tests.benchmarks.peers.timing import Taken, run_silent, run_that_tells, run_that_writes
from tests.kit.connect import GRANTS, PASSWORD, USER
from tests.kit.daemon import COMMAND, free_environment
from tests.kit.install import mariadb_programs
from tests.kit.servers import Server

DAEMON: Final = "magento-cdc"
DAEMON_TWO: Final = "magento-cdc, decoding apart"
DEBEZIUM: Final = "Debezium"
LIBRARY: Final = "python-mysql-replication"
CANAL: Final = "canal"
TEXT: Final = "mariadb-binlog -v"
DAEMON_FILES: Final = "magento-cdc, files"
TEXT_FILES: Final = "mariadb-binlog -v, files"
_ROOT: Final = Path(__file__).parents[3]
_MESSAGES: Final = "messages.jsonl"
_PREFIX: Final = "peer"
_KNOCKS: Final = "bench_knocks"
_KNOCK_S: Final = 0.3


@dataclass
class Scene:
    """One server and its load. ``wanted``: row changes of the mapped tables, known once a side has counted them.

    ``states``: folders in which the daemon has done its first load, one for each round to come.
    """

    server: Server
    folder: Path
    rounds: int = 1
    wanted: int = 0
    files: tuple[Path, ...] = ()
    states: list[Path] = field(default_factory=list)
    _load: list[Load] = field(default_factory=list)

    @property
    def load(self) -> Load:
        """The load, once it was played."""
        [load] = self._load
        return load

    @load.setter
    def load(self, load: Load) -> None:
        self._load = [load]


def _nothing(scene: Scene) -> None:
    """No preparation."""


@dataclass(frozen=True, slots=True)
class Side:
    """``prepare``: before the load; raises Unavailable if the side cannot be had, RuntimeError if it does not work with
    this server. ``run``: one run in a folder of its own.

    ``does``: what it makes of a change. ``tells_changes``: its records are the row changes; ``counts``: it finds the
    end of the load by itself, and others are told its count.
    """

    name: str
    does: str
    run: Callable[[Scene, Path], Taken]
    prepare: Callable[[Scene], None] = _nothing
    tells_changes: bool = False
    counts: bool = False


# --------------------------------------------------------------------------------------------- Debezium


def _prepare_debezium(scene: Scene) -> None:
    """Let the engine take its snapshot of the empty tables' definitions, so that a run only has to go on from there."""
    command = debezium_command()
    scene.server.create_user(USER, PASSWORD, GRANTS)
    folder = scene.folder / "debezium"
    folder.mkdir()
    settings = _engine_settings(scene, folder, *TABLES, _KNOCKS)
    scene.server.run(f"CREATE TABLE {_KNOCKS} (id INT PRIMARY KEY AUTO_INCREMENT)", database=DATABASE)
    # The engine keeps its position with a record, so it has to see a change behind its snapshot. A run does not read
    # the table of these changes, so it does not matter how many there are.
    is_seen = threading.Event()
    knocking = threading.Thread(target=_knock, args=(scene.server, is_seen), daemon=True)
    knocking.start()
    try:
        run_that_tells([*command, str(settings), "1"], folder)
    finally:
        is_seen.set()
        knocking.join()


def _knock(server: Server, is_seen: threading.Event) -> None:
    while not is_seen.wait(_KNOCK_S):
        server.run(f"INSERT INTO {_KNOCKS} VALUES ()", database=DATABASE)


def _engine_settings(scene: Scene, folder: Path, *tables: str) -> Path:
    server = scene.server
    held = {
        "name": _PREFIX,
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": folder / "offsets",
        "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
        "schema.history.internal.file.filename": folder / "history",
        "schema.history.internal.store.only.captured.tables.ddl": "true",
        "database.hostname": server.host,
        "database.port": server.port,
        "database.user": USER,
        "database.password": PASSWORD,
        "database.server.id": server.server_id + 50_000_000,
        "database.include.list": DATABASE,
        "table.include.list": ",".join(f"{DATABASE}.{table}" for table in tables),
        "topic.prefix": _PREFIX,
        "snapshot.mode": "no_data",
        "converter.schemas.enable": "false",
    }
    path = folder / "engine.properties"
    path.write_text("".join(f"{name}={value}\n" for name, value in held.items()).replace("\\", "\\\\"))
    return path


def _debezium(scene: Scene, folder: Path) -> Taken:
    for name in ("offsets", "history"):
        shutil.copy(scene.folder / "debezium" / name, folder / name)
    return run_that_tells(
        [*debezium_command(), str(_engine_settings(scene, folder, *TABLES)), str(scene.wanted)], folder
    )


# ------------------------------------------------------------------------------------- the other readers


def _prepare_canal(scene: Scene) -> None:
    canal_command()


def _canal(scene: Scene, folder: Path) -> Taken:
    server = scene.server
    arguments = [f"{server.host}:{server.port}", DATABASE, scene.load.file, scene.wanted, ",".join(TABLES)]
    return run_that_tells([*canal_command(), *map(str, arguments), server.flavor], folder)


def _library(scene: Scene, folder: Path) -> Taken:
    module = [sys.executable, "-m", "tests.benchmarks.peers.library", str(scene.server.port), scene.load.file]
    return run_that_tells(module, folder, os.environ | {"PYTHONPATH": str(_ROOT)})


def _prepare_text(scene: Scene) -> None:
    mariadb_programs()


def _prepare_text_live(scene: Scene) -> None:
    # The program refuses servers that it does not know.
    run_silent([*_remote_text(scene), scene.server.log_position()[0]], scene.folder)


def _text(scene: Scene, folder: Path) -> Taken:
    return run_silent([*_remote_text(scene), *(path.name for path in scene.load.files)], folder)


def _remote_text(scene: Scene) -> list[str]:
    server = scene.server
    login = ["-R", "-h", server.host, "-P", str(server.port), "-u", "root", "--skip-ssl"]
    return [str(mariadb_programs()["mariadb-binlog"]), "-v", *login]


def _text_files(scene: Scene, folder: Path) -> Taken:
    return run_silent([str(mariadb_programs()["mariadb-binlog"]), "-v", *map(str, scene.files)], folder)


# --------------------------------------------------------------------------------------------- the daemon


def _prepare_daemon(scene: Scene) -> None:
    """First loads of the shop, one for each round: a run then goes on from its state.

    One state is not copied for the rounds: the daemon would notice it, and send everything again.
    """
    _compile()
    server = scene.server
    source = f'host = "{server.host}"\nport = {server.port}\nuser = "root"\ndatabase = "{DATABASE}"'
    for _ in range(scene.rounds):
        folder = scene.folder / f"daemon-{len(scene.states)}"
        folder.mkdir()
        _whole_run(folder, source)
        (folder / _MESSAGES).unlink()
        scene.states.append(folder)


def _compile() -> None:
    """Bytecode beside the modules, as pip and the image install them: an editable installation has none at first."""
    for package in ("cdc", "mappers", "sinks"):
        compileall.compile_dir(_ROOT / package, quiet=1)


def _daemon(scene: Scene, folder: Path) -> Taken:
    return _whole_run(scene.states.pop())


def _daemon_two(scene: Scene, folder: Path) -> Taken:
    """As ``_daemon``, with ``source.decode_in = "process"``."""
    return _whole_run(scene.states.pop(), decode_in="process")


def _daemon_files(scene: Scene, folder: Path) -> Taken:
    _compile()
    names = ", ".join(f'"{path}"' for path in scene.files)
    return _whole_run(folder, f'kind = "files"\nfiles = [{names}]\ndatabase = "{DATABASE}"')


def _whole_run(folder: Path, source: str = "", *, decode_in: str = "thread") -> Taken:
    """The installed command with default settings, until everything is accepted. It fails if a message is not.

    ``source``: the settings of where changes come from; without it the folder has its settings.
    """
    settings = folder / "magento-cdc.toml"
    if source:
        text = f'[source]\n{source}\n[sink]\nkind = "jsonl"\npath = "{_MESSAGES}"\n[web]\nport = 0\n'
        settings.write_text(text, encoding="utf-8")
    command = [str(COMMAND), "run", "--until-end", "--set", f"source.decode_in={decode_in}"]
    return run_that_writes(command, folder, folder / _MESSAGES, free_environment())


LIVE: Final = (
    Side(LIBRARY, "decodes", _library, tells_changes=True, counts=True),
    Side(DEBEZIUM, "decodes, gives JSON", _debezium, _prepare_debezium, tells_changes=True),
    Side(DAEMON, "decodes, renders objects, sends what differs", _daemon, _prepare_daemon),
    Side(DAEMON_TWO, "the same, decoding in a process of its own", _daemon_two, _prepare_daemon),
    Side(CANAL, "decodes, gives JSON", _canal, _prepare_canal, tells_changes=True),
    Side(TEXT, "decodes, gives text", _text, _prepare_text_live),
)
"""In the order of the first round."""

FILES: Final = (
    Side(DAEMON_FILES, "decodes, renders objects, sends what differs", _daemon_files),
    Side(TEXT_FILES, "decodes, gives text", _text_files, _prepare_text),
)
