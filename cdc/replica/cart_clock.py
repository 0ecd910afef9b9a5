"""Since when each open cart has not changed, and whether it was abandoned: facts that no row of the shop tells.

Only this module writes the table ``cart_clock``, one row per cart that is open or was
ordered after it was abandoned. Renderers read it by ``RowReader`` like a
row of the shop, so what they make depends on rows alone. A row is written in the transaction of the change that it is
about, so a crash or a repeat of the log cannot make the two differ. Use inside a store transaction.
"""

from __future__ import annotations

from typing import NamedTuple

from cdc.model import Row
from cdc.state.store import Store


class CartClock(NamedTuple):
    """One cart. ``content``: digest of what counts in it. ``changed_ms``: when that changed last, ``abandoned_ms``:
    since when the cart is abandoned (0: it is not); epoch milliseconds. ``is_shown``: it was abandoned at some time
    since it is open, so it is an object. ``is_history``: the first load met it, and nothing of it has changed since.
    ``is_ordered``: an order completed it, so it is not open any more, and no time passes for it.
    """

    content: bytes
    changed_ms: int
    abandoned_ms: int = 0
    is_shown: bool = False
    is_history: bool = False
    is_ordered: bool = False

    def as_row(self, quote_id: int) -> Row:
        """The cart as renderers see it."""
        return {
            "quote_id": quote_id,
            "changed_ms": self.changed_ms,
            "abandoned_ms": self.abandoned_ms,
            "is_shown": int(self.is_shown),
        }


_COLUMNS = "content, changed_ms, abandoned_ms, is_shown, is_history, is_ordered"


def get(store: Store, quote_id: int | str) -> CartClock | None:
    """The cart's clock; None if the cart is neither open nor kept since its order."""
    row = store.db.execute(f"SELECT {_COLUMNS} FROM cart_clock WHERE quote_id = ?", (quote_id,)).fetchone()
    return CartClock(*row[:3], *map(bool, row[3:])) if row is not None else None


def put(store: Store, quote_id: int, clock: CartClock) -> None:
    """Set the cart's clock."""
    store.db.execute(
        f"INSERT OR REPLACE INTO cart_clock (quote_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (quote_id, *clock[:3], *map(int, clock[3:])),
    )


def remove(store: Store, quote_id: int) -> None:
    """The cart is no object any more, and will not become one."""
    store.db.execute("DELETE FROM cart_clock WHERE quote_id = ?", (quote_id,))


def clear(store: Store) -> None:
    """Carts are not sent any more."""
    store.db.execute("DELETE FROM cart_clock")


def due(store: Store, changed_until_ms: int, limit: int) -> list[int]:
    """Carts that are not abandoned yet and have not changed since this time, the longest unchanged first."""
    rows = store.db.execute(
        "SELECT quote_id FROM cart_clock WHERE abandoned_ms = 0 AND is_ordered = 0 AND changed_ms <= ?"
        " ORDER BY changed_ms LIMIT ?",
        (changed_until_ms, limit),
    )
    return [quote_id for (quote_id,) in rows]
