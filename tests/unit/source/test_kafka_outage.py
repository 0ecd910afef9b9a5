"""A member's source while brokers go away: it waits, whichever question meets the outage."""

from __future__ import annotations

import asyncio
import threading

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from cdc.errors import SourceDisconnectedError
from cdc.kafka.connect import client_arguments
from cdc.model import Position
from cdc.settings.config import load
from cdc.source import kafka
from cdc.source.kafka import KafkaSource
from cdc.source.record_decoder import LogPositions
from cdc.source.relayed import RelayDecoder

PARTITION = TopicPartition("invented.changes", 0)


class Outage(KafkaSource):
    """A source whose brokers answer the first questions for the ends of topics, and no further ones."""

    def __init__(self, answers: int, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        self.states: list[str] = []
        super().__init__(
            [PARTITION.topic], client_arguments(load(None, {}).kafka), loop, stop=stop,
            on_state=lambda name, _: self.states.append(name),
        )  # fmt: skip
        self.partitions = (PARTITION,)
        self._answers = answers

    def _fetched(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        return {}

    def _note_positions(self) -> None:
        self._read = {PARTITION: 1}

    async def _seek(self) -> None:
        return

    def ends(self) -> dict[TopicPartition, int]:
        self._answers -= 1
        if self._answers < 0:
            raise SourceDisconnectedError("no broker answers")
        return {PARTITION: 1}


@pytest.mark.parametrize("answers", range(5))
async def test_an_outage_at_any_question_is_waited_for(answers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers that stop to answer between two questions of one look do not end the reading."""
    monkeypatch.setattr(kafka, "LOOK_S", 0.0)
    monkeypatch.setattr(kafka, "NEWS_S", 0.0)
    stop = threading.Event()
    source = Outage(answers, stop, asyncio.get_running_loop())
    decoder = RelayDecoder({}, Position("invented.changes.0", 1), stops=True, is_whole=True)

    def read() -> None:
        reading = source.transactions(LogPositions({PARTITION: 1}, is_loading=False), decoder)
        threading.Timer(0.2, stop.set).start()
        for _ in reading:
            if source.states[-1] == "unreachable":
                stop.set()

    await asyncio.to_thread(read)

    assert source.states[-1] == "unreachable"
