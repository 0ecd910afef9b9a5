"""A private Kafka broker (KRaft, one node) on free ports with a log folder of its own.

    with Broker() as kafka:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)

A start takes about four seconds. ``Broker(authority=…)`` listens with TLS and SASL too: see ``Listener``. Compaction
runs within a second of a segment's end (``compacting`` has a topic's settings for it), a transaction's time-out is
looked at every half second, and topics are not made by asking for them. A second small process ends the broker and
removes its folder when our own process dies without doing so.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from tests.kit.certs import Authority
from tests.kit.install import CACHE, kafka_jars, lock

USER, PASSWORD = "relay", "a broker's secret"  # known to PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
_START_S = 90.0
_STOP_S = 30.0
JAVA = ("java", "-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_SERVERS_DIE_WITH_US = 'read -r _; kill -9 "$1" 2>/dev/null; sleep 1; rm -rf "$2"'

compacting: Final[Mapping[str, str]] = {
    "segment.ms": "300",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "500",
}
"""Settings of a topic that is compacted as soon as can be; its last segment stays until something is written."""


class Listener(StrEnum):
    """How a client talks to the broker. TLS ones ask for a client's certificate without insisting on it."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class Broker:
    """One private broker. A context manager; ``start`` and ``stop`` do the same by hand.

    ``options``: broker settings over the kit's own. ``authority``: signs the broker's certificate; without it only
    ``Listener.PLAINTEXT`` is there. Raises Unavailable when the programs cannot be had, RuntimeError when it does not
    start.
    """

    host = "127.0.0.1"

    def __init__(self, options: Mapping[str, str] | None = None, *, authority: Authority | None = None) -> None:
        self.options = dict(options or {})
        self.authority = authority
        self._listeners = tuple(Listener) if authority else (Listener.PLAINTEXT,)
        self._ports: dict[str, int] = {}
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start with an empty log on free ports; later starts keep both."""
        if self._process is not None:
            return
        if not self._ports:
            template = _template()
            self.folder = Path(tempfile.mkdtemp(prefix="kafka-"))
            shutil.copytree(template, self.folder / "data")
            self._ports = _free_ports([*self._listeners, "CONTROLLER"])
        self._launch()

    def stop(self) -> None:
        """Shut down in order. Keeps the log."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``. Keeps the log."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, until ``thaw``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the broker and remove its log."""
        self._end(signal.SIGKILL)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder, self._ports = Path(), {}

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the plain listener, as clients' ``bootstrap_servers`` takes it."""
        return self.address(Listener.PLAINTEXT)

    def address(self, listener: Listener) -> str:
        """``host:port`` of this listener."""
        return f"{self.host}:{self._ports[listener]}"

    # ------------------------------------------------------------------------------------------ inside

    def _properties(self) -> dict[str, str]:
        listeners = ",".join(f"{name}://{self.host}:{port}" for name, port in self._ports.items())
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.host}:{self._ports['CONTROLLER']}",
            "controller.listener.names": "CONTROLLER",
            "listeners": listeners,
            "listener.security.protocol.map": ",".join(
                ["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in self._listeners)]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "broker.session.timeout.ms": "3000",  # a killed broker may register again only after it
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",  # the default, 6 s, would make tests of takeovers slow
            "log.cleaner.backoff.ms": "200",
            "log.cleaner.dedupe.buffer.size": "8388608",  # the default is half our heap
            "log.retention.check.interval.ms": "1000",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            **(self._security(self.authority) if self.authority else {}),
            **self.options,
        }

    def _security(self, authority: Authority) -> dict[str, str]:
        certificate, key = authority.sign("localhost", address=self.host)
        both = self.folder / "broker.pem"
        both.write_bytes(key.read_bytes() + certificate.read_bytes())
        plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        logins = {"plain": plain, "scram-sha-256": scram, "scram-sha-512": scram}
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.ca),
            "ssl.client.auth": "requested",
            "sasl.enabled.mechanisms": ",".join(logins).upper(),
            **{
                f"listener.name.{listener.lower()}.{mechanism}.sasl.jaas.config": login
                for listener in (Listener.SASL_PLAINTEXT, Listener.SASL_SSL)
                for mechanism, login in logins.items()
            },
        }

    def _launch(self) -> None:
        settings = self.folder / "server.properties"
        settings.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        deadline = time.monotonic() + _START_S
        with (self.folder / "said").open("wb") as said:
            self._process = process = subprocess.Popen(
                [*JAVA, "-cp", _classpath(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "kafka.Kafka", settings],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the broker themselves
            )
        self._watchdog = watch(process.pid, self.folder)
        while True:  # a broker opens its ports to clients when it has caught up with its controller
            with contextlib.suppress(OSError), socket.create_connection((self.host, self._ports["PLAINTEXT"]), 2):
                return
            if process.poll() is not None or time.monotonic() > deadline:
                ended = f"ended with {process.returncode}" if process.returncode is not None else "does not answer"
                self._end(signal.SIGKILL)
                tail = "\n".join((self.folder / "said").read_text(errors="replace").splitlines()[-15:])
                raise RuntimeError(f"Kafka {ended}; the end of what it said:\n{tail}")
            time.sleep(0.05)

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


def _classpath() -> str:
    return f"{kafka_jars()}/*"


def _template() -> Path:
    """A formatted log folder with the SCRAM account, made once and kept."""
    folder = CACHE / "datadirs" / f"kafka-{kafka_jars().name}"
    with lock("datadirs"):
        if not folder.exists():
            unfinished = folder.with_name("making-kafka")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            settings = folder.with_suffix(".properties")
            settings.write_text(
                "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n"
                f"controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://:0,CONTROLLER://:1\nlog.dirs={unfinished}\n"
            )
            accounts = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
            command = [*JAVA, "-cp", _classpath(), "kafka.tools.StorageTool", "format", "-t", CLUSTER]
            command += ["-c", str(settings)]
            for account in accounts:
                command += ["--add-scram", account]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if done.returncode:
                raise RuntimeError(f"Kafka's log folder cannot be made: {(done.stderr or done.stdout)[-2000:]}")
            unfinished.rename(folder)
    return folder


def _free_ports(names: list[str]) -> dict[str, int]:
    with contextlib.ExitStack() as held:
        ports = {}
        for name in names:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports[str(name)] = int(probe.getsockname()[1])
        return ports


def watch(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """A process that ends the broker when ours is gone: its input closes with us, however we die."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _SERVERS_DIE_WITH_US, "watchdog", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
