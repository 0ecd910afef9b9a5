"""The one place that knows which sinks there are.

A new sink: one module in this package with a class that keeps the Sink contract, its settings in ``SinkSettings``, a
line here, and a factory in tests/contract/test_sinks.py.
"""

from __future__ import annotations

from cdc.protocols import Sink
from cdc.settings.config import SinkSettings
from cdc.settings.mapping import MappingSettings
from sinks.bridge.sink import BridgeSink
from sinks.jsonl import JsonlSink


def make_sink(settings: SinkSettings, mapping: MappingSettings = MappingSettings()) -> Sink:  # noqa: B008  # frozen
    """The sink that ``settings.kind`` names. Opens no connection. ConfigError for settings that cannot work.

    ``mapping`` names the merchant's own properties, which the receiver may have to be told of.
    """
    match settings.kind:
        case "bridge":
            return BridgeSink(settings, mapping.extras())
        case "jsonl":
            return JsonlSink(settings)
