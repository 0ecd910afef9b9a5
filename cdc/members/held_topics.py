"""What a member's state knows of the topics that filled it, and whether they are still the same topics."""

from __future__ import annotations

from typing import Final

from cdc.clock import DAY_MS
from cdc.engine.engine import Engine
from cdc.errors import PositionLostError, SetupError
from cdc.model import LSN_OFFSET_BITS, Position
from cdc.source.kafka import KafkaSource

LAST_OFFSET: Final = (1 << LSN_OFFSET_BITS) - 1
MARGIN: Final = 0.9
"""The share of a topic's tombstone retention that a member may be away: clocks and cleaners are not exact."""
_FILLED_AGAIN: Final = "the member fills it again from the topic, and learns what HubSpot holds from the receipts"
_REPAIR: Final = 'on the relay\'s topic, source.on_lost_position = "repair" reads it again without that'


def same_topics(engine: Engine, source: KafkaSource) -> None:
    """Raises PositionLostError if a topic was replaced by another topic of the same name, or is gone."""
    held = engine.store.meta.topic_ids
    for topic, identity in source.ids.items():
        if held.get(topic) and identity and held[topic] != identity:
            raise PositionLostError(
                f"topic {topic} was created again: its offsets do not fit state folder {engine.store.folder}",
                hint=f"remove the state folder: {_FILLED_AGAIN}; {_REPAIR}",
            )
    for topic in source.missing:
        if topic in held:
            raise PositionLostError(
                f"topic {topic} is gone, which state folder {engine.store.folder} was filled from",
                hint="let its connector fill it anew with a snapshot, then remove the state folder",
            )


def keep_ids(engine: Engine, source: KafkaSource) -> None:
    """Remember the ids of the topics."""
    meta = engine.store.meta
    meta.topic_ids = {**meta.topic_ids, **source.ids}


def belongs_here(engine: Engine, log_name: str) -> None:
    """Raises SetupError if the state was filled from other topics."""
    held: Position | None = engine.positions.position
    if held is not None and held.file != log_name:
        raise SetupError(
            f"state folder {engine.store.folder} was filled from {held.file}, not from {log_name}",
            hint="give this member a state.dir of its own",
        )


def not_away_too_long(away_ms: int, retention_ms: int) -> None:
    """Raises PositionLostError if deletions may have come and gone since the member last read. Both in milliseconds."""
    if away_ms > retention_ms * MARGIN:
        raise PositionLostError(
            f"this member was away for {away_ms / DAY_MS:.1f} days: the topic keeps deletions for"
            f" {retention_ms / DAY_MS:.1f}, so some may be missing",
            hint=f"remove the state folder: {_FILLED_AGAIN}; {_REPAIR}",
        )
