"""The scenes of ``tests.kit.events`` played on a real server: the log of each, and a full render after it."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import MAGIC
from cdc.model import Absent, ForeignKey, ObjectType, Position, Row, TableSpec, Transaction, Value
from cdc.protocols import CART_CLOCK
from cdc.replica.cascades import with_between
from cdc.settings.config import Settings
from cdc.snapshot.reader import RowLoader
from cdc.source.foreign_keys import foreign_keys
from cdc.source.server import current_position, read_identity
from cdc.startup import row_loader
from mappers.mapping import MagentoMapping
from tests.kit import schema
from tests.kit.events import MAPPING, SCENES, Scene, World, open_shop
from tests.kit.recorded import boundaries
from tests.kit.replica_harness import NAMESPACE
from tests.kit.rows import DictRows
from tests.kit.servers import Server
from tests.kit.shop import Shop

State = dict[str, tuple[dict[str, str], dict[ObjectType, tuple[str, ...]]]]
"""External id → properties, associations."""

OPENING = datetime.datetime(2026, 3, 2, 7, 0, tzinfo=datetime.UTC)
_ROWS = 100_000


@dataclass
class Played:
    """One scene's part of the log. ``counters``: what the decoder met in it (``LogDecoder.counters``)."""

    name: str
    transactions: list[Transaction]
    counters: Counter[str]
    bytes: int
    rows: DictRows
    waited_ms: int
    """How long the shop waited after the last transaction of the scene."""

    def render(self, *clocks: Row) -> State:
        """Everything that the database held after the scene. ``clocks``: rows of ``cart_clock``."""
        for clock in clocks:
            self.rows.put(CART_CLOCK, **clock)
        return rendered(self.rows)


@dataclass
class Recording:
    """A shop's log from its first row on. ``opening`` is what was there before the first scene."""

    keys: tuple[ForeignKey, ...]
    opening: Played
    scenes: list[Played]


class EvenClock:
    """A later minute at each transaction, the same ones every time."""

    def __init__(self) -> None:
        self._now = OPENING.timestamp()
        self.waited_ms = 0
        """How long nothing has been committed."""

    def __call__(self) -> float:
        self._now += 60
        self.waited_ms = 0
        return self._now

    def advance(self, minutes: float) -> None:
        """Let time pass."""
        self._now += minutes * 60
        self.waited_ms += round(minutes * 60_000)


def record(
    server: Server,
    *,
    prefix: str = "",
    scenes: Sequence[Scene] = SCENES,
    mapping: Mapping[str, Any] = MAPPING,
) -> Recording:
    """Play the scenes on a database of their own, seen through this ``[mapping]``."""
    with server.database() as database, _names_in_the_log(server):
        connection = server.connect(database=database)
        schema.load(connection, prefix, whole=True)
        settings = Settings.model_validate({
            "source": {"host": "127.0.0.1", "port": server.port, "user": "root", "database": database,
                       "table_prefix": prefix},
            "mapping": mapping,
        })  # fmt: skip
        server.rotate()
        ends: list[tuple[str, int]] = []
        renders: list[tuple[DictRows, int]] = []
        clock = EvenClock()
        shop = Shop(connection, prefix, clock=clock)
        world = open_shop(shop)
        world.wait = clock.advance
        keys = foreign_keys(connection, database, prefix)
        mapper = MagentoMapping(settings.mapping)
        render = FullRender(connection, prefix, mapper, row_loader(settings, mapper.tables, read_identity(connection)))
        for scene in (_nothing, *(play for _, play in scenes)):
            scene(world)
            position = current_position(connection)
            ends.append((position.file, position.offset))
            renders.append((render(), clock.waited_ms))
        render.close()
        connection.close()
        [log] = [path for path in server.binlog_files() if path.name == ends[0][0]]
        assert len({name for name, _ in ends}) == 1, "the scenes fill more than one log file"
        names = ["opening", *(name for name, _ in scenes)]
        parts = _decoded(
            log, names, [end for _, end in ends], renders, with_between(mapper.tables, keys), database, prefix
        )
    return Recording(keys, parts[0], parts[1:])


def _nothing(world: World) -> None:
    """The shop as it opens."""


@contextmanager
def _names_in_the_log(server: Server) -> Iterator[None]:
    [(before,)] = server.run("SELECT @@global.binlog_row_metadata")
    server.run("SET GLOBAL binlog_row_metadata = 'FULL'")
    try:
        yield
    finally:
        server.run(f"SET GLOBAL binlog_row_metadata = '{before}'")


def _decoded(
    log: Path, names: Sequence[str], ends: Sequence[int], renders: Sequence[tuple[DictRows, int]],
    tables: Sequence[TableSpec], database: str, prefix: str,
) -> list[Played]:  # fmt: skip
    """The file's events one by one, cut where the scenes end."""
    data = log.read_bytes()
    edges = boundaries(log)
    start = Position(log.name, len(MAGIC))
    decoder = LogDecoder(tables, database=database, prefix=prefix, schemas=None, start=start)
    decoder.begin_file(log.name, len(MAGIC))
    found: list[Played] = []
    before: Counter[str] = Counter()
    at = 0
    for name, end, render in zip(names, ends, renders, strict=True):
        transactions: list[Transaction] = []
        began = edges[at]
        while at + 1 < len(edges) and edges[at] < end:
            transaction = decoder.feed(memoryview(data)[edges[at] : edges[at + 1]])
            at += 1
            if transaction is not None and transaction.changes:
                transactions.append(transaction)
        counters = Counter(decoder.counters)
        found.append(Played(name, transactions, counters - before, edges[at] - began, *render))
        before = counters
    return found


def rendered(rows: DictRows) -> State:
    """Everything that exists by these rows."""
    found: State = {}
    for ref in rows.spread(rows.mapper.everything()):
        made = rows.mapper.render(ref, rows)
        if made is not None:
            links: dict[ObjectType, tuple[str, ...]] = {}
            for other in made.references:
                links[other.object_type] = (*links.get(other.object_type, ()), other.external_id(NAMESPACE))
            found[ref.external_id(NAMESPACE)] = dict(made.properties), links
    return found


class FullRender:
    """Reads everything that the database holds, without log, replica or outbox, as often as asked.

    Tables whose checksum has not changed since are not read again.
    """

    def __init__(self, connection: Connection, prefix: str, mapper: MagentoMapping, loader: RowLoader) -> None:
        self._connection = connection
        self._mapper = mapper
        self._loader = loader
        self._sql = "CHECKSUM TABLE " + ", ".join(f"`{prefix}{spec.name}`" for spec in mapper.tables)
        self._sums: dict[str, object] = {}
        self._held: dict[str, list[dict[str, Value]]] = {}

    def __call__(self) -> DictRows:
        rows = DictRows(self._mapper)
        with self._connection.cursor() as cursor:
            cursor.execute(self._sql)
            sums = [found for _, found in cursor.fetchall()]
        for spec, found in zip(self._mapper.tables, sums, strict=True):
            if found is None or self._sums.get(spec.name) != found:
                self._held[spec.name] = self._read(spec)
                self._sums[spec.name] = found
            for row in self._held[spec.name]:
                rows.put(spec.name, **row)
        return rows

    def close(self) -> None:
        """Close the connection that it reads over."""
        self._loader.close()

    def _read(self, spec: TableSpec) -> list[dict[str, Value]]:
        return [
            {name: cell for name, cell in zip(spec.columns, cells, strict=True) if not isinstance(cell, Absent)}
            for cells in self._loader.chunk(spec.name, None, _ROWS).rows
        ]
