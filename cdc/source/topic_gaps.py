"""Refuses topics that no longer hold the records that a reader needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiokafka import TopicPartition

from cdc.errors import PositionLostError

CUT: Final = (
    "set its cleanup.policy to compact alone, remove the topic, and let the connector snapshot again (a new connector"
    " name or its offsets removed): topics have to hold every row from their first offset on"
)


def must_be_whole(first: Mapping[TopicPartition, int], advice: str = CUT) -> None:
    """Raises PositionLostError if a topic that is read from its beginning has lost its first records.

    Their rows may still be in the shop, and would be deleted in HubSpot. A compacted topic keeps its first offset.
    ``first``: the first offset that each partition still has.
    """
    for partition, offset in sorted(first.items()):
        if offset:
            raise PositionLostError(
                f"topic {partition.topic}, partition {partition.partition}, begins at offset {offset}: earlier"
                " records are gone, so the topic does not hold the whole store",
                hint=advice,
            )


def position_lost(what: str) -> PositionLostError:
    """The error for a topic that does not have the reader's next offset; ``what`` says why."""
    return PositionLostError(
        what,
        hint="the topic was created again, or the member was away for too long: remove the member's state folder. The"
        " member reads the shop's rows again from the topic, and what HubSpot holds from the receipts",
    )
