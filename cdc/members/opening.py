"""Opens a member: a run whose changes come over Kafka instead of from the server.

An empty state is filled from the topics: nothing is rendered until all that they held at the start is applied.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog
from aiokafka import TopicPartition

from cdc.components import Components, OnState
from cdc.engine.engine import Engine
from cdc.errors import ConfigError, PositionLostError, SetupError
from cdc.kafka.column_types import known_types
from cdc.kafka.connect import client_arguments
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import BadRecordError, Tables
from cdc.kafka.maxwell import MaxwellReader
from cdc.members import handover
from cdc.model import LSN_OFFSET_BITS, Position, StaleTable, Start, TableSpec
from cdc.protocols import Clock
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from cdc.source.kafka import DAY_MS, MARGIN, Decoder, ForeignDecoder, KafkaSource, LogPositions
from cdc.source.relayed import RelayDecoder
from mappers.mapping import MagentoMapping

log = structlog.get_logger(__name__)

ARRIVAL: Final = "arrival.0"
"""The log of a member of foreign topics: the order in which records arrived."""
_LAST_OFFSET: Final = (1 << LSN_OFFSET_BITS) - 1
_FILLED_AGAIN: Final = "it is filled again from the topic, and what HubSpot has is in the receipts"
_REPAIR: Final = 'on the relay\'s topic, source.on_lost_position = "repair" reads it again without that'


def open_member(
    settings: Settings,
    start: Start | None,
    stop: threading.Event,
    clock: Clock,
    on_state: OnState,
    loop: asyncio.AbstractEventLoop,
    *,
    contacts_by_email: bool = False,
) -> Components:
    """State and source of a member; not to be called in ``loop``'s own thread.

    ``contacts_by_email``: as in the sink's traits.
    Raises ConfigError, SetupError, PositionLostError, StateError, SourceDisconnectedError.
    """
    if start is not None:
        raise ConfigError(["--start: a member reads on where it was; replay at the relay, `magento-cdc relay --start`"])
    unknown = settings.mapping.without_primary_key()
    if unknown:
        raise ConfigError(
            [f"mapping: {table} needs primary, its primary key: topics do not tell it" for table in unknown]
        )
    kafka = settings.kafka
    is_relayed = kafka.format == "relay"
    keys = () if is_relayed else core_foreign_keys()
    topics = (kafka.changes_topic,) if is_relayed else kafka.topics
    source = KafkaSource(topics, client_arguments(kafka), loop, stop=stop, on_state=on_state)
    source.open()
    try:
        mapper = MagentoMapping(settings.mapping, contacts_by_email=contacts_by_email)
        if is_relayed:
            mapper.tables = tuple(as_published(spec) for spec in mapper.tables)
        engine = Engine(settings.state.dir, mapper, keys, clock, has_server=False)
        decoder: Decoder
        try:
            with engine.store.transaction():
                handover.follow(engine)  # until it leads
                if is_relayed:
                    places = _begin_relayed(engine, source, clock, settings)
                    decoder = _relay_decoder(settings, engine)
                else:
                    places = _begin_foreign(engine, source)
                    decoder = _foreign_decoder(settings, engine)
        except BaseException:
            engine.close()
            raise
    except BaseException:
        source.close()
        raise

    def end() -> Position:
        source.wait_for_end()
        return decoder.arrived

    return Components(
        engine=engine,
        keys=keys,
        read=lambda: source.transactions(places, decoder),
        close_source=source.close,
        end=end,
        loader=None,
        counters=lambda: source.counters,
    )


def as_published(spec: TableSpec) -> TableSpec:
    """The table as the relay publishes it: what it derives is a column like any other."""
    columns = (*(c for c in spec.columns if c not in spec.transient), *spec.derived)
    optional = spec.optional - spec.transient | frozenset(spec.derived)
    return replace(spec, columns=columns, derived=(), transient=frozenset(), optional=optional)


def _begin_relayed(engine: Engine, source: KafkaSource, clock: Clock, settings: Settings) -> LogPositions:
    """Where to read on; a fresh state, and one whose mapping asks for more, from the topic's beginning."""
    partition = TopicPartition(source.topics[0], 0)
    log_name, identity = f"{partition.topic}.0", source.ids[partition.topic]
    held = engine.positions.position
    _belongs_here(settings_dir=str(engine.store.folder), held=held, file=log_name)
    beginning = Position(log_name, source.beginnings()[partition], server=identity)
    whole = Position(log_name, _LAST_OFFSET, server=identity)
    if held is None:
        _must_be_whole(beginning)
        engine.moves.begin(beginning, Phase.LOADING_REFERENCES, covered=whole)
        log.info("start_fresh", start="the topic's beginning", position=str(beginning))
    else:
        try:
            _same_topics(engine, source)
            source.check_offsets({partition: held.offset})
            _not_away_too_long(clock.now_ms() - engine.feeds.fed_ms(), settings.kafka.tombstone_days * DAY_MS)
        except PositionLostError as lost:
            if settings.source.on_lost_position != "repair":
                raise
            _must_be_whole(beginning)
            log.error("position_lost", reason=lost.message, action="the topic is read again, what differs is sent")
            stale_tables = [StaleTable(spec.name, f"the position was lost: {lost.message}") for spec in engine.tables]
            engine.moves.begin_anew(beginning, ())
            engine.stale_tables.read_topic_again(stale_tables, beginning, whole)
            engine.feeds.note_whole(False)
        else:
            if engine.stale_tables.reopen():
                engine.moves.rewind(beginning, is_new_log=True)
                engine.stale_tables.cover(whole)
    _keep_ids(engine, source)
    engine.rendering.resume_mapping()
    position = engine.positions.position
    assert position is not None
    return LogPositions({partition: position.offset}, is_loading=not engine.load.is_complete)


