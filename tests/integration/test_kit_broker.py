"""The kit's broker is what the tests of both sides take it for."""

from __future__ import annotations

import ssl

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.kit.broker import PASSWORD, USER, Broker, Listener

LOGINS = [
    (listener, mechanism)
    for listener in Listener
    for mechanism in (("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512") if "SASL" in listener else ("",))
]


@pytest.mark.parametrize(("listener", "mechanism"), LOGINS)
async def test_every_listener_takes_a_transaction(kafka: Broker, listener: Listener, mechanism: str) -> None:
    """Plain and TLS, with each kind of login."""
    topic = f"kit.{listener}.{mechanism}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    assert kafka.authority is not None
    trusted = ssl.create_default_context(cafile=str(kafka.authority.ca)) if listener.endswith("SSL") else None
    login = {"sasl_mechanism": mechanism, "sasl_plain_username": USER, "sasl_plain_password": PASSWORD}
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.address(listener),
        security_protocol=listener.value,
        ssl_context=trusted,
        transactional_id=topic,
        **(login if mechanism else {}),
    )
    await producer.start()
    try:
        async with producer.transaction():
            sent = await producer.send_and_wait(topic, key=b"k", value=b"v")
    finally:
        await producer.stop()

    assert sent.offset == 0
