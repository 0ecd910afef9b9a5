"""Sets of global transaction ids: MySQL's (intervals per source) and MariaDB's (the last one per domain).

MySQL: https://dev.mysql.com/doc/refman/8.4/en/replication-gtids-concepts.html; binary form as COM_BINLOG_DUMP_GTID and
PREVIOUS_GTIDS carry it:

    8  number of sources n; from MySQL 8.3 on, when tags are in use: 1 << 56 | n << 8 | 1
    per source: 16 uuid, [tag: 1 length << 1, the tag], 8 number of intervals, per interval 8 first, 8 last + 1

MariaDB: https://mariadb.com/kb/en/gtid/ (``domain-server-sequence``).
"""

from __future__ import annotations

import re
import struct
import uuid
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, Self

_TAG: Final = re.compile(r"^[a-z_][a-z0-9_]{0,31}$")
_INTERVAL: Final = re.compile(r"^(\d+)(?:-(\d+))?$")
_U64: Final = struct.Struct("<Q")
_PAIR: Final = struct.Struct("<QQ")
_MOST: Final = (1 << 63) - 1

Interval = tuple[int, int]
"""First and last number, both included."""


class GtidSet:
    """A set of MySQL's GTIDs. Mutable; ``add`` is cheap when numbers rise.

    A source is ``uuid`` or ``uuid:tag``, in lower case.
    """

    __slots__ = ("_sources", "_texts")

    def __init__(self) -> None:
        self._sources: dict[str, list[Interval]] = {}
        self._texts: dict[str, str] = {}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``uuid:1-5:7,uuid:tag:1-3``; white space is ignored. ValueError says what is wrong."""
        made = cls()
        for part in filter(None, ("".join(piece.split()) for piece in text.split(","))):
            first, *rest = part.split(":")
            try:
                source = name = str(uuid.UUID(first))
            except ValueError:
                raise ValueError(f"{first!r} in a GTID set is no uuid") from None
            # A source without numbers says nothing. Taking it for "all" or for "none" would both be guesses.
            if not rest:
                raise ValueError(f"{part!r} in a GTID set has no interval")
            for word in rest:
                match = _INTERVAL.match(word)
                if match:
                    made.add_interval(source, int(match[1]), int(match[2] or match[1]))
                elif _TAG.match(word.lower()):
                    # A tag applies to the intervals behind it, until the next tag or the next source.
                    source = f"{name}:{word.lower()}"
                else:
                    raise ValueError(f"{word!r} in a GTID set is neither an interval nor a tag")
        return made

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the binary form. ValueError when bytes are missing or left over."""
        made = cls()
        try:
            (count,) = _U64.unpack_from(raw, 0)
            tagged = count >> 56 == 1
            if count >> 56 > 1:
                raise ValueError(f"a GTID set in format {count >> 56}, which is not known")
            # The byte at the top is the format; the lowest byte repeats it, and the count lies between.
            if tagged:
                count = count >> 8 & 0xFFFFFFFFFFFF
            at = 8
            for _ in range(count):
                source = str(uuid.UUID(bytes=raw[at : at + 16]))
                at += 16
                if tagged:
                    length = raw[at] >> 1
                    if length:
                        source += ":" + raw[at + 1 : at + 1 + length].decode("ascii")
                    at += 1 + length
                (intervals,) = _U64.unpack_from(raw, at)
                at += 8
                for _ in range(intervals):
                    first, beyond = _PAIR.unpack_from(raw, at)
                    made.add_interval(source, first, beyond - 1)
                    at += 16
        except (struct.error, IndexError) as error:
            raise ValueError("a GTID set that ends too early") from error
        return made

    def encode(self) -> bytes:
        """The binary form. The form with tags is written only when there are tags, as older servers do not know it."""
        tagged = any(":" in source for source in self._sources)
        count = len(self._sources)
        out = [_U64.pack(1 << 56 | count << 8 | 1 if tagged else count)]
        for source, intervals in sorted(self._sources.items()):
            name, _, tag = source.partition(":")
            out.append(uuid.UUID(name).bytes)
            if tagged:
                out.append(bytes([len(tag) << 1]) + tag.encode("ascii"))
            out.append(_U64.pack(len(intervals)))
            out += [_PAIR.pack(first, last + 1) for first, last in intervals]
        return b"".join(out)

    def add(self, source: str, number: int) -> None:
        """Add one GTID; ``source`` in lower case."""
        intervals = self._sources.get(source)
        # Numbers of one source mostly rise by one: the last interval grows, and nothing is searched.
        if intervals and intervals[-1][1] + 1 == number:
            intervals[-1] = (intervals[-1][0], number)
            self._texts.pop(source, None)
        else:
            self.add_interval(source, number, number)

    def add_interval(self, source: str, first: int, last: int) -> None:
        """Add ``first`` to ``last``. ValueError unless 1 <= first <= last < 2^63."""
        if not 1 <= first <= last <= _MOST:
            raise ValueError(f"{first}-{last} in a GTID set is no interval")
        held = self._sources.setdefault(source, [])
        low = bisect_right(held, first - 1, key=lambda interval: interval[1] + 1)
        high = low
        # Intervals that overlap or touch become one. Else two notations of the same set would not be equal.
        while high < len(held) and held[high][0] <= last + 1:
            first, last = min(first, held[high][0]), max(last, held[high][1])
            high += 1
        held[low:high] = [(first, last)]
        self._texts.pop(source, None)

    def update(self, other: GtidSet) -> None:
        """Add all GTIDs of ``other``."""
        for source, first, last in other.intervals():
            self.add_interval(source, first, last)

    def intervals(self) -> Iterator[tuple[str, int, int]]:
        """Source, first and last, in order."""
        for source, held in sorted(self._sources.items()):
            for first, last in held:
                yield source, first, last

    def contains(self, other: GtidSet) -> bool:
        """Whether every GTID of ``other`` is in this set."""
        return all(self._holds(source, first, last) for source, first, last in other.intervals())

    def _holds(self, source: str, first: int, last: int) -> bool:
        held = self._sources.get(source, [])
        at = bisect_right(held, first, key=lambda interval: interval[0]) - 1
        return at >= 0 and held[at][1] >= last

    def __str__(self) -> str:
        """The server's own notation: sources in order, without white space."""
        parts: list[str] = []
        last_name = ""
        for source in sorted(self._sources):
            name, _, tag = source.partition(":")
            text = self._texts.get(source)
            if text is None:
                text = ":".join(str(a) if a == b else f"{a}-{b}" for a, b in self._sources[source])
                self._texts[source] = text
            # Tags of one source come behind its name, as the server writes it; a repeated name is not what
            # servers accept.
            if name == last_name:
                parts[-1] += f":{tag}:{text}"
            else:
                parts.append(f"{source}:{text}")
            last_name = name
        return ",".join(parts)

    def __bool__(self) -> bool:
        return bool(self._sources)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self._sources == other._sources

    __hash__ = None  # type: ignore[assignment]  # mutable


