"""The progress of a first load after reading: what was rendered for the first time, and when everything was sent.

It is kept in the state file, so totals, rates and times stay right over restarts. Use inside a store transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cdc.model import ObjectType
from cdc.state.store import Store


class FirstCounts:
    """Objects rendered for the first time since the last ``take``, and the withheld objects among them, by type."""

    def __init__(self) -> None:
        self.rendered: Counter[ObjectType] = Counter()
        self.withheld: Counter[ObjectType] = Counter()

    def take(self) -> tuple[Counter[ObjectType], Counter[ObjectType]]:
        """Both counts; they start again at 0."""
        taken = self.rendered, self.withheld
        self.rendered, self.withheld = Counter(), Counter()
        return taken


class FirstLoad:
    """The record of a state's first load. Call ``reread`` after a transaction was undone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_open = False
        self.reread()

    def reread(self) -> None:
        """Take from the state whether a first load is under way."""
        self.is_open = bool(self.record) and not self.record.get("done_ms")

    @property
    def record(self) -> Mapping[str, Any]:
        """``started_ms``, ``done_ms`` (epoch ms); ``rendered``, ``withheld`` by type; ``plan``; ``calls``; ``seconds``
        while a daemon ran.
        """
        return self._store.meta.first_load

    def begin(self, now_ms: int) -> None:
        """A fresh state starts to load."""
        self._keep({"started_ms": now_ms, "rendered": {}, "withheld": {}})

    def keep_plan(self, plan: Mapping[str, Any]) -> None:
        """Keep the counts that were made on the server before the load."""
        self._keep({**self.record, "plan": plan})

    def count(self, rendered: Counter[ObjectType], withheld: Counter[ObjectType]) -> None:
        """Add objects that were rendered for the first time, and the withheld objects among them."""
        if not self.is_open or not rendered:
            return
        record = self.record
        self._keep({
            **record,
            "rendered": _added(record["rendered"], rendered),
            "withheld": _added(record["withheld"], withheld),
        })  # fmt: skip

    def took_back(self, withheld: Counter[ObjectType]) -> None:
        """Messages were taken back: their objects are withheld after all."""
        record = self.record
        self._keep({**record, "withheld": _added(record["withheld"], withheld)})

    def add(self, calls: int, seconds: float) -> None:
        """Add the calls that were made since the last time, and the seconds that passed while the daemon ran."""
        record = self.record
        self._keep({
            **record,
            "calls": record.get("calls", 0) + calls,
            "seconds": record.get("seconds", 0.0) + seconds,
        })  # fmt: skip

    def finish(self, now_ms: int) -> None:
        """Every message of the first load was sent."""
        self._keep({**self.record, "done_ms": now_ms})

    def _keep(self, record: Mapping[str, Any]) -> None:
        self._store.meta.first_load = record
        self.reread()


def _added(held: Mapping[str, int], more: Counter[ObjectType]) -> dict[str, int]:
    return {
        kind.value: held.get(kind.value, 0) + more[kind] for kind in ObjectType if held.get(kind.value) or more[kind]
    }
