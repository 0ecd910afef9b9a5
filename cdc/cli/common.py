"""What all commands share: the settings options, opening the state without a daemon, printing."""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
import tomllib
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from cdc import log_events
from cdc.errors import CdcError, ConfigError, first_of
from cdc.settings.names import DEFAULT_FILE, ENV_PREFIX

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.model import ObjectRef
    from cdc.settings.config import Loaded, Settings
    from cdc.state.store import Store

FEWEST_FILES = 64
"""Open files that a run needs: an idle daemon holds 23, and each lane, web request and copy of the state adds some."""

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file (TOML); default ./magento-cdc.toml if it exists."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Set one setting, over file and environment: section.key=value. May be repeated.", metavar="K=V"
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def settings_of(
    context: typer.Context, config: Path | None, sets: Sequence[str] | None, *, has_log: bool = True
) -> Settings:
    """The settings for a command; options may come before or behind the command's name. Raises ConfigError.

    ``has_log``: false for a command that begins its log itself, before it calls anything that may log.
    """
    settings = loaded_for(context, config, sets).settings
    if has_log:
        begin_log(settings)
    return settings


def begin_log(settings: Settings) -> None:
    """Send the log to stderr: stdout is for data. (``run`` sends it elsewhere.)"""
    from cdc import logs

    logs.configure(settings.log, sys.stderr, logs.secrets_of(settings))


def begin_log_late(settings: Settings) -> None:
    """As ``begin_log``, at the first line: for a command that only looks into the state and mostly logs nothing.

    Call ``log_events.set_up_now`` before a client of a server is loaded, as its library may log, and may know secrets.
    """
    log_events.set_up_at_first_line(partial(begin_log, settings))


def loaded_for(context: typer.Context, config: Path | None, sets: Sequence[str] | None) -> Loaded:
    """As ``settings_of``, with where each setting was written. Reports variables that look like settings
    and are not read.
    """
    from cdc.settings import documentation
    from cdc.settings.layers import misspelt_variables

    for variable, meant in misspelt_variables(os.environ, ENV_PREFIX, [name for name, _ in documentation.fields()]):
        say(f"{variable} is not read" + (f"; did you mean {meant}?" if meant else f"; ours begin with {ENV_PREFIX}"))
    loaded = load_again(context, config, sets)
    if loaded.file is None and not loaded.origins:
        say(f"no {DEFAULT_FILE} in {Path.cwd()}, no --config and no variable {ENV_PREFIX}...: the defaults hold")
    return loaded


def load_again(context: typer.Context, config: Path | None, sets: Sequence[str] | None) -> Loaded:
    """Read the settings, and do nothing else; also for a reload. Raises ConfigError."""
    from cdc.settings.config import load_with_origins

    shared = context.find_root().obj or {}
    pairs = [*(shared.get("sets") or []), *(sets or [])]
    return load_with_origins(config or shared.get("config"), _flags(pairs))


@contextmanager
def failure_in_log(stream: TextIO = sys.stdout) -> Iterator[None]:
    """Write a daemon's failure as its last log line: ``failed`` with reason, hint and exit code.

    Otherwise a reader of the log alone would see an orderly stop. On a terminal the sentence that ``main`` prints is
    enough. Before the settings are known, the line goes to ``stream`` in the default format.
    """
    try:
        yield
    except typer.Exit as end:
        # Exit code 0 is a good end, and no failure line belongs there.
        if end.exit_code:
            _tell(stream, "some messages were not delivered", "the log lines not_delivered say why", end.exit_code)
        raise
    except CdcError as error:
        _tell(stream, error.message, error.hint, error.exit_code)
        raise
    except Exception as error:
        limit = limit_reached(error)
        if limit is not None:
            _tell(stream, limit.message, limit.hint, limit.exit_code)
            raise limit from error
        _tell(stream, f"{type(error).__name__}: {error}", "this is a fault of magento-cdc", 1)
        raise


