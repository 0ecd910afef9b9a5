"""Asks the sink about one object, for ``trace``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdc.clock import iso_ms
from cdc.errors import SinkError

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.model import Message, ObjectRef
    from cdc.protocols import LaterVerdicts, Requests, SinkReader
    from cdc.settings.config import Settings


def message_for(settings: Settings, engine: Engine, ref: ObjectRef) -> Message | None:
    """The message that the receiver should have of a settled object; None for other objects."""
    from cdc.cli.rendering import mapper_of
    from cdc.messages.verification import Expected
    from cdc.replica.rows import ReplicaRows

    mapper = mapper_of(settings, engine)
    rows = ReplicaRows(engine.store, mapper.tables)
    return Expected(engine.store, mapper, rows, settings.mapping.namespace).message_of(ref)


async def ask_sink(settings: Settings, ref: ObjectRef, message: Message | None) -> dict[str, Any]:
    """What the receiver knows of the object: its sync error, or how its record differs from ``message``."""
    from cdc.clock import SystemClock
    from cdc.delivery.permits import StandaloneRequests
    from cdc.protocols import LaterVerdicts, SinkReader
    from sinks.registry import make_sink

    sink = make_sink(settings)
    name = sink.traits.name
    requests = StandaloneRequests(sink.traits, SystemClock())
    try:
        if isinstance(sink, LaterVerdicts):
            return {"name": name, **await _verdict(sink, settings, ref, requests)}
        if isinstance(sink, SinkReader):
            return {"name": name, **await _comparison(sink, message, requests)}
        return {"name": name, "says": "cannot be asked"}
    except SinkError as error:
        return {"name": name, "error": str(error)}
    finally:
        await sink.close()


async def _verdict(sink: LaterVerdicts, settings: Settings, ref: ObjectRef, requests: Requests) -> dict[str, Any]:
    status = await sink.sync_status(ref.object_type, ref.external_id(settings.mapping.namespace), requests)
    if status is None:
        return {"says": "has processed no such object"}
    return {
        "hubspot_id": status.hubspot_id,
        "processed_at": iso_ms(status.processed_at),
        "failed": "not known" if status.failed is None else status.failed,
    }


async def _comparison(sink: SinkReader, message: Message | None, requests: Requests) -> dict[str, Any]:
    if message is None:  # a message is on its way, or the object is gone: there is nothing to hold a record against
        return {"says": "not asked: nothing is accepted, or a message is pending"}
    [found] = await sink.compare([message], requests)
    return {"says": found.drift.value, "record_id": found.record_id, "differing": ", ".join(sorted(found.values))}
