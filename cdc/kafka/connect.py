"""The connection settings that all clients of the cluster share."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from cdc.errors import ConfigError, SetupError
from cdc.settings.kafka import KafkaSettings


def client_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments of aiokafka's consumers, producers and admin clients. Raises ConfigError for bad files."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": list(settings.brokers),
        "client_id": "magento-cdc",
        "security_protocol": settings.protocol.upper(),
        "request_timeout_ms": int(settings.request_timeout_s * 1000),
        "metadata_max_age_ms": 30_000,
    }
    if settings.protocol.endswith("ssl"):
        tls = settings.tls
        try:
            context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
            if tls.cert is not None:
                context.load_cert_chain(tls.cert, tls.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"kafka.tls: {error}"]) from None
        arguments["ssl_context"] = context
    if settings.protocol.startswith("sasl"):
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.user,
            "sasl_plain_password": settings.password.get_secret_value(),
        }
    return arguments


async def refusal(connect: Mapping[str, Any]) -> Exception | None:
    """Why the last broker that was asked refuses the connection; None if a broker accepts it.

    aiokafka's clients only report that they found no broker: it may be down, unknown to our CA, or refusing the login.
    """
    brokers = ",".join(connect["bootstrap_servers"])
    names = ("client_id", "request_timeout_ms", "security_protocol", "ssl_context")
    arguments = {name: value for name, value in connect.items() if name in names or name.startswith("sasl_")}
    why: Exception | None = None
    for host, port, _ in collect_hosts(brokers):
        try:
            connection = await create_conn(host, port, **arguments)
        except (KafkaError, OSError, TimeoutError) as error:
            why = error
        else:
            await connection.close()
            return None
    return why


def login_fault(why: Exception | None, connect: Mapping[str, Any]) -> SetupError | None:
    """The fault of our login, if ``why`` is a refused login; it does not pass by itself."""
    if not isinstance(why, SaslAuthenticationFailed | UnsupportedSaslMechanismError):
        return None
    return SetupError(
        f"Kafka refuses the login of {connect.get('sasl_plain_username')!r}: {why!r}",
        hint="mend kafka.user, kafka.password or kafka.password_file, kafka.sasl_mechanism",
    )
