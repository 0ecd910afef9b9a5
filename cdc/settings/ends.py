"""Names of both ends of a run, for the log and the page: where changes come from and where messages go. Pure."""

from __future__ import annotations

from cdc.settings.config import Settings


def source_of(settings: Settings) -> str:
    """Where changes come from, as one short text without secrets."""
    source = settings.source
    if source.kind == "files":
        return f"files {', '.join(source.files)}"
    if source.kind == "kafka":
        topics = (settings.kafka.changes_topic,) if settings.kafka.format == "relay" else settings.kafka.topics
        return f"kafka {', '.join(topics)} at {', '.join(settings.kafka.brokers)}"
    return f"binlog {source.host}:{source.port}/{source.database}"


def sink_of(settings: Settings, *, is_relay: bool) -> str:
    """Where messages go, as one short text without secrets."""
    if is_relay:
        return f"kafka {settings.kafka.changes_topic} at {', '.join(settings.kafka.brokers)}"
    sink = settings.sink
    return f"jsonl {sink.path}" if sink.kind == "jsonl" else f"{sink.kind} {sink.base_url}"
