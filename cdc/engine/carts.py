"""Notes when the content of each open cart changed, and that a cart was left. Use inside a store transaction.

Nothing happens in the shop when a shopper leaves, so only time tells. ``look`` starts a cart's time anew when its
content changed; ``abandon`` is called when time has passed in the shop. Both write facts into ``cart_clock`` and have
the objects rendered that show them.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cdc.engine.parts import Parts
from cdc.messages import render_queue
from cdc.model import Kind, ObjectRef, Row, Urgency
from cdc.protocols import CART_CLOCK, CartContent, CartRules
from cdc.replica import cart_clock
from cdc.replica.cart_clock import CartClock

CARTS: Final = frozenset({Kind.CART, Kind.CART_OBJECT})
"""The kinds of objects that are a cart."""

RULES_BYTES: Final = 4
"""The bytes at the beginning of a kept digest that tell the mapping by which it was made."""

AT_ONCE: Final = 500
"""The most carts that one call notes as abandoned: some 20 ms of the state thread."""


class Carts:
    """The clocks of all open carts. Does nothing where carts are not sent."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._rules = parts.mapper.cart_rules
        # Digests that begin alike were made by the same mapping.
        self._made_by = hashlib.blake2b(parts.mapper.version.encode(), digest_size=RULES_BYTES).digest()

    def look(self, cart: ObjectRef, commit_ms: int, urgency: Urgency) -> None:
        """A cart is about to be rendered: note whether its content changed. ``commit_ms`` 0: not by a change of the
        log that was just read.
        """
        quote_id = cart.id
        if self._rules is None or not isinstance(quote_id, int):
            return
        before = cart_clock.get(self._store, quote_id)
        held = self._as_left_by(commit_ms, before) if before is not None else None
        content = self._content(self._rules, quote_id)
        if content is None:
            if before is not None and held is not None:
                after = self._end(quote_id, held)
                if after != before:
                    self._affect(quote_id, before, after, commit_ms, but=cart)
            return
        # Its order was deleted, and the shopper has it back.
        if held is not None and held.is_ordered:
            held = None
        if held is not None and held.content[RULES_BYTES:] == content.digest[RULES_BYTES:]:
            # Another mapping, by which the same counts.
            if held.content != content.digest:
                cart_clock.put(self._store, quote_id, held._replace(content=content.digest))
            return
        if held is not None and not commit_ms and content.updated_ms <= _known_until_ms(held, content):
            cart_clock.put(self._store, quote_id, held._replace(content=content.digest))
            return
        clock = _started(content, held, commit_ms, urgency)
        cart_clock.put(self._store, quote_id, clock)
        self._affect(quote_id, before, clock, commit_ms, but=cart)

    def _as_left_by(self, commit_ms: int, held: CartClock) -> CartClock:
        """The clock as it was just before the change of ``commit_ms``: the cart may have been left until then, although
        nobody looked in time (a downtime, a member that reads later than others).

        So which carts were ever abandoned follows from the shop's commits alone, and all members agree on it.
        """
        assert self._rules is not None
        is_due = not held.abandoned_ms and commit_ms >= held.changed_ms + self._rules.abandoned_after_ms
        return held._replace(is_shown=True) if is_due and not held.is_ordered else held

    def _content(self, rules: CartRules, quote_id: int) -> CartContent | None:
        found = rules.content(quote_id, self._parts.rows)
        return found._replace(digest=self._made_by + found.digest) if found is not None else None

    def _end(self, quote_id: int, held: CartClock) -> CartClock | None:
        """The cart is not open any more. Returns its clock from now on."""
        if self._rules is not None and held.is_shown and self._rules.stays(quote_id, self._parts.rows):
            after = held._replace(is_ordered=True)
            cart_clock.put(self._store, quote_id, after)
            return after
        # Emptied, merged, deactivated or deleted: if it opens again, its time begins anew.
        cart_clock.remove(self._store, quote_id)
        return None

    def forget_if_not_sent(self) -> None:
        """The mapping has changed: if it sends no carts, none is followed any more."""
        if self._rules is None:
            cart_clock.clear(self._store)

    def abandon(self, shop_ms: int) -> bool:
        """Note the carts that are left by now. ``shop_ms``: the time, epoch milliseconds, up to which every change in
        the shop is applied. Returns whether there may be more.

        A cart is abandoned since its last change plus the waiting time, whenever that is noticed: after a day of
        downtime the result is the same as without it.
        """
        parts, load = self._parts, self._parts.load
        # Rows of several moments lie side by side until the load or a replay is through. Where whole tables are never
        # read, each cart's rows are fetched once more before the cart is rendered.
        is_ready = (load.is_complete or load.fetches_only) and parts.positions.current() >= parts.positions.high
        if self._rules is None or not is_ready:
            return False
        wait_ms = self._rules.abandoned_after_ms
        found = cart_clock.due(self._store, shop_ms - wait_ms, AT_ONCE)
        for quote_id in found:
            held = cart_clock.get(self._store, quote_id)
            assert held is not None, "it was just found"
            clock = held._replace(abandoned_ms=held.changed_ms + wait_ms, is_shown=True)
            cart_clock.put(self._store, quote_id, clock)
            urgency = Urgency.HISTORY if held.is_history else Urgency.LIVE
            self._affect(quote_id, held, clock, clock.abandoned_ms, urgency)
        return len(found) == AT_ONCE

    def has_due(self, shop_ms: int) -> bool:
        """Whether ``abandon`` would note anything: a cheap look at one index."""
        if self._rules is None:
            return False
        return bool(cart_clock.due(self._store, shop_ms - self._rules.abandoned_after_ms, 1))

    def _affect(
        self,
        quote_id: int,
        before: CartClock | None,
        after: CartClock | None,
        commit_ms: int,
        urgency: Urgency = Urgency.LIVE,
        *,
        but: ObjectRef | None = None,
    ) -> None:
        """Have everything rendered that shows the cart's clock, ``but`` the object that is about to be rendered."""
        rows = [_row(quote_id, clock) for clock in (before, after)]
        fetch = not self._parts.load.is_complete
        for ref in self._parts.mapper.affected(CART_CLOCK, rows[0], rows[1], self._parts.rows):
            if isinstance(ref, ObjectRef) and ref != but:
                render_queue.mark(self._store, ref, urgency=urgency, commit_ms=commit_ms, fetch=fetch)


def _row(quote_id: int, clock: CartClock | None) -> Row | None:
    return clock.as_row(quote_id) if clock is not None else None


def _known_until_ms(held: CartClock, content: CartContent) -> int:
    """Up to when a row that was read, and not followed, may have been saved without a change that counts.

    By the same rules another digest is a change of the shop's, which the log did not tell: it is as old as the shop's
    last save, unless that is older than the last change that is known. By other rules (another mapping, another
    release) the digest alone may be another one; then a save while the cart was left changed nothing that counts.
    """
    has_same_rules = held.content[:RULES_BYTES] == content.digest[:RULES_BYTES]
    return held.changed_ms if has_same_rules else max(held.changed_ms, held.abandoned_ms)


def _started(content: CartContent, held: CartClock | None, commit_ms: int, urgency: Urgency) -> CartClock:
    """The clock of a cart whose content is new."""
    # A row that was read, not followed, tells by itself when the shop last saved it.
    changed_ms = commit_ms or content.updated_ms
    is_history = held is None and not commit_ms and urgency is Urgency.HISTORY
    return CartClock(content.digest, changed_ms, 0, held is not None and held.is_shown, is_history)
