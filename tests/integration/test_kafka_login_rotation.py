"""A broker that asks for another password and another certificate: running clients log in with the replaced files."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from cdc.kafka.connect import client_arguments, refusal
from cdc.kafka.record import KafkaRecord
from cdc.relay.topic import Topic
from cdc.relay.writer import Writer
from cdc.settings.config import load
from cdc.settings.kafka import KafkaSettings
from cdc.source.kafka import KafkaSource
from tests.kit.broker import PASSWORD, USER, Broker, Listener
from tests.kit.certs import Authority

LISTENER = f"listener.name.{Listener.SASL_SSL.lower()}"
ROTATED = "another secret of the broker"


class _Login:
    """The operator's files, and a broker that asks for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first, self.second = Authority(folder, "first-ca"), Authority(folder, "second-ca")
        self.broker = Broker(authority=self.first)
        self.ask_for(PASSWORD, self.first)
        self.put(PASSWORD, self.first)

    def put(self, password: str, authority: Authority) -> None:
        """Replace the password's and the certificate's files."""
        (self.folder / "password").write_text(password)
        certificate, key = authority.sign("client")
        shutil.copy(certificate, self.folder / "cert.pem")
        shutil.copy(key, self.folder / "key.pem")

    def ask_for(self, password: str, authority: Authority) -> None:
        """The broker's next start takes this password, and certificates of this authority alone."""
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        self.broker.options |= {
            f"{LISTENER}.plain.sasl.jaas.config": f'{module} user_{USER}="{password}";',
            f"{LISTENER}.ssl.client.auth": "required",
            f"{LISTENER}.ssl.truststore.type": "PEM",
            f"{LISTENER}.ssl.truststore.location": str(authority.ca),
        }

    def settings(self) -> KafkaSettings:
        """[kafka] with these files."""
        tls = {
            "ca": str(self.first.ca),
            "cert": str(self.folder / "cert.pem"),
            "key": str(self.folder / "key.pem"),
        }
        kafka = {
            "brokers": [self.broker.address(Listener.SASL_SSL)], "protocol": "sasl_ssl", "sasl_mechanism": "PLAIN",
            "user": USER, "password_file": str(self.folder / "password"), "tls": tls, "prefix": "rotated",
            "request_timeout_s": 5,
        }  # fmt: skip
        return load(None, {"kafka": kafka}).kafka


async def test_running_clients_log_in_with_the_replaced_files(tmp_path: Path) -> None:
    """A member's consumer and the relay's producer are refused, and go on once the files are replaced: the same
    clients, without a restart.
    """
    login = _Login(tmp_path)
    with login.broker as broker:
        settings = login.settings()
        connect = client_arguments(settings)
        topic, writer = Topic(settings, connect), Writer(settings, connect)
        await topic.ensure()
        await writer.open()
        await writer.write([KafkaRecord(b"t/1", b"one", (), 0)])
        source = KafkaSource(
            [topic.name], client_arguments(settings), asyncio.get_running_loop(), stop=threading.Event(),
            on_state=lambda *_: None,
        )  # fmt: skip
        await asyncio.to_thread(source.open)
        consumer = source._consumer
        assert isinstance(consumer, AIOKafkaConsumer)
        try:
            source._read = {source.partitions[0]: 0}
            await source._seek()
            assert await next_values(source) == [b"one"]
            login.ask_for(ROTATED, login.second)
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            assert await answer(connect) is not None

            login.put(ROTATED, login.second)
            assert await answer(connect) is None
            writer.renew_login()
            await writer.write([KafkaRecord(b"t/2", b"two", (), 0)])

            assert await next_values(source) == [b"two"]
            assert id(source._consumer) == id(consumer)
        finally:
            await writer.close()
            await consumer.stop()
            source.close()


async def answer(connect: Mapping[str, Any]) -> Exception | None:
    """``refusal``, once the broker listens: a broker that starts again needs a moment before it opens its port."""
    async with asyncio.timeout(30):
        while isinstance(why := await refusal(connect), ConnectionRefusedError):  # noqa: ASYNC110  # another process opens it
            await asyncio.sleep(0.1)
    return why


async def next_values(source: KafkaSource) -> list[bytes]:
    """The values of the next records that the source's own consumer fetches."""
    async with asyncio.timeout(60):
        while True:
            for records in (await asyncio.to_thread(source._fetched)).values():
                source._read = {source.partitions[0]: records[-1].offset + 1}
                return [record.value for record in records]
