"""Notices that the receiver has newer objects than the state: then an older copy of the state was restored.

The run mark (cdc/state/run_mark.py) recognises a copy by the files on the disk. A copy of the whole disk matches
itself, and the position in the source's log shows nothing: every start reads on from an old position. Only HubSpot
knows newer objects. It does not show objects that were only changed since, and the bridge has no list of records.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cdc.delivery import silence
from cdc.delivery.context import Context
from cdc.delivery.quota import Traffic
from cdc.errors import SinkError
from cdc.log_events import get_logger
from cdc.messages.verification import Expected
from cdc.model import ObjectType
from cdc.protocols import SinkWitness

log = get_logger(__name__)

LOOK_AGAIN_S: Final = 60.0
SHOWN: Final = 5


async def look(context: Context, sink: SinkWitness, expected: Expected) -> None:
    """Log which of the receiver's newest objects this state never knew, if there are any. Once per run.

    It waits until the sink may be asked and the state is settled: while a lost state is filled again, it knows no
    object.
    """
    while True:
        unknown = await _unknown(context, sink, expected)
        if unknown is not None:
            break
        await asyncio.sleep(LOOK_AGAIN_S)
    if unknown:
        log.error(
            "state_behind_hubspot",
            records=len(unknown),
            objects=unknown[:SHOWN],
            reason="HubSpot has records of these objects, and this state never sent any: an older copy of the state was"
            " put back, the state was lost, or another installation with this mapping.namespace writes to this account",
            hint="if this installation alone writes there, run `magento-cdc verify --all --repair`",
        )


async def _unknown(context: Context, sink: SinkWitness, expected: Expected) -> list[str] | None:
    # A follower asks nothing, and an account that is spent or refuses everything is not asked for this.
    if not context.permits.gate.may_send or context.health.fault(context.clock.monotonic()) is not None:
        return None
    found: list[str] = []
    for object_type in ObjectType:
        if object_type not in context.sink.traits.object_types:
            continue
        try:
            with context.permits.requests(Traffic.HISTORY) as requests:
                keys = await sink.newest(object_type, requests)
        except SinkError as error:  # delivery meets whatever is wrong, and says so
            await silence.heed(context, error)
            return None
        unknown = await context.state.call(lambda _: expected.never_sent(keys))  # noqa: B023  # called within this turn of the loop
        if unknown is None:
            return None
        found += unknown
    return found
