"""A member of topics that another tool writes: which records it understands, where it begins, and its warnings.

An empty state is filled from the topics' first offsets on. So a topic has to hold every row of its table from there on:
a missing row counts as deleted in the shop, and would be deleted in HubSpot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiokafka import TopicPartition

from cdc.clock import DAY_MS
from cdc.engine.engine import Engine
from cdc.errors import ConfigError, SetupError
from cdc.kafka.column_types import known_types
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import Read, Tables, understood
from cdc.kafka.maxwell import MaxwellReader
from cdc.log_events import get_logger
from cdc.members.held_topics import LAST_OFFSET, belongs_here, keep_ids, not_away_too_long, same_topics
from cdc.members.records import receipts_topic
from cdc.model import Position, TableSpec
from cdc.protocols import Clock, Mapper
from cdc.replica.feeds import Feeds
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from cdc.source.foreign import ForeignDecoder
from cdc.source.kafka import KafkaSource
from cdc.source.record_decoder import LogPositions
from cdc.source.topic_gaps import must_be_whole

log = get_logger(__name__)

ARRIVAL: Final = "arrival.0"
"""The log of a member of foreign topics: the order in which records arrived."""


class ForeignTopics:
    """The topics of one member. ``specs``: all tables that the replica keeps. Raises ConfigError."""

    def __init__(self, settings: Settings, mapper: Mapper, specs: Sequence[TableSpec]) -> None:
        self._settings = settings
        self._entity_tables = {one.table for one in mapper.everything()}
        self._source: KafkaSource | None = None
        self._feeds: Feeds | None = None
        self._foreign_keys: list[str] = []
        try:
            self.tables = Tables.of(
                specs, settings.source.database, settings.source.table_prefix, settings.kafka.tables,
                on_lack=_warn_of_lacks, on_key=self._look_at_key,
            )  # fmt: skip
        except ValueError as error:
            raise ConfigError([f"kafka.tables: {error}"]) from None
        self._read = understood(self._reader())

    def _reader(self) -> Read:
        kafka, values = self._settings.kafka, self._settings.kafka.values
        try:
            types = known_types(values.types)
        except ValueError as error:
            raise ConfigError([f"kafka.values.types: {error}"]) from None
        if kafka.format == "maxwell":
            return MaxwellReader(self.tables, types).read
        modes = ValueModes(
            values.decimal_handling_mode, values.time_precision_mode, values.bigint_unsigned_handling_mode,
            values.binary_handling_mode, values.unavailable_value_placeholder, on_double=_warn_of_doubles,
        )  # fmt: skip
        return DebeziumReader(self.tables, types, modes, prefix=values.add_fields_prefix).read

    def may_be_missing(self, topic: str) -> bool:
        """Whether a missing topic is normal: a topic is made with its first record, so an empty table has no topic."""
        return self.tables.of_topic(topic) is not None

    def begin(self, engine: Engine, source: KafkaSource, clock: Clock) -> LogPositions:
        """The offset to begin at, per partition. A fresh state begins at the first offsets, and so does a state whose
        mapping asks for more.

        Raises PositionLostError, SetupError.
        """
        self._source, self._feeds = source, engine.feeds
        engine.applier.is_unordered = True
        same_topics(engine, source)
        belongs_here(engine, ARRIVAL)
        held = engine.positions.position
        if held is None:
            self._must_not_delete_for_want_of_topics(source)
            held = Position(ARRIVAL, 0)
            engine.moves.begin(held, Phase.LOADING_REFERENCES, covered=Position(ARRIVAL, LAST_OFFSET))
            engine.feeds.begin(clock.now_ms())
            log.info("start_fresh", start="the topics' beginning", position=str(held))
        else:
            not_away_too_long(clock.now_ms() - engine.feeds.fed_ms(), self._tombstone_ms(source))
            if engine.stale_tables.reopen():
                engine.stale_tables.cover(Position(ARRIVAL, LAST_OFFSET))
                engine.feeds.forget_offsets()
        keep_ids(engine, source)
        engine.rendering.review.max_share = self._settings.delivery.max_change_share
        engine.rendering.resume_mapping()
        kept, first = engine.feeds.offsets(), source.beginnings()
        resumed = {p: kept[name] for p in source.partitions if (name := f"{p.topic}/{p.partition}") in kept}
        must_be_whole({p: offset for p, offset in first.items() if p not in resumed})
        source.check_offsets(resumed)
        self._warn_of_retention(source)
        self.tables.restore(engine.feeds.topics())
        return LogPositions({**first, **resumed}, is_loading=not engine.load.is_complete)

    def decoder(self, engine: Engine) -> ForeignDecoder:
        """The decoder that makes transactions of the records."""
        held = engine.positions.position
        assert held is not None
        return ForeignDecoder(self._read, self.tables, held, stops=self._settings.kafka.on_bad_record == "stop")

    def reasons(self) -> list[str]:
        """Warnings for the operator, a sentence each."""
        missing = self._source.missing if self._source is not None else ()
        return [
            *(f"topic {topic} is not there yet: {self.tables.of_topic(topic)} counts as empty" for topic in missing),
            *self.tables.outsiders(),
            *self.tables.rows_gone(),
            *self._foreign_keys,
            *self._missing_deletions(),
            *self._wrong_rows(),
        ]

    def _wrong_rows(self) -> list[str]:
        """A warning for each table of which the replica's sample differs from the topics' newest records."""
        found = self._feeds.wrong_rows if self._feeds is not None else {}
        return [
            f"table {table}: by the topics' newest records {wrong.lacking} of {wrong.sampled} rows looked at are"
            f" lacking here, and {wrong.extra} should not be here: remove the state folder, and let it be filled again"
            for table, wrong in sorted(found.items())
        ]

    def _missing_deletions(self) -> list[str]:
        """A warning for each table whose rows were inserted again without a deletion in between. Other deleted rows,
        which were not inserted again, are still in the replica and in HubSpot.
        """
        found = self._feeds.missing_deletions if self._feeds is not None else {}
        return [
            f"table {table}: {count} rows were inserted again, but no topic has their deletion: set the connector's"
            " skipped.operations to none and keep tombstones, then create its topics and the state folders again"
            for table, count in sorted(found.items())
        ]

    # ---------------------------------------------------------------------------------------- what has to be right

    def _must_not_delete_for_want_of_topics(self, source: KafkaSource) -> None:
        """Refuse an empty state that misses a topic of HubSpot's objects: without the topic of orders, every deal would
        be deleted.

        Raises SetupError if the account has objects, according to its receipts.
        """
        lacking = [topic for topic in source.missing if self._is_of_entities(topic)]
        receipts = receipts_topic(self._settings)
        if lacking and source.has_records(TopicPartition(receipts, 0)):
            raise SetupError(
                f"Kafka has no topic {', '.join(lacking)}, and HubSpot may have objects of its rows (topic {receipts})",
                hint="mend kafka.topics; if the table really is empty, make the topic by hand with"
                " cleanup.policy=compact",
            )

    def _is_of_entities(self, topic: str) -> bool:
        table = self.tables.of_topic(topic)
        return table is not None and self.tables.specs[table].name in self._entity_tables

    def _tombstone_ms(self, source: KafkaSource) -> int:
        """How long deletions stay in the topics: the shortest time of them. The setting counts for topics that we may
        not read.
        """
        known = [source.retentions[topic] for topic in source.ids if topic in source.retentions]
        shortest = [one.tombstone_ms for one in known if one.is_compacted and one.tombstone_ms >= 0]
        if len(known) < len(source.ids):
            shortest.append(self._settings.kafka.tombstone_days * DAY_MS)
        return min(shortest, default=1 << 62)  # nothing is compacted: what is gone is gone from the beginning

    def _warn_of_retention(self, source: KafkaSource) -> None:
        for topic, retention in source.retentions.items():
            if retention.loses_rows:
                log.warning(
                    "topic_loses_rows",
                    topic=topic,
                    policy=retention.policy,
                    retention_ms=retention.retention_ms,
                    reason="rows that nobody changes go with age, and then no empty member can be filled from it: set"
                    " cleanup.policy to compact alone",
                )

    def _look_at_key(self, topic: str, table: str, columns: Sequence[str]) -> None:
        """A record's key is not its row's. Raises SetupError if the topic is compacted by such keys alone."""
        retention = self._source.retentions.get(topic) if self._source is not None else None
        text = (
            f"topic {topic}: records of {table} have {', '.join(columns) or 'nothing'} for a key, not its primary key"
        )
        if retention is None:
            self._foreign_keys.append(f"{text}; if the topic is compacted, it loses rows")
        elif retention.is_compacted:
            raise SetupError(
                f"{text}, and the topic is compacted: of all rows with one key only the newest stays",
                hint="take the table out of the connector's message.key.columns, or set the topic's cleanup.policy to"
                " delete with retention.ms=-1 and retention.bytes=-1; then let the connector snapshot again",
            )


def _warn_of_lacks(table: str, columns: Sequence[str]) -> None:
    log.warning(
        "columns_left_out",
        table=table,
        columns=list(columns),
        reason="rows come without these mapped columns, so their properties stay empty: let the tool write the columns",
    )


def _warn_of_doubles() -> None:
    log.warning(
        "decimals_as_doubles",
        limit="doubles",
        reason="amounts over 15 digits lose some; set the connector's decimal.handling.mode to precise or string",
    )
