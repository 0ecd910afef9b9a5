"""Opens the state and the source, and chooses the start position. Only wiring; daemon.py runs the parts.

An empty state begins as ``source.start`` says. A state with a position goes on there. ``--start`` replays from an
earlier position of the same log.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence

from cdc.components import Components
from cdc.engine.engine import Engine
from cdc.errors import ConfigError, PositionLostError, SetupError, SourceDisconnectedError
from cdc.log_events import get_logger
from cdc.members.opening import open_member
from cdc.model import (
    Position,
    StaleTable,
    Start,
    StartKind,
    TableSchema,
    TableSpec,
    Transaction,
    parse_start,
)
from cdc.output import Opening
from cdc.protocols import Clock
from cdc.replica.cascades import core_foreign_keys, in_row_ids, with_between
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from cdc.settings.plain import plain_connections
from cdc.settings.shop_codes import named_codes
from cdc.snapshot.reader import RowLoader
from cdc.snapshot.replica_reader import replica_reader
from cdc.snapshot.samples import RowSamples
from cdc.source.binlog import BinlogSource
from cdc.source.decoding.job import Job
from cdc.source.decoding.process import DecodingProcess
from cdc.source.extension_tables import with_primary_keys
from cdc.source.files import FilesSource, without_repairs
from cdc.source.foreign_keys import foreign_keys
from cdc.source.now import log_end, shop_ms
from cdc.source.preflight import require
from cdc.source.reconnect import OnState
from cdc.source.schemas import ServerSchemas
from cdc.source.server import ServerIdentity, connect, mapped_errors
from cdc.source.spill import room_in
from cdc.source.unlogged import UnloggedWatch
from mappers.mapping import MagentoMapping

log = get_logger(__name__)

TWIN_TOLD_S = 120.0
REPAIR_RETRY_S = 5.0  # how often a server that does not answer is asked where its log is now


def open_parts(
    settings: Settings,
    *,
    output: Opening,
    start: Start | None,
    stop: threading.Event,
    clock: Clock,
    on_state: OnState,
    loop: asyncio.AbstractEventLoop,
) -> Components:
    """Open state and source. Raises SetupError, PositionLostError, StateError, SourceDisconnectedError.

    ``output``: decides which rows the replica keeps.
    """
    for setting, text, fix in plain_connections(settings):
        log.warning("plain_connection", setting=setting, what=text, fix=fix)
    # Files and topics have no server to ask.
    if settings.source.kind == "files":
        return _open_files(settings, start, clock, on_state, output)
    if settings.source.kind == "kafka":
        parts = open_member(settings, start, stop, clock, on_state, loop, contacts_by_email=output.contacts_by_email)
        output.prepare(parts.engine)
        return parts
    return _open_binlog(settings, start, stop, clock, on_state, output)


def _open_files(
    settings: Settings, start: Start | None, clock: Clock, on_state: OnState, output: Opening
) -> Components:
    unknown = settings.mapping.without_primary_key()
    # Only a server tells primary keys; guessing would mix up rows.
    if unknown:
        raise ConfigError(
            [f"mapping: {table} needs primary, its primary key: files do not tell it" for table in unknown]
        )
    keys = core_foreign_keys()
    # Adobe Commerce hangs values on versions of a product.
    if settings.mapping.product_key == "row_id":
        keys = in_row_ids(keys)
    mapping = MagentoMapping(settings.mapping, contacts_by_email=output.contacts_by_email)
    engine = Engine(settings.state.dir, output.mapper(mapping), keys, clock, has_server=False)
    output.prepare(engine)
    source = FilesSource(
        settings.source.files,
        engine.tables,
        database=settings.source.database,
        prefix=settings.source.table_prefix,
        room=room_in(settings.state.dir, settings.source.max_transaction_mb),
    )
    reader = _elsewhere(settings, engine, threading.Event(), on_state) or source
    with engine.store.transaction():
        # A fresh state: files hold the whole log, so nothing is loaded.
        if engine.positions.position is None:
            first = start or Start(StartKind.EARLIEST)
            engine.moves.begin(Position(source.first_file(), 4), Phase.COMPLETE)
        elif start is not None and start.position is not None:
            engine.moves.rewind(start.position)
            first = start
        else:
            first = Start(StartKind.FILE_OFFSET, engine.positions.position)
        # Columns that the state lacks could only come from a server.
        if engine.stale_tables.reopen():
            raise SetupError(
                f"the mapping asks for columns that state folder {settings.state.dir} does not hold",
                hint='with source.kind = "files" there is no server to load from; remove the folder, read again',
            )
        engine.rendering.review.max_share = settings.delivery.max_change_share
        engine.rendering.resume_mapping()
    return Components(
        engine=engine,
        keys=keys,
        read=lambda: without_repairs(reader.transactions(first)),
        close_source=reader.close if isinstance(reader, DecodingProcess) else lambda: None,
        end=lambda: None,
        loader=None,
        counters=lambda: reader.counters,
    )


def _elsewhere(settings: Settings, engine: Engine, stop: threading.Event, on_state: OnState) -> DecodingProcess | None:
    """The reader in a process of its own, if the settings want one."""
    if settings.source.decode_in == "thread":
        return None
    nowhere = Position("", 0)  # the start is given when reading begins
    job = Job(settings.source, tuple(engine.tables), nowhere, (), settings.state.dir)
    return DecodingProcess(job, stop=stop, on_state=on_state)


def _open_binlog(
    settings: Settings,
    start: Start | None,
    stop: threading.Event,
    clock: Clock,
    on_state: OnState,
    output: Opening,
) -> Components:
    connection = connect(settings.source)
    try:
        with mapped_errors(settings.source):
            keys = foreign_keys(connection, settings.source.database, settings.source.table_prefix)
            mapping = with_primary_keys(connection, settings.source, settings.mapping)
            mapper = MagentoMapping(mapping, contacts_by_email=output.contacts_by_email)
        # before the state is opened: it would empty a table for the sake of a column that is misspelt
        require(settings.source, with_between(mapper.tables, keys), mapper.attributes, named_codes(settings.mapping))
        engine = Engine(settings.state.dir, output.mapper(mapper), keys, clock)
        try:
            output.prepare(engine)
            source = BinlogSource(
                settings.source,
                engine.tables,
                stop=stop,
                on_state=on_state,
                room=room_in(settings.state.dir, settings.source.max_transaction_mb),
            )
            identity = source.identity()
            loader = row_loader(settings, engine.tables, identity)
            tables = replica_reader(settings.source, settings.history, engine.tables, identity)
            with engine.store.transaction():
                try:
                    position = _decide(settings, start, engine, source, tables or loader, identity, clock)
                except PositionLostError as lost:
                    # The operator has not allowed a repair, or there is nothing to repair.
                    if not _may_repair(settings, start, engine):
                        raise
                    position, _ = _position_of_repair(settings, engine.tables, source, lost)
                    engine.moves.begin_anew(position, _all_stale(engine, lost))
                engine.stale_tables.keep_schemas(source.know(engine.stale_tables.schemas_at(position)), position)
                if tables is not None:
                    tables.floor = position.gtid
                _follow_keys(engine, position)
                engine.stale_tables.reopen()
                engine.rendering.review.max_share = settings.delivery.max_change_share
                engine.rendering.resume_mapping()
        except BaseException:
            # The folder's lock must not stay with a start that failed.
            engine.close()
            raise
    finally:
        if connection.open:
            connection.close()
    reader = _elsewhere(settings, engine, stop, on_state) or source
    return Components(
        engine=engine,
        keys=keys,
        read=lambda: _read(settings, engine, source, reader, position, stop),
        close_source=lambda: _close(reader, source),
        end=lambda: log_end(settings.source),
        shop_ms=lambda: shop_ms(settings.source),
        loader=loader,
        tables=tables,
        counters=lambda: reader.counters,
        heard_s=lambda: reader.heard_s,
        reasons=lambda: _twin_reasons(reader, settings),
        unlogged=UnloggedWatch(
            settings.source, engine.tables, RowSamples(row_loader(settings, engine.tables, identity)), stop
        ),
    )


def _close(reader: BinlogSource | DecodingProcess, source: BinlogSource) -> None:
    reader.close()
    source.close()  # it answers questions even where another process reads


def _twin_reasons(source: BinlogSource | DecodingProcess, settings: Settings) -> list[str]:
    """The warning about another reader with our server id. The source looks well between two disconnections, so the
    warning stays for a while.
    """
    if time.monotonic() - source.twin_s > TWIN_TOLD_S:
        return []
    server_id = settings.source.server_id
    return [f"source: another reader uses server_id {server_id}, and each ends the other's; give each its own"]


def _follow_keys(engine: Engine, position: Position) -> None:
    """Foreign keys that changed while the log was not read: read the affected child rows again."""
    stale = engine.key_changes.reopen()
    # Keys changed while no daemon ran, so their cascades are not known.
    if stale:
        log.warning("foreign_keys_changed", tables=[one.table for one in stale], position=str(position))
        engine.stale_tables.read_again(stale, position)


def _read(
    settings: Settings,
    engine: Engine,
    source: BinlogSource,
    reader: BinlogSource | DecodingProcess,
    position: Position,
    stop: threading.Event,
) -> Iterator[Transaction]:
    """The source's transactions. If its position is lost and repair is allowed, a transaction that says so
    comes first.
    """
    while True:
        if isinstance(reader, DecodingProcess):
            reader.know(source.known)
        try:
            yield from reader.transactions(position)
            return
        except PositionLostError as lost:
            # Stopping is the safe default: a repair reads every table again.
            if not _may_repair(settings, None, engine):
                raise
            position, schemas = _position_of_repair(settings, engine.tables, source, lost, stop)
            stale = _all_stale(engine, lost)
            yield Transaction((), position, 0, stale=stale, is_new_log=True, schemas=schemas)


def _may_repair(settings: Settings, start: Start | None, engine: Engine) -> bool:
    """Whether a lost position may be repaired; never one that was given by hand, or that was never read."""
    return settings.source.on_lost_position == "repair" and start is None and engine.positions.position is not None


def _all_stale(engine: Engine, lost: PositionLostError) -> tuple[StaleTable, ...]:
    return tuple(StaleTable(spec.name, f"the position was lost: {lost.message}") for spec in engine.tables)


def _position_of_repair(
    settings: Settings,
    tables: Sequence[TableSpec],
    source: BinlogSource,
    lost: PositionLostError,
    stop: threading.Event | None = None,
) -> tuple[Position, tuple[TableSchema, ...]]:
    """The position to go on at, which every later read certainly contains, and the tables' columns.

    With ``stop``, waits for the server.
    """
    log.error("position_lost", reason=lost.message, action="all tables are read again, and what differs is sent")
    while True:
        try:
            with contextlib.closing(row_loader(settings, tables, source.identity())) as loader:
                position = source.resolve(Start(StartKind.FILE_OFFSET, loader.safe_point()))
            return position, tuple(source.know(()))
        except SourceDisconnectedError as error:
            # At the start a server that is away is an error; in a run it is waited for.
            if stop is None or stop.is_set():
                raise
            log.warning("source_unreachable", reason=str(error), retry_in_s=REPAIR_RETRY_S)
            stop.wait(REPAIR_RETRY_S)


def row_loader(settings: Settings, tables: Sequence[TableSpec], identity: ServerIdentity) -> RowLoader:
    """A reader of the server's rows for these tables."""
    return RowLoader(
        settings.source,
        tables,
        identity,
        ServerSchemas(lambda: connect(settings.source)),
        statement_timeout_s=settings.history.statement_timeout_s,
    )


