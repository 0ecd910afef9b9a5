"""The checks of this machine, and of the saved position in the server's log. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cdc.cli.common import open_state
from cdc.cli.status import of_daemon
from cdc.errors import REPAIR, CdcError, ConfigError, PositionLostError
from cdc.model import CheckResult, Position, Start, StartKind

if TYPE_CHECKING:
    from cdc.settings.config import Settings
    from cdc.source.server import Connection

LEAST_FREE: Final = 1 << 30
"""Bytes: less free space on the state's disk is worth a warning. The state of a million orders takes some 2.3 GB."""


def here(settings: Settings) -> Iterator[CheckResult]:
    """Check the state folder, its disk, and the port of the web pages."""
    folder = settings.state.dir
    base = _nearest(folder)
    if not (base.is_dir() and os.access(base, os.W_OK | os.X_OK)):
        text = f"{folder} cannot be written: {base} is no folder that this user may write"
        yield CheckResult("state", False, text, "give the daemon's user a folder it may write (state.dir)")
        return
    is_there = folder.is_dir()
    yield CheckResult("state", True, f"{folder} can be written" if is_there else f"{folder} will be made at the start")
    yield _disk(base, settings)
    yield _port(settings)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest existing folder above it."""
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())


def _disk(base: Path, settings: Settings) -> CheckResult:
    free = shutil.disk_usage(base).free
    text = f"{free / 1e9:.1f} GB are free on the disk of {settings.state.dir}"
    if not free:
        return CheckResult("disk", False, text, "free some disk space, or give state.dir a bigger volume")
    fix = "give state.dir a bigger volume: a full disk ends the daemon with exit code 1" if free < LEAST_FREE else ""
    return CheckResult("disk", True, text, fix, warning=free < LEAST_FREE)


def _port(settings: Settings) -> CheckResult:
    place = f"{settings.web.host}:{settings.web.port}"
    family = socket.AF_INET6 if ":" in settings.web.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.web.host, settings.web.port))
        except OSError as error:
            if of_daemon(settings) is not None:
                return CheckResult("web", True, f"a magento-cdc answers on {place}")
            text = f"cannot listen on {place}: {error.strerror}"
            return CheckResult("web", False, text, "set web.host and web.port to an address that is free")
    return CheckResult("web", True, f"{place} is free")


def running(settings: Settings) -> Iterator[CheckResult]:
    """What a running daemon says of itself in ``/ready``: it knows what cannot be asked for beside it, as of another
    reader with its server id. No line without a daemon on ``web.host`` and ``web.port``, or without a reason.
    """
    held = of_daemon(settings) or {}
    for reason in held.get("reasons") or ():
        state = "is ready and says" if held.get("ready") else "is not ready"
        yield CheckResult("daemon", True, f"the running magento-cdc {state}: {reason}", warning=True)


def position_in_log(settings: Settings) -> Sequence[CheckResult]:
    """Whether the server's log still holds the saved position; no line without a state or a server."""
    from cdc.state.store import is_in_use

    if settings.source.kind != "binlog":
        return []
    try:
        with open_state(settings, exclusive=False, only_looks=True) as engine:
            held = engine.positions.position
    except ConfigError:  # there is no state yet
        return []
    except CdcError as error:
        return [CheckResult("position", False, error.message, error.hint)]
    if held is None:
        return []
    # Asking means reading from the log by our server_id, and the server would end the daemon's own reading for it.
    if is_in_use(settings.state.dir):
        return [CheckResult("position", True, f"a running magento-cdc reads from {held}; its log and /ready say how")]
    try:
        return [_held_place(settings, held)]
    except PositionLostError as lost:
        return [CheckResult("position", False, lost.message, f"{REPAIR}; then start `magento-cdc run` again")]
    except CdcError as error:
        return [CheckResult("position", False, error.message, error.hint)]


def _held_place(settings: Settings, held: Position) -> CheckResult:
    """The saved position. Raises PositionLostError if the server does not hold it, and what ``BinlogSource.resolve``
    raises.
    """
    import threading

    from cdc.source.binlog import BinlogSource

    source = BinlogSource(settings.source, (), stop=threading.Event())
    try:
        identity = source.identity()
        by_gtid = bool(held.gtid) and identity.gtid_enabled
        if held.server and held.server != identity.server and not by_gtid:
            text = f"the state was made from server {held.server}, {settings.source.host} is server {identity.server}"
            return CheckResult("position", False, text, "point source.host at the server that the state was made from")
        source.resolve(Start(StartKind.GTID if by_gtid else StartKind.FILE_OFFSET, held))
        if source.is_other_log(held):
            raise PositionLostError(f"the server's log was begun anew since {held}")
    finally:
        source.close()
    return CheckResult("position", True, f"the server's log holds {held}, the next transaction to read")


def twin(settings: Settings) -> Sequence[CheckResult]:
    """Whether another reader of the server's log uses our ``source.server_id``: each would end the other's connection.

    A user who may not see the list of readers still sees its own connections.
    """
    from cdc.source.server import connect, mapped_errors
    from cdc.state.store import is_in_use

    if settings.source.kind != "binlog" or is_in_use(settings.state.dir):  # our own daemon is listed, too
        return []
    try:
        with mapped_errors(settings.source):
            connection = connect(settings.source, database=False)
            try:
                ids, dumps = _readers(connection)
            finally:
                connection.close()
    except CdcError:
        return []  # a server that cannot be reached is reported elsewhere
    host, server_id = settings.source.host, settings.source.server_id
    fix = "give each its own source.server_id"
    if server_id in ids:
        text = f"another reader of {host} uses server_id {server_id}: each ends the other's reading every few seconds"
        return [CheckResult("server_id", False, text, fix)]
    if dumps and not ids:
        text = (
            f"user {settings.source.user!r} reads the log of {host} over another connection already; if that reader"
            f" uses server_id {server_id} too, each ends the other's reading every few seconds"
        )
        return [CheckResult("server_id", True, text, fix, warning=True)]
    return []


def _readers(connection: Connection) -> tuple[set[int], int]:
    """The ids of the readers, where we may see them, and how many connections of our own user read the log."""
    from pymysql.err import Error

    from cdc.source.server import rows

    ids: set[int] = set()
    for statement in ("SHOW REPLICAS", "SHOW SLAVE HOSTS"):
        with contextlib.suppress(Error):  # not of this server, or not for this user
            ids |= {int(row[0]) for row in rows(connection, statement)}
            break
    dumps = sum(str(row[4]).startswith("Binlog Dump") for row in rows(connection, "SHOW PROCESSLIST"))
    return ids, dumps
