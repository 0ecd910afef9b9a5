"""Render → compare → outbox: one object's rows become a message, if the message differs from the last one.

A message equal to the last rendered message is not sent. If a message equals what HubSpot holds, and no newer version
was ever on the wire, the pending message is taken back. ``changed_at`` = max(commit time, last rendered + 1, minimum
changed_at).
"""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path
from typing import NamedTuple

from cdc.errors import RenderError
from cdc.log_events import get_logger
from cdc.messages import contact_emails, dead_letters, journeys, ledger, outbox, unconfirmed, waiting_for_parent
from cdc.messages.contact_emails import EmailRule, mark_of
from cdc.messages.digests import Effect, body_of, message_digest
from cdc.messages.ever_set import EverSet
from cdc.messages.first_load import FirstCounts
from cdc.messages.ledger import Ledger, LedgerEntry
from cdc.messages.refs import dump_refs
from cdc.messages.withholding import Withholding
from cdc.messages.writes import Writes
from cdc.model import OF_CARTS, Action, Kind, ObjectRef, ObjectType, Rendered, Urgency
from cdc.protocols import Clock, Mapper, RowReader
from cdc.state.store import Store

log = get_logger(__name__)

_EMPTY = LedgerEntry()
ODD_DATA = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that rows without sense raise in a mapper, besides RenderError."""
DELETED = hashlib.blake2b(b"DELETE", digest_size=16).digest()
"""The hash of every DELETE."""


class RenderRequest(NamedTuple):
    """Why an object is rendered: the position in the log, when the change was committed and read, and the urgency.

    ``lsn``: of the position. ``read_ms`` 0: the reason is not a change that was just read. ``force``: send it even if
    nothing changed. ``links``: link it even if nothing changed. ``release``: send it even if it was withheld, because
    an object that is sent refers to it.
    """

    position: str
    commit_ms: int
    urgency: Urgency
    force: bool = False
    lsn: int = 0
    read_ms: int = 0
    links: bool = False
    release: bool = False


class Renderer:
    """Renders objects into the outbox. Use inside a store transaction."""

    def __init__(self, store: Store, rows: RowReader, mapper: Mapper, clock: Clock) -> None:
        self._store = store
        self._rows = rows
        self._mapper = mapper
        self._clock = clock
        self.ledger = Ledger(store)
        self.minimum_changed_at = store.meta.minimum_changed_at
        self._has_letters = dead_letters.any_unrendered(store)
        """Whether there are dead letters of objects that could not be rendered; rendering such an object removes its
        letter.
        """
        self.is_following = False
        """Whether another member sends. Then any message that waits here may be on the wire there."""
        self.leads_since_ms = 0
        """When this member took over from another member, epoch milliseconds.
        That member may have sent older changes.
        """
        self.emails = EmailRule()
        """What the sink does with a changed email of a contact; set before anything is rendered."""
        self.object_types: frozenset[ObjectType] = frozenset(ObjectType)
        """The types that the sink takes; objects of other types are not rendered."""
        self._restored_ms = store.meta.restored_ms
        self.delete_grace_ms = 0
        """How long a DELETE is delayed in the outbox; set before anything is rendered."""
        self.first = FirstCounts()
        self.withholding = Withholding(store, rows, mapper, self.ledger, self.first)
        self._ever = EverSet(self.ledger.bits, mapper)
        self.rendered = 0
        self.enqueued = 0
        self.unchanged = 0

    def reread(self) -> None:
        """A transaction was undone: read the values kept in memory again."""
        self.ledger.reread()
        self.withholding.reread()
        self._ever.reread()
        self.minimum_changed_at = self._store.meta.minimum_changed_at
        self._restored_ms = self._store.meta.restored_ms

    def raise_minimum_changed_at(self, minimum_changed_at: int) -> None:
        """No later ``changed_at`` is below this time, in epoch milliseconds."""
        self.minimum_changed_at = self._store.meta.minimum_changed_at = minimum_changed_at

    def note_restored(self, now_ms: int) -> None:
        """An older copy of the state was restored: HubSpot may hold any change committed before now."""
        self._restored_ms = self._store.meta.restored_ms = now_ms

    def _is_sent_before(self, request: RenderRequest) -> bool:
        """Whether this change may have been sent before an older copy of the state was restored."""
        return 0 < request.commit_ms <= self._restored_ms

    def render(self, ref: ObjectRef, request: RenderRequest) -> list[ObjectRef]:
        """Render one object. Returns the objects that have to be rendered too.

        These are the objects that it refers to and that were never rendered, or are withheld while it is sent; and its
        parts, if it was withheld until now.
        """
        # A sink that does not know the type must not get it, and its backlog would never end.
        if ref.object_type not in self.object_types:
            return []
        if self._is_sent_before(request):
            request = request._replace(force=True)
        self.rendered += 1
        try:
            made = self._mapper.render(ref, self._rows)
        except RenderError as error:
            self._set_aside(ref, request, str(error))
            return []
        except ODD_DATA as error:
            # one object's odd data must not stop the others; the error's text could hold row values, its line cannot
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._set_aside(ref, request, f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}")
            return []
        held = self.ledger.take(ref)
        if self._has_letters:
            dead_letters.rendered(self._store, ref)
        if made is None:
            self._vanish(ref, held, request)
            return []
        for warning in made.warnings:
            log.warning(  # a wrong setting warns with every product: once a minute is enough
                "render_warning",
                limit=warning,
                object=f"{ref.kind}-{ref.id}",
                reason=warning,
                position=request.position,
            )
        held = held or _EMPTY
        if not self._exist(ref, made, held, request):
            return []  # withheld: what it refers to needs not go for its sake
        others = [other for other in made.references if self._is_missing(other)]
        if self.withholding.has_any and not held.tried_at:
            others += [part for part in self._mapper.parts(ref, self._rows) if self.withholding.is_withheld(part)]
        return others

    def effect(self, ref: ObjectRef) -> Effect:
        """What rendering this object would change in HubSpot, which holds it. Nothing is written."""
        if ref.object_type not in self.object_types:
            return Effect.SAME
        try:
            made = self._mapper.render(ref, self._rows)
        except (RenderError, *ODD_DATA):
            return Effect.FAILED
        if made is None:
            return Effect.DELETED
        held = self.ledger.get(ref) or _EMPTY
        mark, is_other = self._email_mark(ref, made, held)
        email = held.email if is_other and self.emails.leave_out else mark
        digest = message_digest(made.properties, dump_refs(made.references), self.emails.name, email)
        return Effect.SAME if digest == held.accepted_hash else Effect.CHANGED

    def _is_missing(self, ref: ObjectRef) -> bool:
        # Nearly always nothing is withheld, and then the line itself does not matter.
        if not self.withholding.has_any:
            return not self.ledger.has(ref)
        held = self.ledger.get(ref)
        return held is None or self.withholding.is_withheld(ref, held)

    def _exist(self, ref: ObjectRef, made: Rendered, held: LedgerEntry, request: RenderRequest) -> bool:
        """Put the message into the outbox if it differs from the last one; False if the object is withheld."""
        properties, ever = self._ever.settle(made, held.properties)
        email = self._email(ref, made, properties, held, request) if ref.kind is Kind.CUSTOMER else b""
        body, refs = body_of(properties), dump_refs(made.references)
        digest = message_digest(properties, refs, self.emails.name, email, body)
        if held.rendered_hash is None:
            self.first.rendered[ref.object_type] += 1
        is_history = request.urgency is Urgency.HISTORY and not (request.force or request.release)
        if is_history and self.withholding.applies_to(ref, held):
            self.withholding.note(ref, digest, held, ever, request.lsn)
            return False
        links_only = request.links and not request.force and digest == held.accepted_hash == held.rendered_hash
        if digest == held.rendered_hash and not request.force and not links_only:
            was_withheld = self.withholding.is_withheld(ref, held)
            if not (was_withheld and request.release):
                self.unchanged += 1
                return not was_withheld
        is_accepted = digest == held.accepted_hash and held.tried_at == held.accepted_at
        if is_accepted and not request.force and not links_only:
            # what waits was never tried, and HubSpot holds just this: nothing needs to be sent any more
            self._take_back(ref)
            self.ledger.set_rendered(ref, digest, held.rendered_at, delete=False, properties=ever, lsn=request.lsn)
            self.unchanged += 1
            return True
        if self.is_following and digest == held.accepted_hash:
            self._leave(ref)
            self.ledger.set_rendered(ref, digest, held.accepted_at, delete=False, properties=ever, lsn=request.lsn)
            return True
        changed_at = self._changed_at(held, request)
        mark = email if properties.get(self.emails.name) else b""
        address = journeys.mark_of(made.journey) if made.journey is not None else b""
        if self.emails.address and ref.object_type is ObjectType.CONTACT:
            address = contact_emails.address_mark(made.properties.get(self.emails.address, ""))
        writes = Writes.LINKS if links_only else Writes.WHOLE if request.force else Writes.CHANGES
        self._enqueue(
            ref, Action.UPSERT, changed_at, digest, body.decode(), refs, request, mark, address, writes=writes
        )
        self.ledger.set_rendered(ref, digest, changed_at, delete=False, properties=ever, lsn=request.lsn)
        self._may_be_tried(ref, changed_at, mark)
        return True

    def _email(
        self, ref: ObjectRef, made: Rendered, properties: dict[str, str], held: LedgerEntry, request: RenderRequest
    ) -> bytes:
        """The mark of the customer's email that the sink has or gets. An email that the sink would not change is taken
        out.
        """
        rule = self.emails
        if made.properties.get(rule.name) is None:
            return b""
        mark, is_other = self._email_mark(ref, made, held)
        new = mark if is_other else b""
        if new != held.email_new:
            contact_emails.note_new(self._store, ref, new)
            if new and not self.is_following:
                action = "left_out" if rule.leave_out else "sent"
                log.warning(
                    "contact_email_changed", object=f"{ref.kind}-{ref.id}", email=action, position=request.position
                )
        if not is_other or not rule.leave_out:
            return mark
        properties.pop(rule.name, None)
        return held.email

    def _email_mark(self, ref: ObjectRef, made: Rendered, held: LedgerEntry) -> tuple[bytes, bool]:
        """The mark of the customer's email as rendered, and whether the sink holds another address."""
        value = made.properties.get(self.emails.name)
        if ref.kind is not Kind.CUSTOMER or value is None:
            return b"", False
        mark = mark_of(ref, value) if value else b""
        return mark, held.email not in (b"", mark)

    def _vanish(self, ref: ObjectRef, held: LedgerEntry | None, request: RenderRequest) -> None:
        if held is None or held.rendered_hash is None:
            if self._may_be_known(ref, request):
                self._vanish_unseen(ref, held or _EMPTY, request)
            return
        if held.rendered_delete and not request.force:
            self.unchanged += 1
            return
        self._forget(ref)
        if held.tried_at == 0 and held.accepted_at == 0:
            self._take_back(ref)  # the receiver never knew it
            self._set_deleted(ref, held.rendered_at, held, request)
            return
        if self.is_following and (held.accepted_at == 0 or held.accepted_hash == DELETED):
            self._leave(ref)
            self._set_deleted(ref, held.accepted_at or max(held.rendered_at, self._clock.now_ms()), held, request)
            return
        if held.accepted_hash == DELETED and held.tried_at == held.accepted_at and not request.force:
            # it came and went since its last DELETE, and nothing of that was tried: there is nothing to delete
            self._take_back(ref)
            self._set_deleted(ref, held.rendered_at, held, request)
            self.unchanged += 1
            return
        self._delete(ref, held, request)

    def _may_be_known(self, ref: ObjectRef, request: RenderRequest) -> bool:
        """Whether another member may have sent this object, which came and went between two looks of this member.

        An object that a filter left out still has rows. An object that lines or orders name although it is long gone
        was never sent.
        """
        was_led = self.is_following or 0 < request.commit_ms <= max(self.leads_since_ms, self._restored_ms)
        if not was_led or request.urgency is not Urgency.LIVE:
            return False
        return not any(
            self._rows.find(fetch.table, fetch.column, fetch.value) for fetch in self._mapper.fetches(ref, self._rows)
        )

    def _vanish_unseen(self, ref: ObjectRef, held: LedgerEntry, request: RenderRequest) -> None:
        if not self.is_following:
            self._delete(ref, held, request)
            return
        now_ms = self._clock.now_ms()
        unconfirmed.note(self._store, (ref,))
        self._set_deleted(ref, now_ms, held, request)
        self._may_be_tried(ref, now_ms)

    def _delete(self, ref: ObjectRef, held: LedgerEntry, request: RenderRequest) -> None:
        """Put a DELETE into the outbox, delayed by the grace time: a table that is emptied and filled again must not
        delete and create every object.

        A DELETE that an operator asked for (``deadletter retry``, ``verify --repair``) goes at once.
        """
        changed_at = self._changed_at(held, request)
        delay_ms = 0 if request.force else self.delete_grace_ms
        # The shop deletes old carts by the thousand every night, and with them goes whoever only they made.
        is_counted = ref.kind not in OF_CARTS and not self._ever.is_of_carts(held.properties)
        self._enqueue(
            ref, Action.DELETE, changed_at, DELETED, "{}", "", request, delay_ms=delay_ms, is_counted=is_counted
        )
        self._set_deleted(ref, changed_at, held, request)
        self._may_be_tried(ref, changed_at)

    def _leave(self, ref: ObjectRef) -> None:
        """Take the message back: as far as a follower knows, HubSpot holds the same, and the leader may never send
        again.

        The message may have been on the wire at the leader. So it is noted as unconfirmed, and sent once more if this
        member comes to lead.
        """
        self._take_back(ref)
        unconfirmed.note(self._store, (ref,))
        self.unchanged += 1

    def _may_be_tried(self, ref: ObjectRef, changed_at: int, email: bytes = b"") -> None:
        # The leader may send this version from now on, so everything later must be newer.
        if self.is_following:
            contact_emails.sent(self._store, [(ref, changed_at, email)])
            ledger.may_be_on_wire(self._store, ref, changed_at)

    def _set_deleted(self, ref: ObjectRef, changed_at: int, held: LedgerEntry, request: RenderRequest) -> None:
        self.ledger.set_rendered(ref, DELETED, changed_at, delete=True, properties=held.properties, lsn=request.lsn)

    def _forget(self, ref: ObjectRef) -> None:
        """Remove the receiver's texts about an object that is gone: they may quote its values. The DELETE overwrites
        its message.
        """
        dead_letters.forget_detail(self._store, ref)
        waiting_for_parent.forget_detail(self._store, ref)

    def _changed_at(self, held: LedgerEntry, request: RenderRequest) -> int:
        commit_ms = request.commit_ms or self._clock.now_ms()
        return max(commit_ms, held.rendered_at + 1, self.minimum_changed_at)

    def _take_back(self, ref: ObjectRef) -> None:
        outbox.take_back(self._store, ref)

    def _enqueue(
        self,
        ref: ObjectRef,
        action: Action,
        changed_at: int,
        digest: bytes,
        properties: str,
        refs: str,
        request: RenderRequest,
        email: bytes = b"",
        address: bytes = b"",
        *,
        writes: Writes = Writes.WHOLE,
        delay_ms: int = 0,
        is_counted: bool = True,
    ) -> None:
        now_ms = self._clock.now_ms()
        message = outbox.NewMessage(
            ref, action, changed_at, digest, properties, refs, request.urgency, request.commit_ms or now_ms,
            request.read_ms, now_ms, request.position, email, writes, address,
            now_ms + delay_ms if delay_ms else 0, is_counted,
        )  # fmt: skip
        outbox.put(self._store, message)
        self.enqueued += 1

    def _set_aside(self, ref: ObjectRef, request: RenderRequest, reason: str) -> None:
        """Make the object a dead letter. A waiting message of it is older than the fault, and stays."""
        held = self.ledger.get(ref) or _EMPTY
        self._has_letters = True
        letter = dead_letters.DeadLetter(
            ref, Action.UPSERT, held.rendered_at, self._clock.now_ms(), dead_letters.RENDER, reason, request.position
        )
        dead_letters.not_rendered(self._store, letter)
        log.error("render_dead_letter", object=f"{ref.kind}-{ref.id}", reason=reason, position=request.position)
