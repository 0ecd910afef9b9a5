"""The connection settings that all clients of the cluster share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from cdc.errors import SetupError
from cdc.kafka.certificates import Certificates
from cdc.log_events import get_logger
from cdc.settings.kafka import KafkaSettings
from cdc.settings.secret_files import fresh

log = get_logger(__name__)

_PASSWORD: Final = "sasl_plain_password"  # noqa: S105  # the name of an argument


class ClientArguments(Mapping[str, Any]):
    """Keyword arguments of aiokafka's consumers, producers and admin clients.

    Password and certificates are read again from their files, so that an operator rotates them by replacing the files:
    each new client gets the present ones, and ``renew`` passes them on to running clients. Use in one thread.

    Raises ConfigError for files that cannot be read at the start.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._fixed: dict[str, Any] = {
            "bootstrap_servers": list(settings.brokers),
            "client_id": "magento-cdc",
            "security_protocol": settings.protocol.upper(),
            "request_timeout_ms": int(settings.request_timeout_s * 1000),
            "metadata_max_age_ms": 30_000,
        }
        self._certificates = Certificates(settings.tls) if settings.protocol.endswith("ssl") else None
        if self._certificates is not None:
            # One context for all clients: what is loaded into it later counts for every new connection.
            self._fixed["ssl_context"] = self._certificates.context
        if settings.protocol.startswith("sasl"):
            self._fixed |= {
                "sasl_mechanism": settings.sasl_mechanism,
                "sasl_plain_username": settings.user,
                _PASSWORD: settings.password.get_secret_value(),
            }

    def __getitem__(self, name: str) -> Any:
        if name == _PASSWORD and name in self._fixed:
            return fresh(self._settings.password, self._settings.password_file)
        if name == "ssl_context" and self._certificates is not None:
            self._certificates.renew()
        return self._fixed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fixed)

    def __len__(self) -> int:
        return len(self._fixed)

    def renew(self, *clients: AIOKafkaConsumer | AIOKafkaProducer | None) -> None:
        """Running clients open their next connections with the files' present password and certificates."""
        if self._certificates is not None:
            self._certificates.renew()
        if _PASSWORD not in self._fixed:
            return
        password = self[_PASSWORD]
        for client in clients:
            if client is None:
                continue
            inner = client.client if isinstance(client, AIOKafkaProducer) else client._client
            # aiokafka keeps the password for each further connection and has no public way to change it. Should it
            # keep the password under another name one day, a rotation must not fail without a word.
            if not hasattr(inner, "_" + _PASSWORD):
                raise TypeError(f"{type(inner).__name__} has no _{_PASSWORD}: this release of aiokafka is not known")
            if getattr(inner, "_" + _PASSWORD) != password:
                setattr(inner, "_" + _PASSWORD, password)
                log.info("kafka_password_renewed", limit="kafka_password")


def client_arguments(settings: KafkaSettings) -> ClientArguments:
    """Keyword arguments of aiokafka's consumers, producers and admin clients. Raises ConfigError for bad files."""
    return ClientArguments(settings)


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
