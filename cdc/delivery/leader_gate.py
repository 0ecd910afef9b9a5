"""Whether this process is the one that sends: always, unless other members share the account
(``cdc/members/leadership.py``)."""

from __future__ import annotations

from typing import Protocol


class LeaderGate(Protocol):
    """Asked in the event loop before every request."""

    @property
    def may_send(self) -> bool:
        """Whether a request may begin now."""
        ...


class Alone:
    """The only one."""

    may_send = True
