"""Snapshot races drawn by lot: a small shop on a real server that writers change while it is copied.

with RaceServer(server) as races:
    races.run(seed)        # AssertionError if the copy ends different from the shop

Reader, loader and state thread are the daemon's own; only the sink is replaced: what is ready is taken and accepted at
drawn moments. One server serves many races, so a race takes some tenths of a second.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any, Final, Self

from pydantic import SecretStr

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.errors import SourceDisconnectedError
from cdc.messages import render_queue
from cdc.model import (
    Action,
    Message,
    Position,
    Start,
    StartKind,
)
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings
from cdc.settings.history import HistorySettings
from cdc.settings.source import SourceSettings, TlsMode, TlsSettings
from cdc.snapshot.loader import Loader
from cdc.snapshot.reader import RowLoader
from cdc.source.binlog import BinlogSource
from cdc.source.foreign_keys import ask_foreign_keys
from cdc.source.schemas import ServerSchemas
from cdc.source.server import connect, current_position
from tests.kit.race_shop import DATABASE, RaceMapper, difference, expected_objects, open_connection, shop_rows, shown
from tests.kit.race_steps import Writer, create_tables
from tests.kit.replica_harness import accepted_batch
from tests.kit.servers import Server
from tests.kit.toy import contents

USER: Final = "racer"
SERVER_ID: Final = 90_077
LIMIT_S: Final = 30.0
LOOK_S: Final = 0.01
WRITERS: Final = 2
PURGE_AFTER: Final = 50


class RaceServer:
    """Races on one server, in a database of their own. A context manager."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._number = 0
        self._root = open_connection(server)

    def __enter__(self) -> Self:
        grants = ["REPLICATION SLAVE, REPLICATION CLIENT ON *.*", f"SELECT ON `{DATABASE}`.*"]
        self.server.create_user(USER, "", grants)
        return self

    def __exit__(self, *_: object) -> None:
        self._run(f"DROP DATABASE IF EXISTS `{DATABASE}`")
        self._root.close()

    def run(self, seed: int) -> Race:
        """One race to its end. AssertionError, with the seed, if the copy or a message is wrong."""
        rng = random.Random(seed)
        create_tables(self._root, DATABASE, rng)
        self._number += 1
        # MySQL's copy begins at the start of the present file, and would read all earlier races first.
        self._run("FLUSH BINARY LOGS")
        if self._number % PURGE_AFTER == 0:
            self._run(f"PURGE BINARY LOGS TO '{self.server.log_position()[0]}'")
        with tempfile.TemporaryDirectory() as folder:
            race = Race(self.server, Path(folder), rng)
            try:
                race.play()
            except BaseException as error:
                steps = "\n".join(race.said)
                raise AssertionError(f"race of seed {seed} on {self.server.flavor}: {error!r}\n{steps}") from error
        return race

    def _run(self, statement: str) -> None:
        with self._root.cursor() as cursor:
            cursor.execute(statement)


class Race:
    """One copy of the shop under fire. ``said``: what was done, in order."""

    def __init__(self, server: Server, folder: Path, rng: random.Random) -> None:
        self.server = server
        self.said: list[str] = []
        self.messages: list[Message] = []
        self.restarts = 0
        self._folder = folder
        self._rng = rng
        self._settings = SourceSettings(
            host=server.host, port=server.port, user=USER, password=SecretStr(""), database=DATABASE,
            server_id=SERVER_ID, heartbeat_s=1.0, tls=TlsSettings(mode=TlsMode.DISABLED),
        )  # fmt: skip
        self._history = HistorySettings(chunk_rows=rng.randint(1, 9), chunk_s=0)
        self._piece_rows = rng.randint(1, 9)
        self._failures: Queue[BaseException] = Queue()

    def play(self) -> None:
        """Write, copy, restart; then everything must be equal."""
        rng = self._rng
        with contextlib.closing(open_connection(self.server, DATABASE)) as connection:
            early = Writer(connection, random.Random(rng.random()), self.said)
            for _ in range(rng.choice([0, 0, 2, 8])):
                early.transaction()
        writers = [self._writer(random.Random(rng.random())) for _ in range(WRITERS)]
        process = self._start()
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            time.sleep(rng.uniform(0, 0.03))
            process.accept()
            if rng.random() < 0.1:
                self.said.append("restart")
                self.restarts += 1
                process.end()
                process = self._start()
        self._settle(process)
        self._compare(process)
        process.end()

    def _start(self) -> Process:
        """Start the threads; again where a definition got in the way of a look at the server, as the daemon does."""
        while True:
            try:
                made = Process(
                    self._folder, self._settings, self._history, self.messages, self._failures, self._piece_rows
                )
            except SourceDisconnectedError as error:
                self.said.append(f"-- start: {error.message}")
                continue
            self.said.append(f"-- begins at {made.start}")
            return made

    def _writer(self, rng: random.Random) -> threading.Thread:
        def write() -> None:
            try:
                with contextlib.closing(open_connection(self.server, DATABASE)) as connection:
                    writer = Writer(connection, rng, self.said)
                    for _ in range(rng.randint(5, 30)):
                        writer.transaction()
                        time.sleep(rng.choice([0, 0, 0.001, 0.004]))
            except BaseException as error:  # noqa: BLE001  # the thread's top
                self._failures.put(error)

        return threading.Thread(target=write, daemon=True)

    def _settle(self, process: Process) -> None:
        """Wait until the log's end is applied, everything is read, rendered and accepted."""
        end, deadline = process.log_end(), time.monotonic() + LIMIT_S
        while not process.is_settled(end):
            if not self._failures.empty():
                raise self._failures.get()
            assert time.monotonic() < deadline, f"the copy does not end: {process.told()}"
            process.accept()
            time.sleep(LOOK_S)
        if not self._failures.empty():
            raise self._failures.get()

    def _compare(self, process: Process) -> None:
        shop = shop_rows(self.server)
        held = process.call(lambda: contents(process.engine))
        assert held == shop, f"the replica differs:\n{difference(shop, held)}"
        sent: dict[str, Message] = {}
        for message in self.messages:
            before = sent.get(message.external_id)
            # Equal only where a restart repeats the identical message.
            assert before is None or before.changed_at < message.changed_at, f"{message.external_id} was overtaken"
            sent[message.external_id] = message
        living = {key: shown(one) for key, one in sent.items() if one.action is not Action.DELETE}
        expected = expected_objects(shop)
        assert living == expected, f"what was sent differs:\n{difference(expected, living)}"


