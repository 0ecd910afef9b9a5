"""A shop's customers at work: a small order every tenth of a second, each followed until the sink's file has its line.

with LiveOrders(server, database, out, buyer=1, product=1) as live:
    ...
    live.phase = "load"          # what is measured from here on belongs to this phase
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from tests.kit.servers import Server

EVERY_S: Final = 0.1
LOOK_S: Final = 0.002
FIRST: Final = 900_000_000
"""Ids of the live orders and lines: no other order has them, so their lines are found in the file at a glance."""

_LINE: Final = re.compile(rb'"external_id":"[\w-]*-item-(9\d{8})"')
_ORDER: Final = (
    "INSERT INTO sales_order (entity_id, increment_id, store_id, state, status, customer_id, customer_is_guest,"
    " customer_email, grand_total) VALUES (%s, %s, 1, 'new', 'pending', %s, 0, 'buyer@example.com', '9.90')"
)
_ITEM: Final = (
    "INSERT INTO sales_order_item (item_id, order_id, product_id, product_type, sku, name, qty_ordered, price,"
    " row_total) VALUES (%s, %s, %s, 'simple', 'L', 'A mug', 1, '9.90', '9.90')"
)
_LONGEST: Final = 64
"""Bytes of the end of what was read that are looked at again, as a line may have been half written."""


class LiveOrders:
    """Commits orders and looks for their line items in the file of the jsonl sink, in two threads.

    ``writes_ms``: phase → how long each transaction took, from BEGIN to COMMIT's return. ``latencies_ms``: phase → how
    long after COMMIT's return the line item was in the file. An order belongs to the phase in which it was placed.
    """

    def __init__(self, server: Server, database: str, out: Path, *, buyer: int, product: int) -> None:
        self.phase = ""
        self.writes_ms: dict[str, list[float]] = defaultdict(list)
        self.latencies_ms: dict[str, list[float]] = defaultdict(list)
        self.failure: BaseException | None = None
        self._server, self._database, self._out = server, database, out
        self._buyer, self._product = buyer, product
        self._waiting: dict[int, tuple[str, float]] = {}
        self._early: set[int] = set()
        self._arrived: set[int] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), daemon=True) for work in (self._write, self._follow)
        ]
        self.is_followed = False
        """Whether a daemon runs that should bring the orders."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    @property
    def waiting(self) -> int:
        """Orders whose line is not in the file yet."""
        return len(self._waiting)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # the thread's top: the measurement must not go on without it
            self.failure = error

    def _write(self) -> None:
        number, due_s = FIRST, time.monotonic()
        with contextlib.closing(self._server.connect(database=self._database, autocommit=False)) as connection:
            while not self._ending.wait(max(0.0, due_s - time.monotonic())):
                # A slow commit is not followed by a burst: shops' customers do not queue up like that.
                due_s = max(due_s + EVERY_S, time.monotonic())
                number += 1
                phase, is_followed, began_s = self.phase, self.is_followed, time.perf_counter()
                with connection.cursor() as cursor:
                    cursor.execute(_ORDER, (number, f"9{number}", self._buyer))
                    cursor.execute(_ITEM, (number, number, self._product))
                connection.commit()
                now_s = time.perf_counter()
                self.writes_ms[phase].append((now_s - began_s) * 1000)
                if is_followed:
                    self._note_placed(number, phase, now_s)

    def _note_placed(self, number: int, phase: str, now_s: float) -> None:
        with self._lock:
            # The line may be in the file before this thread goes on behind COMMIT.
            if number in self._early:
                self._early.remove(number)
                self.latencies_ms[phase].append(0.0)
            else:
                self._waiting[number] = (phase, now_s)

    def _note_arrived(self, number: int, now_s: float) -> None:
        with self._lock:
            placed = self._waiting.pop(number, None)
            if placed is not None:
                self.latencies_ms[placed[0]].append((now_s - placed[1]) * 1000)
            elif number not in self._arrived:
                self._early.add(number)
            self._arrived.add(number)

    def _follow(self) -> None:
        while not self._out.exists():
            if self._ending.wait(LOOK_S):
                return
        rest = b""
        with self._out.open("rb") as file:
            while not self._ending.is_set():
                piece = file.read(1 << 20)
                if not piece:
                    time.sleep(LOOK_S)
                    continue
                now_s, text = time.perf_counter(), rest + piece
                for found in _LINE.finditer(text):
                    self._note_arrived(int(found[1]), now_s)
                rest = text[-_LONGEST:]


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies; 0 without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
