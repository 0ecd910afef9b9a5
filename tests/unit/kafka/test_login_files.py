"""Kafka's password and certificates come from files that an operator replaces while the daemon runs."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from cryptography import x509

from cdc.errors import ConfigError
from cdc.kafka.connect import ClientArguments, client_arguments
from cdc.settings.config import load
from tests.kit.certs import Authority


def arguments(**kafka: Any) -> ClientArguments:
    """The clients' arguments of a login by PLAIN."""
    return client_arguments(load(None, {"kafka": {"user": "relay", "sasl_mechanism": "PLAIN", **kafka}}).kafka)


@asynccontextmanager
async def consumer_of(made: ClientArguments) -> AsyncIterator[AIOKafkaConsumer]:
    """A client that has not connected yet."""
    consumer = AIOKafkaConsumer(**made)
    try:
        yield consumer
    finally:
        await consumer.stop()


def password_of(consumer: AIOKafkaConsumer) -> str:
    """The password of the consumer's next connection."""
    return str(consumer._client._sasl_plain_password)


async def test_a_new_client_gets_the_password_of_the_file(tmp_path: Path) -> None:
    """Each use of the arguments reads the file again; while it is missing, the password of the start counts."""
    path = tmp_path / "password"
    path.write_text("invented-first\n")
    made = arguments(protocol="sasl_plaintext", password_file=str(path))
    assert dict(made)["sasl_plain_password"] == "invented-first"

    path.write_text("invented-second\n")
    assert dict(made)["sasl_plain_password"] == "invented-second"

    path.unlink()
    assert dict(made)["sasl_plain_password"] == "invented-first"


async def test_a_running_client_gets_the_new_password(tmp_path: Path) -> None:
    """``renew`` changes the password of the client's next connections, and clients that are not there are passed by."""
    path = tmp_path / "password"
    path.write_text("invented-first")
    made = arguments(protocol="sasl_plaintext", password_file=str(path))
    async with consumer_of(made) as consumer:
        assert password_of(consumer) == "invented-first"

        path.write_text("invented-second")
        made.renew(consumer, None)

        assert password_of(consumer) == "invented-second"


async def test_an_unknown_client_is_refused(tmp_path: Path) -> None:
    """A release of aiokafka that keeps the password elsewhere is an error, not a rotation without effect."""
    path = tmp_path / "password"
    path.write_text("invented-first")
    made = arguments(protocol="sasl_plaintext", password_file=str(path))
    async with consumer_of(made) as consumer:
        del consumer._client._sasl_plain_password

        with pytest.raises(TypeError, match="release of aiokafka is not known"):
            made.renew(consumer)


async def test_without_a_login_nothing_is_renewed() -> None:
    """A cluster without a login has neither password nor certificates."""
    made = client_arguments(load(None, {}).kafka)
    async with consumer_of(made) as consumer:
        made.renew(consumer)
    assert not [name for name in made if name.startswith(("sasl", "ssl"))]


class _Tls:
    """A broker's end that asks for a certificate, and our arguments with the files of a client's certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = Authority(folder, "brokers-ca")
        self.cert, self.key = folder / "client.pem", folder / "client.key"
        self.put("first")
        tls = {"ca": str(self.authority.ca), "cert": str(self.cert), "key": str(self.key)}
        self.arguments = client_arguments(load(None, {"kafka": {"protocol": "ssl", "tls": tls}}).kafka)

    def put(self, name: str, *, with_key: bool = True) -> None:
        """Replace the client's files by those of a certificate for ``name``."""
        certificate, key = self.authority.sign(name)
        shutil.copy(certificate, self.cert)
        if with_key:
            shutil.copy(key, self.key)

    async def shown(self) -> str:
        """The name in the certificate that a new connection with the arguments' context shows."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.authority.ca))
        context.load_cert_chain(*self.authority.sign("localhost"))
        context.verify_mode = ssl.CERT_REQUIRED
        seen: asyncio.Queue[bytes] = asyncio.Queue()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.put(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.arguments["ssl_context"], server_hostname="localhost"
        )
        subject = x509.load_der_x509_certificate(await seen.get()).subject.rfc4514_string()
        writer.close()
        server.close()
        return subject


async def test_a_new_certificate_is_shown_by_the_next_connection(tmp_path: Path) -> None:
    """The context of running clients takes the replaced files, so that no client has to be made anew."""
    tls = _Tls(tmp_path)
    held = tls.arguments["ssl_context"]
    assert await tls.shown() == "CN=first"

    tls.put("second")

    assert await tls.shown() == "CN=second"
    assert tls.arguments["ssl_context"] is held


async def test_a_certificate_without_its_key_changes_nothing(tmp_path: Path) -> None:
    """While only one of the two files is replaced, the pair of before counts; with the second file the new pair."""
    tls = _Tls(tmp_path)

    tls.put("second", with_key=False)
    assert await tls.shown() == "CN=first"

    tls.put("third")
    assert await tls.shown() == "CN=third"


def test_files_that_cannot_be_loaded_at_the_start_are_refused(tmp_path: Path) -> None:
    """At the start there is no pair of before: the error names the setting."""
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"kafka\.tls"):
        client_arguments(load(None, {"kafka": {"protocol": "ssl", "tls": {"ca": str(tmp_path / "ca.pem")}}}).kafka)
