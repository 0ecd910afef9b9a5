"""What the rounds gave, as lines of the benchmarks' table: medians, and the daemon's ratio to its peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tests.benchmarks.peers.load import Load
from tests.benchmarks.peers.sides import DAEMON, DAEMON_FILES, DEBEZIUM, LIBRARY, TEXT_FILES, Side
from tests.benchmarks.peers.timing import Taken
from tests.benchmarks.row import Row


@dataclass
class Series:
    """All runs of one side on one server. ``changes``: row changes of the load."""

    side: Side
    flavor: str
    version: str
    taken: list[Taken] = field(default_factory=list)
    skipped: str = ""
    orders: int = 0
    changes: int = 0
    megabytes: float = 0.0

    def close(self, load: Load, changes: int) -> None:
        """Note what the load was."""
        self.orders, self.changes, self.megabytes = load.orders, changes, load.megabytes

    @property
    def wall_s(self) -> float:
        """Median of the rounds, from the start of the process to its end."""
        return median(one.wall_s for one in self.taken)

    @property
    def cpu_s(self) -> float:
        """Median of the rounds."""
        return median(one.cpu_s for one in self.taken)

    @property
    def from_first_s(self) -> float | None:
        """Median of the rounds, from the first record to the last; None if the side does not say."""
        found = [one.from_first_s for one in self.taken if one.from_first_s is not None]
        return median(found) if found else None

    def as_dict(self) -> dict[str, Any]:
        """For the file of the last run."""
        return {
            "server": self.flavor, "version": self.version, "side": self.side.name, "does": self.side.does,
            "skipped": self.skipped, "orders": self.orders, "changes": self.changes, "megabytes": self.megabytes,
            "taken": [asdict(one) for one in self.taken],
        }  # fmt: skip


def lines(found: Sequence[Series]) -> Iterator[Row]:
    """The lines of every server."""
    for flavor in dict.fromkeys(one.flavor for one in found):
        here = [one for one in found if one.flavor == flavor]
        for one in here:
            yield _line(one)
        yield from _ratios({one.side.name: one for one in here if one.taken})


def _title(one: Series) -> str:
    return f"peers, {one.flavor}, {one.orders:,} orders"


def _line(one: Series) -> Row:
    what = f"{_title(one)}: {one.side.name}"
    if one.skipped:
        return Row(f"{what} (skipped)", 0, "changes/s", "", one.skipped)
    walls = " / ".join(f"{taken.wall_s:.1f}" for taken in one.taken)
    first = "" if one.from_first_s is None else f", {one.from_first_s:.1f} s from the first record"
    records = f", {one.taken[-1].records:,} records" if one.taken[-1].records else ""
    memory = max(taken.rss_mb for taken in one.taken)
    note = f"{walls} s{first}, {one.cpu_s:.1f} s of CPU{records}, {memory:.0f} MB RSS"
    return Row(what, one.changes / one.wall_s, "changes/s", "", note)


def _ratios(by_name: dict[str, Series]) -> Iterator[Row]:
    """The daemon's rate against Debezium's live, and against what reads files."""
    ours, theirs = by_name.get(DAEMON), by_name.get(DEBEZIUM)
    if ours is not None and theirs is not None:
        start = f"{_title(ours)}: {DAEMON} against {DEBEZIUM}"
        yield Row(f"{start}, start included", theirs.wall_s / ours.wall_s, "x", ">= 1 x")
        if ours.from_first_s and theirs.from_first_s:
            yield Row(f"{start}, from the first record on", theirs.from_first_s / ours.from_first_s, "x", ">= 1.5 x")
        yield Row(f"{start}, CPU", ours.cpu_s / theirs.cpu_s, "x", "<= 0.5 x")
    files, text, library = by_name.get(DAEMON_FILES), by_name.get(TEXT_FILES), by_name.get(LIBRARY)
    if files is not None and library is not None:
        title = f"{_title(files)}: {DAEMON_FILES} against {LIBRARY}'s bare decoding"
        yield Row(title, library.wall_s / files.wall_s, "x", ">= 10 x")
        yield Row(f"{title}, CPU", library.cpu_s / files.cpu_s, "x", ">= 10 x")
    if files is not None and text is not None:
        title = f"{_title(files)}: {DAEMON_FILES}, time of {TEXT_FILES}"
        yield Row(title, files.wall_s / text.wall_s, "x", "<= 2.5 x")
        yield Row(f"{title}, CPU", files.cpu_s / text.cpu_s, "x", "<= 2.5 x")
