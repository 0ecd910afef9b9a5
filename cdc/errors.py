"""Every error this project raises on purpose; each kind changes what the caller does.

CdcError                      said in one or two sentences, with a hint what to do next
├── ConfigError               exit 2: the settings are wrong; all faults at once
├── SetupError                exit 2: server, grants, log settings, tables or state folder do not allow a start
├── PositionLostError         exit 3: the log no longer holds what we need
├── SourceStoppedError        exit 1: the log holds something that must not be skipped (never retried)
│   ├── LogFormatError            bytes that are no valid log
│   └── UnsupportedEventError     an event we know we cannot apply
├── SourceDisconnectedError   the source reconnects with back-off
├── StateError                exit 1: the state file cannot be written or is damaged
├── RenderError               dead-letters one object
└── SinkError                 delivery decides (cdc/delivery/verdict.py)
    ├── SendingStoppedError       nothing was sent: another member leads, or delivery closes
    ├── SinkUnavailableError      nothing was taken; retry after ``retry_after_s`` or with back-off
    ├── OutcomeUnknownError       a time-out or cut connection: the request may have been taken
    ├── SinkThrottledError        429: every lane waits
    ├── SinkUnauthorizedError     401/403: sending stops, everything else goes on
    ├── SinkSwitchedOffError      404/410: the API is not there; or the account refuses all
    └── BatchRefusedError         400 and the like: at least one message is bad

Leaf of the import graph: standard library only. Messages name files, tables, columns, objects and settings; never
row values, keys or tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_RETRY_AFTER_S: Final = 900.0
"""The longest silence that a receiver can ask for. Every wait that comes from outside is cut to it here, once."""


def bounded_wait(seconds: float | None) -> float | None:
    """A wait that a receiver asked for, between 0 and ``MAX_RETRY_AFTER_S``; None if it asked for none."""
    if seconds is None or seconds != seconds:  # NaN is no time
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)


def first_of(error: BaseException) -> BaseException:
    """The first failure inside nested groups: one is enough to tell, and the caller goes by its kind."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


REPAIR: Final = (
    'set source.on_lost_position = "repair": all tables are read again, and what differs is sent, deletions included'
    " (do not remove the state folder: only the state knows what was sent, and without it objects that the shop deleted"
    " in the meantime stay in HubSpot)"
)
"""What to do about a lost position, first of all."""


class CdcError(Exception):
    """Something this project found wrong. ``hint`` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ConfigError(CdcError):
    """The settings are wrong; ``faults`` holds one line each, with name and value."""

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
    """The server refuses user or password. At the start a wrong setting; later a password that is being replaced."""


class PositionLostError(CdcError):
    """The log no longer holds the position we need, or it is another server's log."""

    exit_code = 3


class SourceStoppedError(CdcError):
    """The log holds something that must not be skipped. ``position`` is ``file:offset`` of the event."""

    def __init__(self, message: str, *, position: str = "", hint: str = "") -> None:
        super().__init__(f"{message} at {position}" if position else message, hint=hint)
        self.position = position


class LogFormatError(SourceStoppedError):
    """Bytes that are no valid log: a bad checksum, a length that does not fit, an unknown type."""


class UnsupportedEventError(SourceStoppedError):
    """An event that we know and cannot apply without losing or inventing changes."""


class SourceDisconnectedError(CdcError):
    """The connection to the server ended; ``errno`` is MySQL's error number where there is one."""

    def __init__(self, message: str, *, errno: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


class StateError(CdcError):
    """The local state cannot be read or written."""


class RenderError(CdcError):
    """One object cannot be rendered from the rows held; it is dead-lettered with this reason."""


class SinkError(CdcError):
    """A request to the sink did not end with receipts."""


class SendingStoppedError(SinkError):
    """No permit for the call: this process may not send (any more). Nothing was sent, and the receiver is not at fault.

    Raised by ``Requests.permit`` alone.
    """


class SinkUnavailableError(SinkError):
    """Nothing was taken: refused connection, DNS, TLS, 5xx, 423, 477."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = bounded_wait(retry_after_s)


class OutcomeUnknownError(SinkError):
    """The request went out and no answer came: it may have been taken, now or later."""


class SinkThrottledError(SinkError):
    """429. ``policy`` is HubSpot's policyName (``SECONDLY``, ``TEN_SECONDLY_ROLLING``, ``DAILY``).

    ``time_zone``: where the account's day ends at midnight, an IANA name; "" if the sink does not know it.
    """

    time_zone = ""

    def __init__(self, message: str, *, retry_after_s: float | None = None, policy: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = bounded_wait(retry_after_s)
        self.policy = policy


class SinkUnauthorizedError(SinkError):
    """401 or 403: the key or token is not good, or lacks a scope."""


class SinkSwitchedOffError(SinkError):
    """404 or 410: the API is not there (the bridge was removed on 2023-02-28). Or the account refuses all."""


class BatchRefusedError(SinkError):
    """The whole batch was refused because of what is in it. ``status`` is the HTTP status."""

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
