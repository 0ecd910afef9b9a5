"""Every error that this project raises on purpose. The caller acts on the kind of the error.

CdcError                      one or two sentences, with a hint what to do next
├── ConfigError               exit 2: the settings are wrong; all faults at once
├── SetupError                exit 2: server, grants, log settings, tables or state folder do not allow a start
├── PositionLostError         exit 3: the log no longer holds the position that is needed
├── SourceStoppedError        exit 1: the log holds something that must not be skipped (never retried)
│   ├── LogFormatError            bytes that are not a valid log
│   └── UnsupportedEventError     an event we know we cannot apply
├── SourceDisconnectedError   the source reconnects with back-off
├── StateError                exit 1: the state file cannot be written or is damaged
├── RenderError               dead-letters one object
└── SinkError                 delivery decides (cdc/delivery/verdict.py)
    ├── SendingStoppedError       nothing was sent: another member leads, or delivery closes
    ├── SinkUnavailableError      nothing was accepted; retry after ``retry_after_s`` or with back-off
    ├── OutcomeUnknownError       a time-out or lost connection: the request may have been accepted
    ├── SinkThrottledError        429: every lane waits
    ├── SinkUnauthorizedError     401/403: sending stops, everything else goes on
    ├── SinkSwitchedOffError      404/410: the API does not exist; or the account refuses everything
    └── BatchRefusedError         400 and the like: at least one message is bad

Leaf of the import graph: standard library only. Messages name files, tables, columns, objects and settings; never
row values, keys or tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_RETRY_AFTER_S: Final = 900.0
"""The longest silence that a receiver can ask for. Every longer wait from outside is shortened here."""


def bounded_wait(seconds: float | None) -> float | None:
    """A wait that a receiver asked for, between 0 and ``MAX_RETRY_AFTER_S``; None if it asked for none."""
    if seconds is None or seconds != seconds:  # NaN is no time
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)


def first_of(error: BaseException) -> BaseException:
    """The first failure inside nested groups: the caller acts on its kind, and one failure is enough to report."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


REPAIR: Final = (
    'set source.on_lost_position = "repair": all tables are read again, and what differs is sent, deletions included'
    " (do not remove the state folder: only the state knows what was sent, and without it objects that the shop deleted"
    " in the meantime stay in HubSpot)"
)
"""The first advice about a lost position."""


class CdcError(Exception):
    """A fault that this project found. ``hint`` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ConfigError(CdcError):
    """The settings are wrong. ``faults``: one line each, with name and value."""

    exit_code = 2

    def __init__(self, faults: Sequence[str], *, source: str = "settings") -> None:
        self.faults = tuple(faults)
        lines = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(
            f"{source}: {self.faults[0]}" if len(self.faults) == 1 else f"{source}: {len(self.faults)} faults{lines}"
        )


class SetupError(CdcError):
    """The server, the grants, the log's settings, a table or the state folder do not allow a start."""

    exit_code = 2


class LoginRefusedError(SetupError):
    """The server refuses user or password. At the start the setting is wrong; later the password may be about to be
    replaced.
    """


class PositionLostError(CdcError):
    """The log no longer holds the position that is needed, or it is another server's log."""

    exit_code = 3


class SourceStoppedError(CdcError):
    """The log holds an event that must not be skipped. ``position`` is ``file:offset`` of the event."""

    def __init__(self, message: str, *, position: str = "", hint: str = "") -> None:
        super().__init__(f"{message} at {position}" if position else message, hint=hint)
        self.position = position


class LogFormatError(SourceStoppedError):
    """Bytes that are not a valid log: a bad checksum, a length that does not fit, an unknown type."""


class UnsupportedEventError(SourceStoppedError):
    """A known event that cannot be applied without losing or inventing changes."""


class SourceDisconnectedError(CdcError):
    """The connection to the server ended. ``errno``: MySQL's error number, if there is one."""

    def __init__(self, message: str, *, errno: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


class StateError(CdcError):
    """The local state cannot be read or written."""


class RenderError(CdcError):
    """One object cannot be rendered from the replica's rows. It becomes a dead letter with this reason."""


class SinkError(CdcError):
    """A request to the sink ended without receipts."""


class SendingStoppedError(SinkError):
    """No permit for the call: this process may not send (any more). Nothing was sent, and the receiver is not at fault.

    Only ``Requests.permit`` raises it.
    """


class SinkUnavailableError(SinkError):
    """Nothing was accepted: refused connection, DNS, TLS, 5xx, 423, 477."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = bounded_wait(retry_after_s)


class OutcomeUnknownError(SinkError):
    """The request was sent and no answer came: it may have been accepted, now or later."""


class SinkThrottledError(SinkError):
    """429. ``policy`` is HubSpot's policyName (``SECONDLY``, ``TEN_SECONDLY_ROLLING``, ``DAILY``).

    ``time_zone``: the account's time zone, an IANA name; its daily limit ends at midnight there. "" if the sink does
    not know it.
    """

    time_zone = ""

    def __init__(self, message: str, *, retry_after_s: float | None = None, policy: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = bounded_wait(retry_after_s)
        self.policy = policy


class SinkUnauthorizedError(SinkError):
    """401 or 403: the key or token is wrong, or lacks a scope."""


class SinkSwitchedOffError(SinkError):
    """404 or 410: the API does not exist (the bridge was removed on 2023-02-28). Or the account refuses
    every message.
    """


class BatchRefusedError(SinkError):
    """The whole batch was refused because of its content. ``status`` is the HTTP status."""

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