def _must_be_whole(beginning: Position) -> None:
    """A compacted topic keeps its first offset: where that is another, rows are missing that the store still has."""
    if beginning.offset:
        raise PositionLostError(
            f"topic {beginning.file.removesuffix('.0')} begins at offset {beginning.offset}: what was before is cut"
            " off, so it does not hold the whole store",
            hint="set its cleanup.policy to compact alone, and let the relay fill it anew: stop the relay, remove the"
            " topic and the relay's state folder",
        )


def _not_away_too_long(away_ms: int, retention_ms: int) -> None:
    if away_ms > retention_ms * MARGIN:
        raise PositionLostError(
            f"this member was away for {away_ms / DAY_MS:.1f} days: the topic keeps deletions for"
            f" {retention_ms / DAY_MS:.0f}, so some may be missing",
            hint=f"remove the state folder: {_FILLED_AGAIN}; {_REPAIR}",
        )


def _relay_decoder(settings: Settings, engine: Engine) -> RelayDecoder:
    position = engine.positions.position
    assert position is not None
    specs = {spec.name: spec for spec in engine.tables}
    return RelayDecoder(specs, position, stops=settings.kafka.on_bad_record == "stop", is_whole=engine.feeds.is_whole)


def _begin_foreign(engine: Engine, source: KafkaSource) -> LogPositions:
    """Where to read each partition from; a fresh state, and one whose mapping asks for more, from the beginning."""
    engine.applier.is_unordered = True
    _same_topics(engine, source)
    _keep_ids(engine, source)
    held = engine.positions.position
    _belongs_here(settings_dir=str(engine.store.folder), held=held, file=ARRIVAL)
    if held is None:
        held = Position(ARRIVAL, 0)
        engine.moves.begin(held, Phase.LOADING_REFERENCES, covered=Position(ARRIVAL, _LAST_OFFSET))
        log.info("start_fresh", start="the topics' beginning", position=str(held))
    elif engine.stale_tables.reopen():
        engine.stale_tables.cover(Position(ARRIVAL, _LAST_OFFSET))
        engine.feeds.forget_offsets()
    engine.rendering.resume_mapping()
    kept = engine.feeds.offsets()
    offsets = source.beginnings()
    resumed = {p: kept[name] for p in source.partitions if (name := f"{p.topic}/{p.partition}") in kept}
    source.check_offsets(resumed)
    return LogPositions({**offsets, **resumed}, is_loading=not engine.load.is_complete)


def _foreign_decoder(settings: Settings, engine: Engine) -> ForeignDecoder:
    kafka = settings.kafka
    tables = Tables.of(engine.tables, settings.source.database, settings.source.table_prefix, _warn_of_lacks)
    try:
        types = known_types(kafka.values.types)
    except ValueError as error:
        raise ConfigError([f"kafka.values.types: {error}"]) from None
    if kafka.format == "maxwell":
        read = MaxwellReader(tables, types).read
    else:
        values = kafka.values
        modes = ValueModes(
            values.decimal_handling_mode, values.time_precision_mode, values.bigint_unsigned_handling_mode,
            values.binary_handling_mode, values.unavailable_value_placeholder, on_double=_warn_of_doubles,
        )  # fmt: skip
        read = DebeziumReader(tables, types, modes, prefix=values.add_fields_prefix).read
    held = engine.positions.position
    assert held is not None
    return ForeignDecoder(read, BadRecordError, held, stops=kafka.on_bad_record == "stop")


def _warn_of_lacks(table: str, columns: Sequence[str]) -> None:
    log.warning(
        "columns_not_told",
        table=table,
        columns=list(columns),
        reason="rows come without these mapped columns; what is made of them stays empty: let the tool include them",
    )


def _warn_of_doubles() -> None:
    log.warning(
        "decimals_as_doubles",
        limit="doubles",
        reason="amounts over 15 digits lose some; set the connector's decimal.handling.mode to precise or string",
    )


def _same_topics(engine: Engine, source: KafkaSource) -> None:
    """Raises PositionLostError if a topic of that name is another than it was."""
    held = engine.store.meta.topic_ids
    for topic, identity in source.ids.items():
        if held.get(topic) and identity and held[topic] != identity:
            raise PositionLostError(
                f"topic {topic} was made anew: its offsets are not those of state folder {engine.store.folder}",
                hint=f"remove the state folder: {_FILLED_AGAIN}; {_REPAIR}",
            )


def _keep_ids(engine: Engine, source: KafkaSource) -> None:
    meta = engine.store.meta
    meta.topic_ids = {**meta.topic_ids, **source.ids}


def _belongs_here(*, settings_dir: str, held: Position | None, file: str) -> None:
    if held is not None and held.file != file:
        raise SetupError(
            f"state folder {settings_dir} was filled from {held.file}, not from {file}",
            hint="give this member a state.dir of its own",
        )
