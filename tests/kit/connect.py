"""Kafka Connect with Debezium's own MySQL connector, in a process of its own: fills real topics from a real server.

    connector = RealDebezium(broker, server, database, folder, prefix="shop", tables=["sales_order"])
    connector.prepare()
    connector.start()

What it has read so far lies in ``folder``, so a later start goes on there; ``forget`` makes a new connector of it,
which takes its snapshot again.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.kit.broker import JAVA, Broker, watch
from tests.kit.install import debezium_jars
from tests.kit.servers import Server

USER, PASSWORD = "debezium", "a connector's secret"
GRANTS = ("SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.*",)
SIGNALS = "debezium_signal"
_STOP_S = 30.0


class RealDebezium:
    """One standalone worker with one connector. ``worker`` and ``connector``: settings over the kit's own, in Connect's
    and Debezium's words. Topics are named ``<prefix>.<database>.<table>``.
    """

    def __init__(
        self,
        broker: Broker,
        server: Server,
        database: str,
        folder: Path,
        *,
        prefix: str,
        tables: Sequence[str],
        worker: Mapping[str, str] | None = None,
        connector: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._server, self._database = server, database
        converter = "org.apache.kafka.connect.json.JsonConverter"
        self._worker = {
            "bootstrap.servers": broker.bootstrap,
            "key.converter": converter,
            "value.converter": converter,
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
            "offset.storage.file.filename": str(folder / "offsets"),
            "offset.flush.interval.ms": "500",
            "plugin.discovery": "only_scan",
            **(worker or {}),
        }
        history = "io.debezium.storage.file.history.FileSchemaHistory"
        self._connector = {
            "name": prefix,
            "connector.class": "io.debezium.connector.mysql.MySqlConnector",
            "tasks.max": "1",
            "database.hostname": server.host,
            "database.port": str(server.port),
            "database.user": USER,
            "database.password": PASSWORD,
            "database.server.id": str(server.server_id + 50_000_000),
            "database.include.list": database,
            "table.include.list": ",".join(f"{database}.{table}" for table in (*tables, SIGNALS)),
            "topic.prefix": prefix,
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "1",
            "topic.creation.default.cleanup.policy": "compact",
            "snapshot.mode": "initial",
            "signal.data.collection": f"{database}.{SIGNALS}",
            "incremental.snapshot.chunk.size": "20",
            "schema.history.internal": history,
            "schema.history.internal.file.filename": str(folder / "history"),
            "poll.interval.ms": "50",
            **(connector or {}),
        }

    def prepare(self) -> None:
        """Make the connector's account and the table by which it takes signals."""
        self._server.create_user(USER, PASSWORD, [*GRANTS, f"INSERT, UPDATE, DELETE ON `{self._database}`.*"])
        self._execute(f"CREATE TABLE {SIGNALS} (id VARCHAR(42) PRIMARY KEY, type VARCHAR(32), data VARCHAR(2048))")

    def snapshot_again(self, number: int, tables: Sequence[str]) -> None:
        """Ask for an incremental snapshot of these tables, beside the changes; ``number``: another one each time."""
        names = ", ".join(f'"{self._database}.{table}"' for table in tables)
        data = f'{{"data-collections": [{names}], "type": "incremental"}}'
        self._execute(f"INSERT INTO {SIGNALS} VALUES ('ad-hoc-{number}', 'execute-snapshot', '{data}')")

    def _execute(self, statement: str) -> None:
        connection = self._server.connect(database=self._database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            connection.commit()
        finally:
            connection.close()

    def start(self) -> None:
        """Start the worker; topics fill in some seconds. Raises Unavailable."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        files = []
        worker = {**self._worker, "listeners": f"http://127.0.0.1:{port}"}
        for name, held in (("worker", worker), ("connector", self._connector)):
            path = self.folder / f"{name}.properties"
            path.write_text("".join(f"{key}={value}\n" for key, value in held.items()).replace("\\", "\\\\"))
            files.append(str(path))
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                [
                    *JAVA, "-cp", f"{debezium_jars()}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                    "org.apache.kafka.connect.cli.ConnectStandalone", *files,
                ],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        self._watchdog = watch(self._process.pid, self.folder / "nothing")

    def stop(self) -> None:
        """SIGTERM: offsets are kept up to the last record."""
        self._end(kill=False)

    def kill(self) -> None:
        """``kill -9``: what was written since offsets were kept last is repeated at the next start."""
        self._end(kill=True)

    def forget(self) -> None:
        """Make the next start that of a new connector."""
        for name in ("offsets", "history"):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def said(self) -> str:
        """The end of the worker's log."""
        return "\n".join((self.folder / "said").read_text(errors="replace").splitlines()[-30:])

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if self._watchdog:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        if process is None:
            return
        if process.poll() is None:
            process.kill() if kill else process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
