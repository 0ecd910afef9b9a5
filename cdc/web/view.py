"""What the web pages ask of the daemon. The daemon implements it; tests use a plain one."""

from __future__ import annotations

from typing import Protocol


class View(Protocol):
    """Answers at once from what is in memory, in the event loop; never blocks, never asks server, sink or disk."""

    def live(self) -> tuple[bool, list[str]]:
        """Whether the process works at all, and if not, why. False gets the process restarted."""
        ...

    def ready(self) -> tuple[bool, list[str]]:
        """Whether source, state and sink do what they should, and what does not."""
        ...

    def role(self) -> str:
        """What this daemon is among the members of its account: leader, follower, on the way to either, or alone."""
        ...

    def status(self) -> dict[str, object]:
        """Everything worth showing, fit for JSON. No secrets; object ids yes, property values no."""
        ...