class GtidPosition:
    """A MariaDB position: for each domain, the server and the sequence number of its last transaction. Mutable."""

    __slots__ = ("_domains",)

    def __init__(self) -> None:
        self._domains: dict[int, tuple[int, int]] = {}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0-1-100,1-2-5``. If a domain is named twice, its highest sequence number counts. ValueError says what
        is wrong.
        """
        made = cls()
        for part in filter(None, ("".join(piece.split()) for piece in text.split(","))):
            numbers = part.split("-")
            if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
                raise ValueError(f"{part!r} is no MariaDB GTID (domain-server-sequence)")
            domain, server, sequence = map(int, numbers)
            # A list may name a domain twice, with different servers. The higher sequence is the newer one.
            if sequence >= made._domains.get(domain, (0, 0))[1]:
                made.add(domain, server, sequence)
        return made

    def add(self, domain: int, server: int, sequence: int) -> None:
        """This transaction is now the last of its domain."""
        self._domains[domain] = (server, sequence)

    def contains(self, other: GtidPosition) -> bool:
        """Whether this position is at least as far as ``other`` in every domain of ``other``."""
        return all(
            # A domain that is missing here counts as before its first transaction.
            sequence <= self._domains.get(domain, (0, -1))[1]
            for domain, (_, sequence) in other._domains.items()
        )

    def __str__(self) -> str:
        return ",".join(f"{d}-{server}-{sequence}" for d, (server, sequence) in sorted(self._domains.items()))

    def __bool__(self) -> bool:
        return bool(self._domains)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidPosition) and self._domains == other._domains

    __hash__ = None  # type: ignore[assignment]  # mutable


def contains_gtids(whole: str, part: str) -> bool:
    """Whether the set ``whole`` contains the set ``part``, both in a server's notation. An empty ``part`` is contained
    in every set. ValueError when a text is no GTID set.
    """
    if not part:
        return True
    held, asked = parse_gtids(whole), parse_gtids(part)
    # Sets of two kinds of servers have nothing in common.
    if isinstance(held, GtidSet) and isinstance(asked, GtidSet):
        return held.contains(asked)
    return isinstance(held, GtidPosition) and isinstance(asked, GtidPosition) and held.contains(asked)


def parse_gtids(text: str) -> GtidSet | GtidPosition:
    """Read either notation: in MariaDB's, each GTID has two hyphens and no colon.

    ValueError when the text is neither.
    """
    return GtidSet.parse(text) if ":" in text else GtidPosition.parse(text)
