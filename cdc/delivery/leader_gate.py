"""Whether this process may send: always, unless other members share the account (``cdc/members/leadership.py``)."""

from __future__ import annotations

from typing import Protocol


class LeaderGate(Protocol):
    """Called in the event loop before every request."""

    @property
    def may_send(self) -> bool:
        """Whether a request may begin now."""
        ...


class Alone:
    """The gate of a process without other members."""

    may_send = True
