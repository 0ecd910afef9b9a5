"""The questions that the web pages ask the daemon. The daemon implements the view; tests use a plain one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class View(Protocol):
    """Answers at once from memory, in the event loop. Never blocks, and never asks the server, the sink or the disk."""

    def live(self) -> tuple[bool, list[str]]:
        """Whether the process works at all, and if not, why. If not, the process should be restarted."""
        ...

    def ready(self) -> tuple[bool, list[str]]:
        """Whether source, state and sink work, and the reasons if they do not."""
        ...

    def role(self) -> str:
        """This daemon's role among the members of its account: leader, follower, changing to either, or alone."""
        ...

    def status(self) -> dict[str, object]:
        """All facts worth showing, fit for JSON. No secrets and no property values; object ids are allowed."""
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
        """Send the objects of dead letters again: those with these ids, or all with a reason. Returns how many."""
        ...

    async def release(self, kind: str, count: int) -> int:
        """Release the held deletions of a type ("": all), if exactly ``count`` are held. Returns how many."""
        ...
