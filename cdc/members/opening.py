"""Opens a member: a run whose changes come over Kafka instead of from the server.

An empty state is filled from the topics: nothing is rendered until every record that they held at the start is applied.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Final

from aiokafka import TopicPartition

from cdc.clock import DAY_MS
from cdc.components import Components
from cdc.engine.engine import Engine
from cdc.errors import ConfigError, PositionLostError
from cdc.kafka.connect import client_arguments
from cdc.log_events import get_logger
from cdc.members import handover
from cdc.members.foreign_topics import ForeignTopics
from cdc.members.held_topics import LAST_OFFSET, belongs_here, keep_ids, not_away_too_long, same_topics
from cdc.model import Position, StaleTable, Start, TableSpec
from cdc.protocols import Clock
from cdc.replica.cascades import core_foreign_keys, with_between
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from cdc.source.kafka import KafkaSource
from cdc.source.reconnect import OnState
from cdc.source.record_decoder import Decoder, LogPositions
from cdc.source.relayed import RelayDecoder
from cdc.source.spill import room_in
from cdc.source.topic_gaps import must_be_whole
from mappers.mapping import MagentoMapping

log = get_logger(__name__)

_MADE_ANEW: Final = (
    "set its cleanup.policy to compact alone, and let the relay fill it anew: stop the relay, remove the topic and the"
    " relay's state folder"
)


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
    """State and source of a member. Do not call it in ``loop``'s own thread.

    ``contacts_by_email``: as in the sink's traits. Raises ConfigError, SetupError, PositionLostError, StateError,
    SourceDisconnectedError.
    """
    # A member has no log that could be replayed.
    if start is not None:
        raise ConfigError(["--start: a member reads on where it was; replay at the relay, `magento-cdc relay --start`"])
    unknown = settings.mapping.without_primary_key()
    # Only a server tells primary keys.
    if unknown:
        raise ConfigError(
            [f"mapping: {table} needs primary, its primary key: topics do not tell it" for table in unknown]
        )
    kafka = settings.kafka
    is_relayed = kafka.format == "relay"
    keys = () if is_relayed else core_foreign_keys()
    mapper = MagentoMapping(settings.mapping, contacts_by_email=contacts_by_email)
    if is_relayed:
        mapper.tables = tuple(as_published(spec) for spec in mapper.tables)
    foreign = None if is_relayed else ForeignTopics(settings, mapper, with_between(mapper.tables, keys))
    source = KafkaSource(
        kafka.topics if foreign else (kafka.changes_topic,), client_arguments(kafka), loop, stop=stop,
        on_state=on_state, may_be_missing=foreign.may_be_missing if foreign else lambda _: False,
    )  # fmt: skip
    source.open()
    try:
        engine = Engine(settings.state.dir, mapper, keys, clock, has_server=False)
        decoder: Decoder
        try:
            with engine.store.transaction():
                handover.follow(engine)  # until it leads
                if foreign is None:
                    positions = _begin_relayed(engine, source, clock, settings)
                    decoder = _relay_decoder(settings, engine)
                else:
                    positions = foreign.begin(engine, source, clock)
                    decoder = foreign.decoder(engine)
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
        read=lambda: source.transactions(positions, decoder),
        close_source=source.close,
        end=end,
        loader=None,
        counters=lambda: source.counters,
        heard_s=lambda: source.heard_s,
        reasons=(lambda: [f"kafka: {reason}" for reason in foreign.reasons()]) if foreign else tuple,
    )


def as_published(spec: TableSpec) -> TableSpec:
    """The table as the relay publishes it: a derived column is a column like any other."""
    columns = (*(c for c in spec.columns if c not in spec.transient), *spec.derived)
    optional = spec.optional - spec.transient | frozenset(spec.derived)
    return replace(spec, columns=columns, derived=(), transient=frozenset(), optional=optional)


def _begin_relayed(engine: Engine, source: KafkaSource, clock: Clock, settings: Settings) -> LogPositions:
    """The position to read on from. It is the topic's beginning for a fresh state, and for a state whose mapping asks
    for more.
    """
    partition = TopicPartition(source.topics[0], 0)
    log_name, identity = f"{partition.topic}.0", source.ids[partition.topic]
    held = engine.positions.position
    belongs_here(engine, log_name)
    first = source.beginnings()
    beginning = Position(log_name, first[partition], server=identity)
    whole = Position(log_name, LAST_OFFSET, server=identity)
    # An empty state is filled from the topic's beginning, which must still be there.
    if held is None:
        must_be_whole(first, _MADE_ANEW)
        engine.moves.begin(beginning, Phase.LOADING_REFERENCES, covered=whole)
        engine.feeds.begin(clock.now_ms())
        log.info("start_fresh", start="the topic's beginning", position=str(beginning))
    else:
        try:
            same_topics(engine, source)
            source.check_offsets({partition: held.offset})
            not_away_too_long(clock.now_ms() - engine.feeds.fed_ms(), settings.kafka.tombstone_days * DAY_MS)
        except PositionLostError as lost:
            # Reading all again is expensive, so it is done only if the operator has allowed it.
            if settings.source.on_lost_position != "repair":
                raise
            must_be_whole(first, _MADE_ANEW)
            log.error("position_lost", reason=lost.message, action="the topic is read again, and what differs is sent")
            stale_tables = [StaleTable(spec.name, f"the position was lost: {lost.message}") for spec in engine.tables]
            engine.moves.begin_anew(beginning, ())
            engine.stale_tables.read_topic_again(stale_tables, beginning, whole)
            engine.feeds.note_whole(False)
        else:
            # The mapping asks for columns that the state lacks, and only the topic has them.
            if engine.stale_tables.reopen():
                must_be_whole(first, _MADE_ANEW)
                engine.moves.rewind(beginning, is_new_log=True)
                engine.stale_tables.cover(whole)
    keep_ids(engine, source)
    engine.rendering.review.max_share = settings.delivery.max_change_share
    engine.rendering.resume_mapping()
    position = engine.positions.position
    assert position is not None
    return LogPositions({partition: position.offset}, is_loading=not engine.load.is_complete)


def _relay_decoder(settings: Settings, engine: Engine) -> RelayDecoder:
    position = engine.positions.position
    assert position is not None
    specs = {spec.name: spec for spec in engine.tables}
    return RelayDecoder(
        specs,
        position,
        stops=settings.kafka.on_bad_record == "stop",
        is_whole=engine.feeds.is_whole,
        room=room_in(settings.state.dir, settings.source.max_transaction_mb),
    )