def limit_reached(error: BaseException) -> CdcError | None:
    """The sentence for an error that says that the machine gave no more memory, threads or open files; else None.

    Such an error can come from any line, so it is told here and nowhere else.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        hint = "raise the memory limit (docs/sizing.md); the next start goes on from the last commit"
        return CdcError("no memory is left", hint=hint)
    # Python has no error class of its own for it.
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        hint = "raise the limit of memory or of processes (ulimit -v, ulimit -u, TasksMax, the container's pids limit)"
        return CdcError("no more threads can be started", hint=hint)
    if number in (errno.EMFILE, errno.ENFILE):
        return CdcError("no more files may be opened", hint="raise the limit of open files (ulimit -n, LimitNOFILE)")
    return None


def _tell(stream: TextIO, reason: str, hint: str, exit_code: int) -> None:
    import structlog

    from cdc import logs
    from cdc.settings.config import LogSettings

    log_events.set_up_now()
    # The settings themselves may be at fault, so the log has its defaults.
    if not structlog.is_configured():
        logs.configure(LogSettings(), stream)
    # On a terminal ``main`` prints the sentence, and a second one would only repeat it.
    if not logs.is_for_eyes():
        structlog.get_logger(__name__).error("failed", reason=reason, hint=hint, exit_code=exit_code)


def _flags(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
    faults = []
    for number, pair in enumerate(pairs, 1):
        name, equals, text = pair.partition("=")
        section, dot, key = name.strip().partition(".")
        # All wrong pairs are collected, so that one run names them all.
        if not equals or not dot or not section or not key:
            # What was given is not repeated: who forgets the name has written the value, which may be a key.
            faults.append(f"--set number {number}: write section.key=value, e.g. sink.kind=jsonl")
            continue
        node = tree.setdefault(section, {})
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = _value(text)
    # Nothing is used of options that are partly wrong.
    if faults:
        raise ConfigError(faults, source="command line")
    return tree


def _value(text: str) -> Any:
    """The value as TOML reads it; a text that is not a TOML value stays a text."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


@contextmanager
def open_state(settings: Settings, *, exclusive: bool, only_looks: bool = False) -> Iterator[Engine]:
    """Open the state folder, for commands that read it or leave a request. Raises SetupError, StateError, ConfigError.

    ``only_looks``: for a command that writes nothing. It never waits: while a daemon writes one long transaction, the
    command shows the last commit. Without it, a command fails after some seconds in that case.
    """
    from cdc.clock import SystemClock
    from cdc.engine.engine import Engine
    from cdc.replica.cascades import core_foreign_keys
    from cdc.state.copies import STATE_FILE
    from mappers.mapping import MagentoMapping
    from sinks.registry import entry_of

    path = settings.state.dir / STATE_FILE
    # Opening would create an empty state, and the command would say "nothing" of a shop that is full.
    if not path.exists():
        raise ConfigError([f"state.dir = {str(settings.state.dir)!r}: there is no state yet; start `magento-cdc run`"])
    mapper = MagentoMapping(settings.mapping, contacts_by_email=entry_of(settings).contacts_by_email)
    folder = settings.state.dir
    engine = Engine(
        folder, mapper, core_foreign_keys(), SystemClock(), exclusive=exclusive, create=False, only_looks=only_looks
    )
    try:
        yield engine
    finally:
        engine.close()


def record_of(settings: Settings, store: Store, ref: ObjectRef) -> dict[str, str]:
    """``record_id`` and ``record_link`` of the object's record at the receiver, as far as they are known."""
    from cdc.delivery.sink_start import kept_notes
    from cdc.messages import sent_versions
    from sinks.registry import entry_of

    record_id = sent_versions.sent_side(store, ref).record_id
    link = entry_of(settings).record_link(ref.object_type, record_id, kept_notes(store, settings.sink.kind))
    found = {"record_id": record_id, "record_link": link}
    return {name: text for name, text in found.items() if text}


def check_file_limit(limit: int) -> None:
    """Raises CdcError if the process may open too few files for a daemon. ``limit``: the soft limit, -1 for none."""
    if limit != resource.RLIM_INFINITY and limit < FEWEST_FILES:
        raise CdcError(
            f"the limit of open files is {limit}, and a run needs {FEWEST_FILES}",
            hint="raise the limit of open files (ulimit -n, LimitNOFILE)",
        )


def run_in_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run a daemon to its end in a fast event loop and return its exit code. Raises the first failure."""
    import asyncio

    import uvloop

    # The event loop itself would end with tracebacks, and a daemon that lacks a file now and then hides the cause.
    try:
        check_file_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    except CdcError:
        work.close()  # or Python would warn that nobody waited for it
        raise
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except BaseExceptionGroup as group:  # a task group wraps what its tasks raise
        raise first_of(group) from None


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask on a terminal. A script is not asked: the answer is yes."""
    return yes or not sys.stdin.isatty() or typer.confirm(question)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def say(text: str) -> None:
    """Print text for people on stderr."""
    sys.stderr.write(text + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a plain table on stdout, columns padded. Nothing is cut off, so that it can be searched and piped."""
    texts = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(columns))]
    for row in texts:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
