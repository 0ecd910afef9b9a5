"""A live source read in a thread of its own, as the daemon does: ``with Follower(settings, tables, start) as log``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from cdc.model import Position, TableSpec, Transaction
from cdc.settings.source import SourceSettings
from cdc.source.binlog import BinlogSource

WAIT_S = 30.0


class Follower:
    """Reads until left; ``transactions`` grows meanwhile. What ends the reading for good is in ``failure``."""

    def __init__(self, settings: SourceSettings, tables: Sequence[TableSpec], start: Position) -> None:
        self.stop = threading.Event()
        self.states: list[tuple[str, dict[str, object]]] = []
        self.source = BinlogSource(settings, tables, stop=self.stop, on_state=self._on_state)
        self.transactions: list[Transaction] = []
        self.failure: BaseException | None = None
        self._start = start
        self._news = threading.Condition()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.source.close()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive(), "the reader does not end"

    def wait(self, what: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
        """Wait until ``what`` is true; its value. Raises what ended the reading."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while not (found := what()):
                if self.failure is not None:
                    raise self.failure
                if not self._news.wait(min(1.0, max(0.0, deadline - time.monotonic()))) and time.monotonic() > deadline:
                    raise AssertionError(f"not within {timeout_s} s; ids {self.ids}, states {self.states}")
        return found

    def wait_for_ids(self, expected: Sequence[int]) -> None:
        """Wait until as many rows came, and compare."""
        self.wait(lambda: len(self.ids) >= len(expected))
        assert self.ids == list(expected)

    def wait_for_state(self, name: str, times: int = 1) -> dict[str, object]:
        """Wait until the source has said ``name`` so often; the details of the last time."""
        self.wait(lambda: [said for said, _ in self.states].count(name) >= times)
        return [details for said, details in self.states if said == name][-1]

    @property
    def ids(self) -> list[object]:
        """The first cell of each row inserted, in order."""
        return [change.after[0] for read in self.transactions for change in read.changes if change.after is not None]

    @property
    def last(self) -> Position:
        return self.transactions[-1].end if self.transactions else self._start

    def _on_state(self, name: str, details: Mapping[str, object]) -> None:
        with self._news:
            self.states.append((name, dict(details)))
            self._news.notify_all()

    def _run(self) -> None:
        try:
            for transaction in self.source.transactions(self._start):
                with self._news:
                    self.transactions.append(transaction)
                    self._news.notify_all()
        except BaseException as error:  # noqa: BLE001  # the thread's top
            self.failure = error
        finally:
            with self._news:
                self._news.notify_all()
