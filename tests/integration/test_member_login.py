"""A member over a secured listener: it reads with the right login, and says what is wrong with another."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cdc.errors import SetupError, SourceDisconnectedError
from cdc.kafka.connect import client_arguments
from cdc.settings.config import load
from cdc.source.kafka import KafkaSource
from tests.kit.broker import PASSWORD, USER, Broker, Listener
from tests.kit.topics import fill, make


def source(broker: Broker, topic: str, folder: Path, password: str = PASSWORD, **more: Any) -> KafkaSource:
    """As a member makes it; must be called in the loop."""
    assert broker.authority is not None
    (folder / "password").write_text(password)
    kafka = {
        "brokers": [broker.address(Listener.SASL_SSL)], "protocol": "sasl_ssl", "sasl_mechanism": "SCRAM-SHA-512",
        "user": USER, "password_file": str(folder / "password"), "tls": {"ca": str(broker.authority.ca)}, **more,
    }  # fmt: skip
    connect = client_arguments(load(None, {"kafka": kafka}).kafka)
    loop = asyncio.get_running_loop()
    return KafkaSource([topic], connect, loop, stop=threading.Event(), on_state=lambda *_: None)


async def test_a_member_logs_in_with_scram_over_tls(kafka: Broker, tmp_path: Path) -> None:
    """Ids, partitions and offsets come over the secured listener: each of its clients logs in."""
    topic = f"secured{uuid4().hex[:8]}"
    await asyncio.to_thread(make, kafka, [topic])
    await asyncio.to_thread(fill, kafka, [(topic, b"k", b"v")])
    opened = source(kafka, topic, tmp_path)

    await asyncio.to_thread(opened.open)
    try:
        ends = await asyncio.to_thread(opened.ends)
        batch = await asyncio.to_thread(opened.beginnings)
    finally:
        consumer = opened._consumer
        opened.close()
        assert consumer is not None
        await consumer.stop()  # close waits for nothing; the loop ends here

    assert opened.ids[topic]
    assert (list(batch.values()), list(ends.values())) == ([0], [1])


async def test_a_wrong_password_ends_the_run_and_is_not_told(kafka: Broker, tmp_path: Path) -> None:
    """The error names user and settings; neither password is in it."""
    refused = source(kafka, "any", tmp_path, "not the password")

    with pytest.raises(SetupError, match=r"refuses the login of 'relay'.*kafka\.password_file") as caught:
        await asyncio.to_thread(refused.open)

    assert "not the password" not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)


async def test_a_certificate_that_is_not_trusted_is_named(kafka: Broker, tmp_path: Path) -> None:
    """Without our CA the reason is the certificate, not just that no broker was found."""
    stranger = source(kafka, "any", tmp_path, tls={})

    with pytest.raises(SourceDisconnectedError, match="certificate verify failed"):
        await asyncio.to_thread(stranger.open)