def _refuse_totals(engine: Engine) -> None:
    """Raise SetupError if the mapping adds up all rows of a table. Without an import only rows that change are held."""
    if any(spec.totals is not None for spec in engine.tables):
        raise SetupError(
            "mapping.customer_value and mapping.contact.lifecycle_stage need all orders of a customer, and a state that"
            " began without an import holds only orders that change",
            hint='leave them out of the mapping; or set source.start = "import" and remove the state folder: then the'
            " store is imported",
        )


def _decide(
    settings: Settings,
    start: Start | None,
    engine: Engine,
    source: BinlogSource,
    loader: RowLoader,
    identity: ServerIdentity,
    clock: Clock,
) -> Position:
    """Choose the start position; begin a fresh state."""
    held = engine.positions.position
    # Nothing was ever read.
    if held is None:
        first = start or parse_start(settings.source.start)
        is_import = first.kind is StartKind.IMPORT
        # The stream begins at a point that the first SELECT surely contains.
        if is_import:
            position = source.resolve(Start(StartKind.FILE_OFFSET, loader.safe_point()))
            engine.moves.begin(position, Phase.LOADING_REFERENCES, covered=log_end(settings.source))
            engine.first_load.begin(clock.now_ms())
            loader.close()
        else:
            _refuse_totals(engine)
            position = source.resolve(first)
            engine.moves.begin(position, Phase.FETCHING_REFERENCES)
        log.info("start_fresh", start=str(first), position=str(position))
        return position
    if engine.load.fetches_only:
        _refuse_totals(engine)
    # Without GTIDs positions of two servers cannot be compared.
    if held.server and held.server != identity.server and not held.gtid:
        raise PositionLostError(
            f"the state belongs to server {held.server}, {settings.source.host} is server {identity.server}",
            hint="point source.host at the state's own server, remove the state folder to import afresh, or go on"
            " here with `magento-cdc position set latest` (the changes in between are not known)",
        )
    engine.moves.must_not_be_loading(identity.server)
    # A replay: rows are applied again, and only newer changes are sent.
    if start is not None:
        position = source.resolve(start)
        left = is_gone(held, source)
        engine.moves.rewind(position, is_new_log=left, by_gtid=start.kind is StartKind.GTID)
        # Positions before and after cannot be compared, so a new epoch begins.
        if left:
            log.warning("start_in_new_log", position=str(position), left=str(held))
        else:
            log.info("start_replay", position=str(position), until=engine.positions.high)
        return position
    log.info("start_resume", position=str(held))
    return held


def is_gone(held: Position, source: BinlogSource) -> bool:
    """Whether the server's log no longer holds the position. Then earlier and later positions cannot be compared."""
    asked = Start(StartKind.GTID if held.gtid and source.identity().gtid_enabled else StartKind.FILE_OFFSET, held)
    try:
        source.resolve(asked)
    except (PositionLostError, SetupError):
        # Either error means that the position is not there any more.
        return True
    return source.is_other_log(held)
