"""What a source of topics needs from the code that understands their records: a decoder, and offsets to begin at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from cdc.model import NewestRow, Position, Transaction


class Decoder(Protocol):
    """Makes transactions of records, in the order in which they arrive.

    ``arrived``: the position behind the last record. ``is_whole``: whether the records so far are the whole store.
    """

    arrived: Position
    is_whole: bool

    def take(self, record: ConsumerRecord) -> Iterator[Transaction]:
        """The transactions that this record completes. A record without changes gives a transaction without changes."""
        ...

    def pause(self) -> Iterator[Transaction]:
        """The transactions to keep after a batch of records."""
        ...

    def idle(self, offset: int) -> Iterator[Transaction]:
        """Every record before ``offset`` of the first partition was taken, and no other record came."""
        ...

    def sample(self) -> tuple[NewestRow, ...]:
        """The newest rows of some keys, to compare with the replica. Empty if the comparison would prove nothing."""
        ...


@dataclass(frozen=True)
class LogPositions:
    """Where to begin: the next offset per partition, and whether the state has yet to be filled from the topics."""

    offsets: Mapping[TopicPartition, int]
    is_loading: bool
