"""Follows one object from its rows to the sink: its rows, what was sent, what was answered, and where it is now.

For the command ``trace`` and for the operator's page. Changes nothing. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cdc.clock import iso_ms
from cdc.errors import RenderError
from cdc.messages.ledger import LedgerEntry
from cdc.messages.trace import NEVER_RENDERED, RowTrail, Trail, trail
from cdc.model import ObjectRef, Rendered
from cdc.protocols import RowReader
from cdc.replica.rows import ReplicaRows
from cdc.state.positions import LogPositions
from cdc.state.store import Store

_OTHER_EMAIL: Final = (
    "HubSpot has another email for this contact, which the bridge cannot change: change it in HubSpot by hand"
)


class Renders(Protocol):
    """The part of a mapper that makes an object of its rows."""

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        """The object; None if the shop has no such object. RenderError where its rows cannot be understood."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """Where an object is looked up. ``record``: ``record_id`` and ``record_link`` at the receiver, where known."""

    store: Store
    positions: LogPositions
    mapper: Renders
    rows: ReplicaRows
    namespace: str
    record: Callable[[ObjectRef], Mapping[str, str]]


def object_trace(look: Look, ref: ObjectRef, now_ms: int, *, values: bool, details: bool) -> dict[str, Any] | None:
    """All facts about the object, fit for JSON. None if the shop does not have it and nothing of it was ever sent.

    ``values``: show the properties' values, which are personal data. ``details``: show what the receiver said of a dead
    letter, which may quote a value.
    """
    seen = RowTrail(look.rows)
    made, fault = _rendered(look.mapper, ref, seen)
    now = trail(look.store, ref, now_ms)
    # The shop has no such object, nothing was ever sent, and nothing of it waits or is set aside.
    if now.ledger is None and made is None and not fault and now.where == (NEVER_RENDERED,):
        return None
    positions = look.positions
    document: dict[str, Any] = {
        "external_id": ref.external_id(look.namespace),
        "object_type": ref.object_type.value,
        "rows": [
            {"table": table, "key": list(key), "position": positions.text_of(lsn)}
            for (table, key), lsn in sorted(seen.seen.items(), key=lambda item: (item[0][0], str(item[0][1])))
        ],
        "exists": made is not None,
        "where": [{"state": one.state, "cause": one.cause if details else one.plain_cause} for one in now.where],
    }
    # Rows that make no sense are told of; the rest of the trace holds all the same.
    if fault:
        document["not_rendered"] = fault
    if made is not None:
        document["properties"] = _shown(made.properties, values)
        document["refers_to"] = [other.external_id(look.namespace) for other in made.references]
        has_other_email = now.ledger is not None and now.ledger.email_new
        document["warnings"] = [*made.warnings, *([_OTHER_EMAIL] if has_other_email else [])]
    return document | _steps(look, now) | _record(look, ref, now.ledger)


def _rendered(mapper: Renders, ref: ObjectRef, rows: RowReader) -> tuple[Rendered | None, str]:
    """The object as its rows are now, and why it cannot be rendered ("": it can, or it does not exist)."""
    try:
        return mapper.render(ref, rows), ""
    except RenderError as error:
        return None, error.message
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A trace must show also what cannot be rendered, and why; the error's text may quote a value.
        return None, type(error).__name__


def _steps(look: Look, now: Trail) -> dict[str, Any]:
    """What was done with the object, in order: rendered, pending, sent, accepted; what did not happen is missing."""
    steps: dict[str, Any] = {}
    held, pending = now.ledger, now.pending
    if held is not None and held.rendered_hash is not None:
        steps["rendered"] = {
            "position": look.positions.text_of(held.rendered_lsn) if held.rendered_lsn else "",
            "changed_at": held.rendered_at,
            "action": "DELETE" if held.rendered_delete else "UPSERT",
        }
    # What waits may be newer than what was sent.
    if pending is not None:
        steps["pending"] = {
            "action": pending.action.value,
            "changed_at": pending.changed_at,
            "position": pending.position,
            "rendered_at": iso_ms(pending.rendered_ms),
            "attempts": pending.attempts,
        }
    if held is not None and held.tried_at:
        # An answer that is older than the sending belongs to an earlier version.
        answered = held.answered_ms >= held.sent_ms
        steps["sent"] = {
            "at": iso_ms(held.sent_ms),
            "changed_at": held.tried_at,
            "answered_at": iso_ms(held.answered_ms) if answered else "",
            "answer": (held.answer or "accepted") if answered and held.answered_ms else "none yet",
        }
    if held is not None and held.accepted_at:
        steps["accepted"] = {
            "changed_at": held.accepted_at,
            "action": "DELETE" if held.accepted_delete else "UPSERT",
        }
    return steps


def _record(look: Look, ref: ObjectRef, held: LedgerEntry | None) -> dict[str, Any]:
    return {"record": dict(look.record(ref))} if held is not None and held.record_id else {}


def _shown(properties: Mapping[str, str], values: bool) -> dict[str, Any]:
    """Name → value, or without ``values`` whether it is set: values are personal data."""
    return {name: value if values else bool(value) for name, value in sorted(properties.items())}
