"""The one place that knows which sinks there are.

A new sink: one module in this package with a class that keeps the Sink contract, its settings in ``SinkSettings``, a
line here, and a factory in tests/contract/test_sinks.py.
"""

from __future__ import annotations

from cdc.config import SinkSettings
from cdc.protocols import Sink
from sinks.bridge import BridgeSink
from sinks.jsonl import JsonlSink


def make_sink(settings: SinkSettings) -> Sink:
    """The sink that ``settings.kind`` names. Opens no connection. ConfigError for settings that cannot work."""
    match settings.kind:
        case "bridge":
            return BridgeSink(settings)
        case "jsonl":
            return JsonlSink(settings)
