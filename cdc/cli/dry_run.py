"""``run --dry-run``: read to the end of the log on a copy of the state, and say what would be sent.

A copy rather than a transaction that is rolled back: the run commits as it reads, loads and pulls from other threads,
and its memory stays bounded only because it does; and a running daemon keeps its state to itself. The copy lies beside
the state, on the same disk, and goes with the run.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdc.cli.common import say
from cdc.errors import ConfigError, StateError
from cdc.model import parse_external_id
from cdc.settings.config import Settings
from cdc.state.copies import STATE_FILE, folder_for_copy, make_private
from cdc.state.store import probe_folder
from sinks.preview import PreviewSink
from sinks.registry import make_sink

OTHER_SERVER_ID = 1 << 31
"""Flipped in ``source.server_id``: two readers under one id throw each other out of the server."""


@contextmanager
def dry(settings: Settings) -> Iterator[tuple[Settings, PreviewSink]]:
    """Settings that lead to a copy of the state, and the sink that prints. Says the counts at the end.

    Raises SetupError, StateError if the state cannot be copied.
    """
    if settings.source.kind not in ("binlog", "files"):
        raise ConfigError(["--dry-run reads a server's log or binlog files only"], source="command line")
    folder = settings.state.dir
    probe_folder(folder)
    with folder_for_copy(folder) as copy:
        known = _copy(folder / STATE_FILE, copy / STATE_FILE)
        ours = settings.model_copy(
            update={
                "state": settings.state.model_copy(update={"dir": copy}),
                "web": settings.web.model_copy(update={"port": 0}),
                "source": settings.source.model_copy(update={"server_id": settings.source.server_id ^ OTHER_SERVER_ID}),
            }
        )
        held = _Held(copy / STATE_FILE, settings.mapping.namespace)
        sink = PreviewSink(make_sink(settings).traits, is_held=held.has, write=sys.stdout.buffer.write)
        try:
            yield ours, sink
        finally:
            sys.stdout.flush()
            held.close()
        _say_counts(sink, known)


def _copy(source: Path, target: Path) -> int:
    """Copy the state as it is at one moment, whether a daemon writes it or not; how many objects the receiver holds."""
    if not source.exists():
        return 0
    make_private(target)
    try:
        with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as held, sqlite3.connect(target) as copy:
            held.backup(copy)
            row = copy.execute("SELECT count(*) FROM ledger WHERE accepted_at > 0 AND accepted_delete = 0").fetchone()
        held.close()
        copy.close()
    except sqlite3.Error as error:
        raise StateError(f"state file {source}: {error}", hint="is there room for a copy beside it?") from None
    return int(row[0])


class _Held:
    """Whether the receiver held an object before the dry run: asked before its first message is settled."""

    def __init__(self, path: Path, namespace: str) -> None:
        self._path, self._namespace = path, namespace
        self._database: sqlite3.Connection | None = None

    def has(self, external_id: str) -> bool:
        """Read from the copy, by a connection of its own."""
        if self._database is None:
            self._database = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        ref = parse_external_id(external_id, self._namespace)
        row = self._database.execute(
            "SELECT accepted_at FROM ledger WHERE kind = ? AND id = ?"
            " AND (accepted_delete = 0 OR tried_at > accepted_at)",
            (ref.kind.value, ref.id),
        ).fetchone()
        return row is not None and row[0] > 0

    def close(self) -> None:
        """Let go of the copy."""
        if self._database is not None:
            self._database.close()


def _say_counts(sink: PreviewSink, known: int) -> None:
    affected = 0
    for object_type, changes in sink.counts.items():
        words = [f"{changes[change]} {change}" for change in ("new", "changed", "deleted")]
        affected += changes["changed"] + changes["deleted"]
        say(f"{object_type.value}: {', '.join(words)}")
    say(f"{known - affected} unchanged; this was a dry run: nothing was sent, and the state is as before")
