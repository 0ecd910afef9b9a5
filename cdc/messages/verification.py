"""What the receiver should hold, page by page, for ``verify``; and the requests that repair differences.

Only settled objects are compared: accepted, not deleted since, with nothing pending. A repair is a request to render,
and goes the same way as every change. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from cdc.errors import RenderError
from cdc.messages import ledger, relinks, render_queue, sent_versions
from cdc.messages.ledger import Ledger
from cdc.messages.refs import parse_refs
from cdc.model import (
    OF_CARTS,
    Action,
    Comparison,
    Drift,
    Kind,
    Message,
    ObjectRef,
    Reference,
    Urgency,
    parse_external_id,
)
from cdc.protocols import Mapper, RowReader
from cdc.replica.load_state import Phase
from cdc.state.objects import has
from cdc.state.store import Store


class Page(NamedTuple):
    """Messages as they would be sent now. ``last``: the id to go on after; None after the last object of the kind."""

    messages: list[Message]
    last: int | str | None


class Expected:
    """Renders accepted objects once more. One instance per run: it keeps the mapper and the rows."""

    def __init__(self, store: Store, mapper: Mapper, rows: RowReader, namespace: str) -> None:
        self._store = store
        self._mapper = mapper
        self._rows = rows
        self._namespace = namespace
        self._ledger = Ledger(store)

    def page(self, kind: Kind, after: int | str | None, limit: int) -> Page:
        """The next ``limit`` accepted objects of a kind past ``after`` (None: from the first object on)."""
        first = after if after is not None else "" if kind is Kind.GUEST else -1
        found = self._store.db.execute(
            "SELECT id FROM ledger WHERE kind = ? AND id > ? AND accepted_at > 0 AND accepted_delete = 0"
            " AND delete_on_wire = 0 ORDER BY id LIMIT ?",
            (kind.value, first, limit),
        ).fetchall()
        messages = [self._message(ObjectRef(kind, object_id)) for (object_id,) in found]
        # A short page was the last one.
        last = found[-1][0] if len(found) == limit else None
        return Page([message for message in messages if message is not None], last)

    def somewhere(self, kind: Kind, random: Random) -> int | str | None:
        """A random id to begin a sample after; None where there are too few objects to choose from."""
        # Guests have hashes for ids, which are spread evenly.
        if kind is Kind.GUEST:
            return f"{random.getrandbits(96):024x}"
        row = self._store.db.execute(
            "SELECT (SELECT id FROM ledger WHERE kind = ?1 ORDER BY id LIMIT 1),"
            " (SELECT id FROM ledger WHERE kind = ?1 ORDER BY id DESC LIMIT 1)",
            (kind.value,),
        ).fetchone()
        return random.randint(row[0] - 1, row[1]) if row[0] is not None else None

    def _message(self, ref: ObjectRef) -> Message | None:
        """The object's message; None for an object that is not settled or cannot be rendered, as its next message will
        decide.
        """
        held = self._ledger.get(ref)
        # Its next message changes the receiver anyway.
        if held is None or self._is_pending(ref):
            return None
        try:
            made = self._mapper.render(ref, self._rows)
        except (RenderError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            # What cannot be rendered is a dead letter, and no difference of the receiver's.
            return None
        # The shop has lost it; its deletion is on the way.
        if made is None:
            return None
        ever = set(self._ledger.bits.names(held.properties))
        sent = sent_versions.sent_side(self._store, ref)
        references = tuple(self._reference(other) for other in parse_refs(sent.accepted_refs))
        return Message(
            object_type=ref.object_type,
            external_id=ref.external_id(self._namespace),
            action=Action.UPSERT,
            changed_at=held.accepted_at,
            # an empty value is sent only for a property that ever held something
            properties={name: text for name, text in made.properties.items() if text or name in ever},
            record_id=held.record_id,
            was_accepted=True,
            references=references,
        )

    def _reference(self, ref: ObjectRef) -> Reference:
        record_id = sent_versions.sent_side(self._store, ref).record_id
        return Reference(ref.object_type, ref.external_id(self._namespace), record_id)

    def _is_pending(self, ref: ObjectRef) -> bool:
        return render_queue.is_queued(self._store, ref) or any(
            has(self._store.db, table, ref) for table in ("outbox", "dead_letter")
        )

    def message_of(self, ref: ObjectRef) -> Message | None:
        """The message of one settled object; None for an object that is not settled, or that the shop does not have."""
        held = self._ledger.get(ref)
        if held is None or held.accepted_at == 0 or held.accepted_delete or held.delete_on_wire:
            return None
        return self._message(ref)

    def still_settled(self, messages: Sequence[Message], compared: Sequence[Comparison]) -> list[Comparison]:
        """The results without the objects that changed while their records were read.

        For those objects, message and record do not belong together; their next message will decide.
        """
        by_id = {message.external_id: message.changed_at for message in messages}
        return [one for one in compared if self._is_settled(one.external_id, by_id.get(one.external_id, 0))]

    def _is_settled(self, external_id: str, changed_at: int) -> bool:
        ref = parse_external_id(external_id, self._namespace)
        held = self._ledger.get(ref)
        return held is not None and held.accepted_at == changed_at and not self._is_pending(ref)

    def extras(self, keys: Iterable[tuple[str, str]], since_ms: int) -> list[Comparison]:
        """The keys and record ids, among those the receiver listed, that are of our namespace and of no object of the
        shop.

        ``since_ms``: when the listing began, epoch milliseconds. An object that was deleted since then may have been
        listed just before.
        """
        found = []
        for key, record_id in keys:
            ref = self._ref(key)
            # Keys of other namespaces belong to other shops.
            if ref is None:
                continue
            held = self._ledger.get(ref)
            is_gone = held is None or held.accepted_at == 0 or (held.accepted_delete and held.answered_ms < since_ms)
            if is_gone and not self._is_pending(ref):
                found.append(Comparison(key, Drift.EXTRA, record_id=record_id))
        return found

    def never_sent(self, keys: Iterable[tuple[str, str]]) -> list[str] | None:
        """The keys, among the receiver's newest, that are of our namespace and that this state never knew.

        The ledger forgets nothing, so a state that is as new as the receiver knows all of them. None while that is not
        known: a load goes on, or objects wait to be rendered for the first time.
        """
        is_complete = self._store.meta.load_state.get("phase") == Phase.COMPLETE
        if not is_complete or render_queue.is_any(self._store):
            return None
        refs = {key: ref for key, _ in keys if (ref := self._ref(key)) is not None}
        # After a lost state, carts that were ordered before are known to nobody: no row tells that they were ever left.
        refs = {key: ref for key, ref in refs.items() if ref.kind not in OF_CARTS}
        return [key for key, ref in refs.items() if self._ledger.get(ref) is None]

    def _ref(self, key: str) -> ObjectRef | None:
        if not key.startswith(f"{self._namespace}-"):
            return None
        try:
            return parse_external_id(key, self._namespace)
        except ValueError:
            return None


def repair(store: Store, namespace: str, comparisons: Sequence[Comparison], now_ms: int) -> int:
    """Ask for a repair of each difference. Returns how many objects that is. Records that people merged are left as
    they are.
    """
    count = 0
    for one in comparisons:
        # People merged these on purpose.
        if one.drift in (Drift.EQUAL, Drift.MERGED):
            continue
        ref = parse_external_id(one.external_id, namespace)
        # Forgetting the record makes the next message look for it, or make a new one.
        if one.drift is Drift.MISSING:
            relinks.note(store, [(ref, sent_versions.sent_side(store, ref).record_id)])
            ledger.note_records(store, [(ref, "")])
        elif one.drift is Drift.LINK_MISSING:
            # With no link known, the next message makes all of them.
            ledger.set_links(store, ref, "")
        elif one.drift is Drift.EXTRA:
            # Taken as accepted, so that the next rendering deletes it.
            ledger.note_stray(store, ref, one.record_id, now_ms)
        is_link = one.drift is Drift.LINK_MISSING
        render_queue.mark(store, ref, urgency=Urgency.HISTORY, force=not is_link, links=is_link)
        count += 1
    return count
