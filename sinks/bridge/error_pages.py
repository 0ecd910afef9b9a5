"""Reads the bridge's list of sync errors page by page, while the list grows. Pure; no I/O.

The list has the newest error first, and pages are cut by number of record. So while pages are read, new errors push the
rest of the list towards the end: a page may show again what was read, and never skips anything. A descent reads from
the head of the list down to the point that an earlier descent has read. It may take many calls, polls and runs;
``Descent`` is kept between two pages. Only a finished descent moves ``done_ms``, so errors that a descent has not read
are read later.

If a page's number is that of its first record, each page begins within the page before it. If two such pages have
nothing in common, records were removed from the list, and the descent goes back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, NamedTuple

import orjson

PAGE: Final = 200
"""Sync errors on a page: the most that the bridge gives."""

STEP: Final = PAGE - 10
"""How far a page begins behind the page before it."""

LONGEST_STEP: Final = 64 * PAGE
"""So many new errors cannot arrive during one call. A service without new errors at such a step ignores
page numbers.
"""

OVERLAP_MS: Final = 60_000
"""How far a descent goes on behind ``done_ms``: a message's receipt may not have been written at the last poll."""

FUTURE_MS: Final = 60_000
"""How far after our clock an error of our object may be dated and still move ``done_ms``."""

FOREIGN_MS: Final = 600_000
"""How old an error of a foreign object must be to move ``done_ms``: nothing confirms its date."""


class Record(NamedTuple):
    """One error of a page: its time, whether it is about our object, and a hash that tells it from other errors."""

    errored_at: int
    is_ours: bool
    identity: str


@dataclass(frozen=True, slots=True)
class Descent:
    """The state of reading. Times are epoch milliseconds.

    ``done_ms``: all errors up to here have been read. ``top_ms``: the newest error of this descent that counts.
    ``page``: the number of the page to read next; 0: the head of the list. ``step``: how far that page is behind the
    last useful page, which ended at ``edge_ms`` and held ``seen``.
    """

    done_ms: int = 0
    top_ms: int = 0
    page: int = 0
    step: int = STEP
    edge_ms: int = 0
    seen: tuple[str, ...] = ()

    @property
    def from_ms(self) -> int:
        """Errors up to here need not be read."""
        return self.done_ms - OVERLAP_MS


def parse(progress: str) -> Descent:
    """The descent that ``dump`` wrote. A new one for an empty or unknown text: then everything is read again."""
    try:
        held = orjson.loads(progress)
        return Descent(
            done_ms=int(held["done_ms"]),
            top_ms=int(held["top_ms"]),
            page=int(held["page"]),
            step=int(held["step"]),
            edge_ms=int(held["edge_ms"]),
            seen=tuple(str(name) for name in held["seen"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        # Progress that an older version wrote: everything is read once more.
        return Descent()


def dump(descent: Descent) -> str:
    """The descent as text, a few kilobytes at most."""
    return orjson.dumps(
        {
            "done_ms": descent.done_ms,
            "top_ms": descent.top_ms,
            "page": descent.page,
            "step": descent.step,
            "edge_ms": descent.edge_ms,
            "seen": list(descent.seen),
        }
    ).decode()


def identity_of(record: Mapping[str, Any], names: Sequence[str]) -> str:
    """A hash of these members that tells two records apart. It is a hash because members may quote values."""
    text = "\0".join(str(record.get(name)) for name in names)
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def after_page(
    descent: Descent, records: Sequence[Record], following: int | None, now_ms: int, *, are_offsets: bool
) -> tuple[Descent, bool]:
    """The state of reading after the page ``descent.page``, and whether the descent is finished.

    ``following``: the number of the next page, by the answer or its length; None: this was the last page.
    ``are_offsets``: pages are numbered by record, so that a page may begin anywhere.
    """
    descent = replace(descent, top_ms=max(descent.top_ms, _newest_that_counts(records, now_ms)))
    # Records were taken out of the list, so something may have slipped past.
    if descent.page and are_offsets and not (records and _touches(descent, records)):
        return _gone_back(descent), False  # also behind the end of a list that has become shorter
    # What follows was read by an earlier descent.
    if not records or following is None or _reaches(descent, records):
        return Descent(done_ms=max(descent.done_ms, descent.top_ms)), True
    # The page shows only what was seen: the list grew meanwhile.
    if descent.seen and not _has_new(descent, records):
        # A service that ignores page numbers would be asked for ever.
        if descent.step >= LONGEST_STEP:
            return Descent(done_ms=max(descent.done_ms, descent.top_ms)), True
        # the list has grown by a page or more since the last page: look further down
        step = min(descent.step * 2, LONGEST_STEP)
        return replace(descent, page=descent.page + step if are_offsets else following, step=step), False
    seen = tuple(record.identity for record in records)
    edge_ms = min(record.errored_at for record in records)
    page = descent.page + STEP if are_offsets else following
    return replace(descent, page=page, step=STEP, edge_ms=edge_ms, seen=seen), False


def _newest_that_counts(records: Sequence[Record], now_ms: int) -> int:
    """The newest time that may move ``done_ms``: a wrong date must not hide earlier errors."""
    times = [
        record.errored_at
        for record in records
        if record.errored_at <= now_ms + (FUTURE_MS if record.is_ours else -FOREIGN_MS)
    ]
    return max(times, default=0)


def _reaches(descent: Descent, records: Sequence[Record]) -> bool:
    """Whether the page goes down to errors that were read before. Known only of a page that is ordered from new to old.

    Version 1's clients relied on that order. No source says it of version 2; without the order all pages are read.
    """
    times = [record.errored_at for record in records]
    return times[-1] <= descent.from_ms and all(first >= second for first, second in pairwise(times))


def _touches(descent: Descent, records: Sequence[Record]) -> bool:
    """Whether no error lies between the last useful page and this page."""
    seen = set(descent.seen)
    return records[0].errored_at > descent.edge_ms or any(record.identity in seen for record in records)


def _has_new(descent: Descent, records: Sequence[Record]) -> bool:
    """Whether the page goes further down than the last useful page."""
    seen = set(descent.seen)
    return any(record.errored_at <= descent.edge_ms and record.identity not in seen for record in records)


def _gone_back(descent: Descent) -> Descent:
    """The page begins too far down: halve the step, or take a page further up if the last step was not long."""
    # A long step is halved until it fits.
    if descent.step > STEP:
        step = max(STEP, descent.step // 2)
        return replace(descent, page=descent.page - descent.step + step, step=step)
    return replace(descent, page=max(0, descent.page - PAGE))
