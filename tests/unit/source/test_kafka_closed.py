"""A source of topics that is closed while others ask it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cdc.errors import SourceDisconnectedError
from cdc.kafka.connect import client_arguments
from cdc.settings.config import load
from cdc.source.kafka import KafkaSource


async def test_who_asks_a_closed_source_hears_that_it_is_closed() -> None:
    """A member that takes over asks for the topics' ends in a thread of its own, and the run may end meanwhile."""
    connect = client_arguments(load(None, {"kafka": {"brokers": ["127.0.0.1:9"]}}).kafka)
    source = KafkaSource(
        ["rows"], connect, asyncio.get_running_loop(), stop=threading.Event(), on_state=lambda *_: None
    )
    source.close()
    for ask in (source.ends, source.beginnings, source.wait_for_end):
        with pytest.raises(SourceDisconnectedError, match="not read any more"):
            await asyncio.to_thread(ask)
