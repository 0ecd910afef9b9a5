"""What HubSpot should hold: a full render of the database, made without log, outbox or delivery."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.messages import render_queue
from cdc.model import Kind, ObjectRef, Position
from cdc.replica import cart_clock
from cdc.replica.cart_clock import CartClock
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from cdc.snapshot.loader import load_order
from cdc.source.extension_tables import with_primary_keys
from cdc.source.foreign_keys import foreign_keys
from cdc.source.server import connect, read_identity
from cdc.startup import row_loader
from cdc.state.copies import STATE_FILE
from mappers.mapping import MagentoMapping
from sinks.registry import entry_of

State = dict[str, dict[str, Any]]


def full_render(settings: Settings, clocks: Mapping[int, CartClock] = MappingProxyType({})) -> State:
    """External id → type, properties that hold something, associations: of everything that exists now.

    ``clocks``: the facts on carts that no row of the shop tells, by number of the cart.
    """
    with fresh_engine(settings) as engine:
        with engine.store.transaction():
            for quote_id, clock in clocks.items():
                cart_clock.put(engine.store, quote_id, clock)
        return dict(rendered(engine, settings.mapping.namespace))


@contextmanager
def fresh_engine(settings: Settings) -> Iterator[Engine]:
    """An engine whose replica was read from the server in one go, with all objects waiting to be rendered."""
    connection = connect(settings.source)
    mapping = with_primary_keys(connection, settings.source, settings.mapping)
    mapper = MagentoMapping(mapping, contacts_by_email=entry_of(settings).contacts_by_email)
    keys = foreign_keys(connection, settings.source.database, settings.source.table_prefix)
    identity = read_identity(connection)
    connection.close()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder), mapper, keys, SystemClock())
        loader = row_loader(settings, engine.tables, identity)
        with engine.store.transaction():
            engine.moves.begin(Position("binlog.000001", 4), Phase.LOADING_REFERENCES)
            for spec in load_order(engine.tables, keys):
                cursor, done = None, False
                while not done:
                    chunk = loader.chunk(spec.name, cursor, 5000)
                    cursor, done = chunk.cursor, chunk.done
                    engine.ingest.load_chunk(spec.name, chunk.rows, Position("binlog.000001", 4), cursor, done=done)
            engine.ingest.references_read()
            engine.ingest.load_done(Position("binlog.000001", 4))
        loader.close()
        yield engine
        engine.close()


def rendered(engine: Engine, namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that exists: its external id, and the entry of ``State``."""
    refs: dict[ObjectRef, None] = {}
    with engine.store.transaction():
        while render_queue.work_invalidation(engine.store, engine.positions.high, 100_000):
            refs.update((item.ref, None) for item in render_queue.ready(engine.store, engine.positions.high, 1_000_000))
    for ref in refs:
        made = engine.mapper.render(ref, engine.rows)
        if made is None:
            continue
        links: dict[str, list[str]] = {}
        for other in made.references:
            links.setdefault(other.object_type.value, []).append(other.external_id(namespace))
        yield (
            ref.external_id(namespace),
            {
                "type": ref.object_type.value,
                "properties": {name: value for name, value in sorted(made.properties.items()) if value},
                "associations": {kind: sorted(ids) for kind, ids in sorted(links.items())},
            },
        )


def clocks_in(state: Path) -> dict[int, CartClock]:
    """The clocks of carts in the state of a running daemon; none while it has not opened its state yet."""
    columns = "content, changed_ms, abandoned_ms, is_shown, is_history, is_ordered"
    try:
        with closing(sqlite3.connect(f"file:{state / STATE_FILE}?mode=ro", uri=True)) as db:
            rows = db.execute(f"SELECT quote_id, {columns} FROM cart_clock").fetchall()
    except sqlite3.OperationalError:  # a reader cannot open the log of a database that nobody has open
        return {}
    return {row[0]: CartClock(*row[1:4], *map(bool, row[4:])) for row in rows}


def living(state: State, keep: Callable[[str], bool] = lambda _: True) -> State:
    """The sandbox's state without what was deleted, in the form of a full render."""
    return {
        external_id: {
            "type": held["type"],
            "properties": {name: value for name, value in held["properties"].items() if value},
            "associations": {kind: ids for kind, ids in held["associations"].items() if ids},
        }
        for external_id, held in state.items()
        if not held["deleted"] and keep(external_id)
    }


def difference(expected: State, found: State) -> list[str]:
    """Where two states differ, a line each; empty when they are equal.

    A customer's email is as it was sent first, so it is not compared: that no other one is sent is a rule of the
    sandbox's strict mode (``email_changed``).
    """
    lines = [f"missing: {name}" for name in expected.keys() - found.keys()]
    lines += [f"too much: {name}" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        ours, theirs = _compared(name, expected[name]), _compared(name, found[name])
        if ours != theirs:
            lines.append(f"differs: {name}: expected {ours}, found {theirs}")
    return sorted(lines)


def _compared(name: str, held: dict[str, Any]) -> dict[str, Any]:
    properties = held["properties"]
    if f"-{Kind.CUSTOMER.value}-" not in name or not properties.get("email"):
        return held
    return {**held, "properties": {**properties, "email": "set"}}
