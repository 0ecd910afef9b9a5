"""``run --dry-run``: read to the end of the log on a copy of the state, and print what would be sent.

It uses a copy, and not a transaction that is rolled back. A run commits as it reads, loads and fetches in other
threads, and only so its memory stays bounded; and a running daemon has the state locked. The copy is beside the state,
on the same disk, and is removed at the end of the run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cdc.cli.common import say
from cdc.errors import ConfigError
from cdc.messages.held_objects import HeldObjects
from cdc.model import parse_external_id
from cdc.settings.config import Settings
from cdc.state.copies import STATE_FILE, copy_state, folder_for_copy
from cdc.state.store import probe_folder
from sinks.preview import PreviewSink
from sinks.registry import entry_of

OTHER_SERVER_ID = 1 << 31
"""The bit that is flipped in ``source.server_id``: two readers with one id end each other's connections."""


@contextmanager
def dry(settings: Settings) -> Iterator[tuple[Settings, PreviewSink]]:
    """Settings that use a copy of the state, and the sink that prints. Prints the counts at the end.

    Raises SetupError, StateError if the state cannot be copied.
    """
    if settings.source.kind not in ("binlog", "files"):
        raise ConfigError(["--dry-run reads a server's log or binlog files only"], source="command line")
    folder = settings.state.dir
    probe_folder(folder)
    with folder_for_copy(folder) as copy:
        copy_state(folder / STATE_FILE, copy / STATE_FILE)
        held = HeldObjects(copy / STATE_FILE)
        known = held.count()
        ours = settings.model_copy(
            update={
                "state": settings.state.model_copy(update={"dir": copy}),
                "web": settings.web.model_copy(update={"port": 0}),
                # what goes is said at once, and a changed mapping is shown without asking first
                "delivery": settings.delivery.model_copy(update={"delete_grace_s": 0.0, "max_change_share": 1.0}),
                "source": settings.source.model_copy(update={"server_id": settings.source.server_id ^ OTHER_SERVER_ID}),
            }
        )
        namespace = settings.mapping.namespace
        sink = PreviewSink(
            entry_of(settings).traits(settings),
            is_held=lambda external_id: held.has(parse_external_id(external_id, namespace)),
            write=sys.stdout.buffer.write,
        )
        try:
            yield ours, sink
        finally:
            sys.stdout.flush()
            held.close()
        _say_counts(sink, known)


def _say_counts(sink: PreviewSink, known: int) -> None:
    affected = 0
    for object_type, changes in sink.counts.items():
        words = [f"{changes[change]} {change}" for change in ("new", "changed", "deleted")]
        affected += changes["changed"] + changes["deleted"]
        say(f"{object_type.value}: {', '.join(words)}")
    say(f"{known - affected} unchanged; this was a dry run: nothing was sent, and the state is as before")
