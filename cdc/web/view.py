"""What the web pages ask of the daemon. The daemon implements it; tests use a plain one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


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

    def operations(self) -> Operations | None:
        """What the page may ask of the state; None while the state is not open, and for a relay."""
        ...


class Operations(Protocol):
    """What the page asks of the state, and what it changes there. All raise CdcError with a sentence for people."""

    async def waiting(self) -> dict[str, Any]:
        """The newest dead letters, held deletions and waiting messages, each list with its total."""
        ...

    async def find(self, text: str) -> list[dict[str, Any]]:
        """The traces of the objects that a text names."""
        ...

    async def retry(self, names: Sequence[str], reason: str | None) -> int:
        """Send the objects of dead letters again: those with these ids, or all with a reason. How many."""
        ...

    async def release(self, kind: str, count: int) -> int:
        """Release the held deletions of a type ("": all), if exactly ``count`` are held. How many."""
        ...
