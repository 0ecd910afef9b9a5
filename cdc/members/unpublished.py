"""Objects whose state the leader has yet to publish to the other members.

Triggers note them in the transaction that changes them, so no code path can forget it. Only this module writes the
table ``unpublished``. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cdc.model import Kind, ObjectRef
from cdc.state.store import Store

_HASH: Final = "CASE WHEN {row}.accepted_hash IS 1 THEN {row}.rendered_hash ELSE {row}.accepted_hash END"
_ACCEPTANCE: Final = " OR ".join(
    f"{value.format(row='NEW')} IS NOT {value.format(row='OLD')}"
    for value in (_HASH, "{row}.rendered_at + {row}.accepted_after", "{row}.accepted_delete", "{row}.record_id")
)
_TRIGGERS: Final = (
    # Rendering writes these columns, too, as they are differences; it leaves the acceptance as it is.
    ("ledger_line", "UPDATE OF accepted_hash, accepted_after, record_id", "NEW", f" WHEN {_ACCEPTANCE}"),
    ("dead_letter", "INSERT", "NEW", ""),
    ("dead_letter", "DELETE", "OLD", ""),
    ("waiting_for_parent", "INSERT", "NEW", ""),
    ("waiting_for_parent", "DELETE", "OLD", ""),
)  # fmt: skip


def watch(store: Store, *, on: bool) -> None:
    """Note changes from now on (the leader does), or no longer."""
    for table, event, row, when in _TRIGGERS:
        name = f"publish_{table}_{event.split()[0].lower()}"
        store.db.execute(f"DROP TRIGGER IF EXISTS temp.{name}")
        if on:
            store.db.execute(
                f"CREATE TEMP TRIGGER {name} AFTER {event} ON main.{table}{when} BEGIN"
                f" INSERT OR REPLACE INTO unpublished (kind, id) VALUES ({row}.kind, {row}.id); END"
            )


def note_all(store: Store) -> None:
    """Note every object of which HubSpot may know: the topic with their states is gone."""
    store.db.execute(
        "INSERT OR REPLACE INTO unpublished (kind, id) SELECT kind, id FROM ledger WHERE accepted_at > 0"
        " UNION SELECT kind, id FROM dead_letter UNION SELECT kind, id FROM waiting_for_parent"
    )


def oldest(store: Store, limit: int) -> list[tuple[int, ObjectRef]]:
    """The objects that changed first, each with the number of its change."""
    rows = store.db.execute("SELECT seq, kind, id FROM unpublished ORDER BY seq LIMIT ?", (limit,)).fetchall()
    return [(seq, ObjectRef(Kind(kind), object_id)) for seq, kind, object_id in rows]


def published(store: Store, numbers: Iterable[int]) -> None:
    """These changes are on the topic. An object that changed since keeps its order."""
    store.db.executemany("DELETE FROM unpublished WHERE seq = ?", [(number,) for number in numbers])


def clear(store: Store) -> None:
    """Another member has led since: that member publishes the objects' states now."""
    store.db.execute("DELETE FROM unpublished")
