"""The certificate files of connections to brokers, read again when they change."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from cdc.errors import ConfigError
from cdc.log_events import get_logger
from cdc.settings.kafka import KafkaTls

log = get_logger(__name__)

_Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class Certificates:
    """One TLS context that takes what its files hold now. Raises ConfigError for files that cannot be loaded.

    A CA that was trusted stays trusted until the next start: a context can only add CAs.
    """

    def __init__(self, tls: KafkaTls) -> None:
        self._tls = tls
        self._seen = _signature(self._files)
        try:
            self.context = _loaded(tls)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"kafka.tls: {error}"]) from None

    @property
    def _files(self) -> Sequence[Path]:
        return [path for path in (self._tls.ca, self._tls.cert, self._tls.key) if path is not None]

    def renew(self) -> None:
        """Load the files again if one of them changed. Files that cannot be loaded change nothing, and are named."""
        found = _signature(self._files)
        if found == self._seen:
            return
        self._seen = found
        try:
            # Tried apart first: a certificate whose key is not there yet would leave the context in use by half.
            _loaded(self._tls)
            _load(self.context, self._tls)
        except (OSError, ssl.SSLError) as error:
            log.warning(
                "kafka_certificates_refused",
                limit="kafka_certificates",
                reason=f"kafka.tls: {error}",
                action="the certificates of before hold until the files change again",
            )
            return
        log.info("kafka_certificates_renewed", limit="kafka_certificates")


def _loaded(tls: KafkaTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _load(context: ssl.SSLContext, tls: KafkaTls) -> None:
    if tls.ca is not None:
        context.load_verify_locations(cafile=str(tls.ca))
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)


def _signature(files: Sequence[Path]) -> _Signature:
    """What tells one content of the files from another. A file that is being replaced may be missing for a moment."""
    found: list[tuple[int, int, int] | None] = []
    for path in files:
        held = None
        with contextlib.suppress(OSError):
            about = path.stat()
            held = (about.st_ino, about.st_size, about.st_mtime_ns)
        found.append(held)
    return tuple(found)
