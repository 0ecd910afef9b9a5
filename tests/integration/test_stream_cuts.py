"""However the network cuts the stream, the same transactions come out."""

from __future__ import annotations

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.schema.columns import Column, SchemaLookup
from cdc.model import Cells, Position
from cdc.settings.source import SourceSettings
from cdc.source.schemas import ServerSchemas
from cdc.source.server import connect
from tests.integration.test_live_source import NOTE, end_of_log, make_shop, settings_for, write
from tests.kit.servers import Server


def test_any_cut_of_the_stream_gives_the_same_transactions(server: Server, database: str) -> None:
    """A mark before a cut takes nothing from the transaction that has begun behind it."""
    make_shop(server, database)
    server.run("CREATE TABLE noise (id INT PRIMARY KEY)", database=database)
    settings = settings_for(server, database)
    server.rotate()
    for number in range(3):
        server.run(f"INSERT INTO noise VALUES ({number})", database=database)
        write(server, database, 2 * number, 2 * number + 1)
    log = (server.datadir / end_of_log(settings).file).read_bytes()
    events, at, ends, length = [], 4, [], 0
    while at < len(log):
        size = int.from_bytes(log[at + 9 : at + 13], "little")
        events.append((size + 1).to_bytes(3, "little") + b"\x00\x00" + log[at : at + size])
        at += size
        length += len(events[-1])
        ends.append(length)
    stream = b"".join(events)
    server_schemas = ServerSchemas(lambda: connect(settings))
    schemas = Answer(server_schemas.columns(settings.database, "note"))
    server_schemas.close()
    whole = decoded(settings, schemas, stream, len(stream))
    assert [cells for cells, _ in whole] == [[(number,)] for number in range(6)]
    near_ends = {end + offset for end in ends[:-1] for offset in range(-6, 26, 2)}  # headers of packets and events
    for cut in sorted({*range(1, len(stream), 31), *ends[:-1], *near_ends} & set(range(1, len(stream)))):
        assert decoded(settings, schemas, stream, cut) == whole


class Answer:
    """What the server said once, as a ``SchemaLookup``."""

    def __init__(self, columns: tuple[Column, ...] | None) -> None:
        self._columns = columns

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        return self._columns


def decoded(
    settings: SourceSettings, schemas: SchemaLookup, stream: bytes, cut: int
) -> list[tuple[list[Cells | None], str]]:
    """The rows and end of each transaction, with the stream fed in two pieces."""
    decoder = LogDecoder([NOTE], database=settings.database, schemas=schemas, start=Position("binlog.000002", 4))
    held = b""
    found: list[tuple[list[Cells | None], str]] = []
    for piece in (stream[:cut], stream[cut:]):
        held += piece
        transactions, consumed = decoder.feed_packets(memoryview(held), len(held))
        held = held[consumed:]
        found += [([change.after for change in t.changes], str(t.end)) for t in transactions if t.changes]
    return found
