"""One line of the benchmarks' table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured. ``target``: what we want to reach, in words; ``note``: what else has to be known."""

    what: str
    value: float
    unit: str
    target: str = ""
    note: str = ""

    TITLES: ClassVar[tuple[str, ...]] = ("what", "measured", "target", "note")

    def cells(self) -> tuple[str, ...]:
        """The line as text."""
        digits = 0 if isinstance(self.value, int) or abs(self.value) >= 100 else 1 if abs(self.value) >= 10 else 3
        return self.what, f"{self.value:,.{digits}f} {self.unit}".strip(), self.target, self.note