class Process:
    """The daemon's threads over one state folder; ``end`` ends them between two commits, as a kill would."""

    def __init__(
        self,
        folder: Path,
        settings: SourceSettings,
        history: HistorySettings,
        messages: list[Message],
        failures: Queue[BaseException],
        piece_rows: int,
    ) -> None:
        self._settings = settings
        self._messages = messages
        self._failures = failures
        self._stop = threading.Event()
        keys = ask_foreign_keys(settings)
        self.engine = Engine(folder, RaceMapper(), keys, SystemClock())
        self.engine.store.db.execute("PRAGMA synchronous = OFF")
        self._source = BinlogSource(settings, self.engine.tables, stop=self._stop)
        try:
            schemas = ServerSchemas(lambda: connect(settings))
            rows = RowLoader(settings, self.engine.tables, self._source.identity(), schemas)
            self.start = start = self._begin(rows)
        except BaseException:
            self.engine.close()  # the folder's lock must not stay with a start that failed
            raise
        self._queue = TransactionQueue(1 << 20)
        self.state = StateThread(self.engine, self._queue, ApplySettings(max_delay_ms=5), self)
        self.loader = Loader(rows, self.state, keys, history=history, on_failure=self.on_failure, piece_rows=piece_rows)
        self._reader = threading.Thread(target=self._read, args=(start,), daemon=True)
        for thread in (self.state, self.loader, self._reader):
            thread.start()

    def _begin(self, rows: RowLoader) -> Position:
        """Where reading begins: as the daemon's start chooses it (cdc/startup.py)."""
        engine, source = self.engine, self._source
        with engine.store.transaction():
            position = engine.positions.position
            if position is None:
                position = source.resolve(Start(StartKind.FILE_OFFSET, rows.safe_point()))
                engine.moves.begin(position, Phase.LOADING_REFERENCES, covered=self.log_end())
            engine.stale_tables.keep_schemas(source.know(engine.stale_tables.schemas_at(position)), position)
            stale = engine.key_changes.reopen()
            if stale:
                engine.stale_tables.read_again(stale, position)
            engine.stale_tables.reopen()
            engine.rendering.resume_mapping()
        return position

    def _read(self, start: Position) -> None:
        try:
            for transaction in self._source.transactions(start):
                if not self._queue.put(transaction):
                    return
        except BaseException as error:  # noqa: BLE001  # the thread's top
            if not self._stop.is_set():
                self.on_failure(error)

    def call(self, work: Any) -> Any:
        """Run ``work`` in the state thread; its result."""
        return self.state.submit(lambda _: work()).result(LIMIT_S)

    def accept(self) -> None:
        """Take a batch of what is ready of each type, and accept it."""
        if self.state.is_alive():  # what ended it is in ``failures``
            self._messages += self.call(lambda: accepted_batch(self.engine.store))

    def log_end(self) -> Position:
        """The end of the server's log now."""
        with contextlib.closing(connect(self._settings)) as connection:
            return current_position(connection)

    def is_settled(self, end: Position) -> bool:
        """Whether the log is applied up to ``end`` and nothing waits to be read, rendered or sent."""
        if not self.loader.is_done or len(self._queue):
            return False

        def look() -> bool:
            store, positions = self.engine.store, self.engine.positions
            waiting = render_queue.counts(store)
            outbox = store.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
            is_rendered = not waiting["objects"] and not waiting["bulk_invalidations"]
            return positions.current() >= positions.lsn(end) and is_rendered and not outbox

        return self.call(look) and self.engine.load.is_complete

    def told(self) -> str:
        """How far it is, for the message of a race that does not end."""
        store = self.engine.store

        def look() -> str:
            outbox = store.db.execute("SELECT kind, id, action FROM outbox LIMIT 5").fetchall()
            loads = self.engine.table_loads
            return (
                f"phase {self.engine.load.phase}, waiting {render_queue.counts(store)}, outbox {outbox}, at"
                f" {self.engine.positions.position}, stale {loads.reasons()}, loads {loads.states()},"
                f" unread {self.engine.unread.any}, loader waits for {self.loader.waits_for!r}"
            )

        return str(self.call(look))

    def end(self) -> None:
        """End the threads; the state's file is closed."""
        self._stop.set()
        self._queue.close()
        self._source.close()
        self.loader.stop()
        self.loader.join(LIMIT_S)
        self.state.stop()
        self.state.join(LIMIT_S)
        self._reader.join(LIMIT_S)
        alive = [thread.name for thread in (self.loader, self.state, self._reader) if thread.is_alive()]
        assert not alive, f"threads do not end: {alive}"

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """See ``Watcher``."""
        if has_news:
            self.loader.wake()

    def on_failure(self, error: BaseException) -> None:
        """See ``Watcher``."""
        self._failures.put(error)
