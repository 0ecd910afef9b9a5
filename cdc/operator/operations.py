"""What the operator's page asks of the state, and the changes that it may make there.

Queries read the last committed state in a thread of their own, one query at a time, so a long query does not delay the
state thread. Changes are calls of the state thread: nothing else writes the state.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from cdc.clock import iso_ms, iso_s
from cdc.delivery import circuit_breaker
from cdc.engine.state_thread import StateThread
from cdc.errors import CdcError, ConfigError
from cdc.log_events import get_logger
from cdc.messages import dead_letters, outbox, sent_versions, waiting
from cdc.messages.dead_letters import DeadLetter
from cdc.model import OBJECT_TYPE, ObjectRef, ObjectType
from cdc.operator.trace import Look, object_trace
from cdc.replica import feeds
from cdc.replica.rows import ReplicaRows
from cdc.settings.config import Settings
from cdc.state.positions import LogPositions
from cdc.state.store import Store
from mappers.finding import WORDS, find_objects, split_names
from sinks.registry import entry_of

log = get_logger(__name__)

T = TypeVar("T")

MOST_SHOWN: Final = 100
"""Lines of a list on the page; the commands show all."""

MOST_TRACED: Final = 10
"""Objects shown for one text: a SKU may stand on thousands of lines."""


class StateOperations:
    """The ``Operations`` of a daemon (cdc/web/view.py)."""

    def __init__(
        self,
        settings: Settings,
        state: StateThread,
        record_link: Callable[[ObjectType, str], str],
        role: Callable[[], str],
    ) -> None:
        """``record_link``: address of a record's page at the receiver; ``role``: of this daemon among the members."""
        self._folder = settings.state.dir
        self._namespace = settings.mapping.namespace
        self._values = settings.web.show_values
        self._advice: Mapping[str, str] = entry_of(settings).traits(settings).advice
        self._state = state
        self._record_link = record_link
        self._role = role
        self._turn = asyncio.Lock()

    async def waiting(self) -> dict[str, Any]:
        """What is parked, held or waiting: ``dead_letters``, ``bad_records``, ``held``, ``outbox``."""
        return await self._look(self._waiting)

    async def find(self, text: str) -> list[dict[str, Any]]:
        """The traces of the objects that have this name. CdcError if no object has it."""
        try:
            names = split_names(text.split())
        except ValueError as error:
            raise CdcError(str(error)) from None
        # Two names would show two unlike things under one heading.
        if len(names) != 1:
            raise CdcError("name one object", hint="write order 42, order-42, #000000042, an email address or a SKU")
        return await self._look(lambda store: self._traces(store, *names[0]))

    async def retry(self, names: Sequence[str], reason: str | None) -> int:
        """Render the objects of dead letters again and send them. Returns how many.

        ``names``: our ids of the objects; ``reason``: instead of names, all with this reason. CdcError if there are
        none.
        """
        self._require_sending()

        def change(store: Store) -> int:
            letters = dead_letters.list_all(store)
            wanted = set(names)
            refs = [
                one.ref
                for one in letters
                if (one.reason == reason if reason is not None else one.ref.external_id(self._namespace) in wanted)
            ]
            # Somebody else, or the object's next change, was faster.
            if not refs:
                raise CdcError("no such dead letter is held any more")
            return sum(dead_letters.retry(store, ref) for ref in refs)

        done = await self._change(change)
        log.info("dead_letters_retried", count=done, by="page")
        return done

    async def release(self, kind: str, count: int) -> int:
        """Release the held deletions of a type ("": all). Returns how many.

        ``count``: how many the operator expects. CdcError if another number is held, ConfigError for an unknown type.
        """
        self._require_sending()
        # An unknown word must never stand for all types.
        if kind and kind.lower() not in WORDS:
            raise ConfigError([f"{kind} is no type of object"], source="page")

        def change(store: Store) -> int:
            held = [one.ref for one in circuit_breaker.held(store)]
            refs = [ref for ref in held if ref.kind in WORDS[kind.lower()]] if kind else held
            # What is held may have grown since somebody looked, and a deletion cannot be taken back.
            if len(refs) != count:
                raise CdcError(f"{len(refs)} deletions are held now, not {count}: nothing was released")
            return circuit_breaker.release(store, int(time.time() * 1000), refs if kind else None)

        done = await self._change(change)
        log.info("deletions_released", count=done, type=kind or "all", by="page")
        return done

    async def _look(self, work: Callable[[Store], T]) -> T:
        def look() -> T:
            # A connection of its own: SQLite shows it what was committed, and waits for nobody.
            tables = self._state.engine.tables
            store = Store(self._folder, tables, exclusive=False, create=False, only_looks=True)
            try:
                with store.transaction():
                    return work(store)
            finally:
                store.close()

        async with self._turn:
            return await asyncio.to_thread(look)

    async def _change(self, work: Callable[[Store], T]) -> T:
        # A call to a thread that has ended would never be answered.
        if not self._state.is_alive():
            raise CdcError("the state is closed: the daemon is stopping")
        return await self._state.call(work)

    def _require_sending(self) -> None:
        # A follower's state is a copy: what is changed there is overwritten by the leader's receipts.
        if self._role() not in ("leader", "alone"):
            raise CdcError(
                f"this member does not send (it is {self._role()})", hint="open the page of the member that leads"
            )

    def _waiting(self, store: Store) -> dict[str, Any]:
        held = circuit_breaker.held(store)
        records = feeds.bad_records(store)
        return {
            "dead_letters": {
                "total": dead_letters.count(store),
                "shown": [self._letter(store, letter) for letter in dead_letters.newest(store, MOST_SHOWN)],
            },
            "bad_records": {
                "total": len(records),
                "shown": [
                    {"record": one.name, "since": iso_s(at_ms), "reason": one.reason}
                    for one, at_ms in records[-MOST_SHOWN:]
                ],
            },
            "held": {
                "total": len(held),
                "by_type": Counter(one.ref.object_type.value for one in held),
                "shown": [
                    self._named(one.ref) | {"since": iso_ms(one.rendered_ms), "position": one.position}
                    for one in held[:MOST_SHOWN]
                ],
            },
            "outbox": {
                "oldest": {OBJECT_TYPE[kind].value: iso_ms(ms) for kind, ms in outbox.oldest_rendered(store).items()},
                "shown": [
                    self._named(one.ref)
                    | {
                        "action": one.action.value,
                        "since": iso_ms(one.rendered_ms),
                        "attempts": one.attempts,
                        "waits_for": one.cause,
                    }
                    for one in waiting.waiting(store, MOST_SHOWN, held=False)
                ],
            },
        }

    def _named(self, ref: ObjectRef) -> dict[str, Any]:
        return {"object": ref.external_id(self._namespace), "type": ref.object_type.value}

    def _letter(self, store: Store, letter: DeadLetter) -> dict[str, Any]:
        """A dead letter for people; its detail, which may quote a value, only where values may be shown."""
        return (
            self._named(letter.ref)
            | {
                "action": letter.action.value,
                "since": letter.at,
                "reason": letter.reason,
                "advice": letter.advice(self._namespace, self._advice),
                "detail": letter.detail if self._values else "",
            }
            | self._record(store, letter.ref)
        )

    def _record(self, store: Store, ref: ObjectRef) -> dict[str, str]:
        record_id = sent_versions.sent_side(store, ref).record_id
        link = self._record_link(ref.object_type, record_id) if record_id else ""
        return {"record_id": record_id, "record_link": link}

    def _traces(self, store: Store, word: str, text: str) -> list[dict[str, Any]]:
        mapper = self._state.engine.mapper  # it has no state of its own, so any thread may render with it
        rows = ReplicaRows(store, self._state.engine.tables)
        look = Look(store, LogPositions(store), mapper, rows, self._namespace, lambda ref: self._record(store, ref))
        now_ms = int(time.time() * 1000)
        found = []
        for ref in find_objects(word, text, rows, self._namespace)[: 2 * MOST_TRACED]:
            document = object_trace(look, ref, now_ms, values=self._values, details=self._values)
            # Found by name, but nothing is known of it.
            if document is not None:
                found.append(document)
        # The filter or the position are the likely reasons.
        if not found:
            raise CdcError(
                "nothing is known by that name: the state has no rows of it, and nothing was ever sent for it",
                hint="mapping.filter may leave it out, or it is newer than the position that is applied",
            )
        return found[:MOST_TRACED]
