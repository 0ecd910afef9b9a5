"""What the decoding process is to read: all that it needs to make the same source that the daemon would make."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cdc.model import Position, Start, TableSchema, TableSpec
from cdc.settings.source import SourceSettings


class Job(NamedTuple):
    """``start``: a position of the server's log, or where to begin in files. ``known``: columns of tables at the start.

    ``folder``: for transactions that are larger than memory.
    """

    settings: SourceSettings
    tables: tuple[TableSpec, ...]
    start: Position | Start
    known: tuple[TableSchema, ...]
    folder: Path
