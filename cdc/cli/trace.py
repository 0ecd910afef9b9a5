"""``trace``: one object from its rows to the sink: what it is made of, what was sent and answered, where it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc.cli.asking import ask_sink, message_for
from cdc.cli.common import AsJson, Config, Sets, iso, open_state, print_json, print_table, record_of, say, settings_of
from cdc.cli.objects import OneObject, one_named
from cdc.errors import CdcError, RenderError
from cdc.model import ObjectRef, Rendered
from cdc.settings.config import Settings

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from mappers.mapping import MagentoMapping

MOST = 20
"""Objects shown for one text: a SKU may stand on thousands of lines."""

_OTHER_EMAIL = (
    "HubSpot has another email for this contact, which the bridge cannot change: change it in HubSpot by hand"
)


def trace(
    context: typer.Context,
    words: OneObject,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    values: Annotated[
        bool, typer.Option("--values", help="Show the properties' values, personal data among them.")
    ] = False,
    ask: Annotated[bool, typer.Option("--ask/--no-ask", help="Ask the sink what it knows of the object.")] = True,
) -> None:
    """Follow one object: its rows, what was rendered of them, sent and answered, and where it is now."""
    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine, engine.store.transaction():
        found = _traces(settings, engine, words, values)
        messages = {ref: message_for(settings, engine, ref) for _, ref in found} if ask else {}
    if ask:
        for one, ref in found:
            one["sink"] = asyncio.run(ask_sink(settings, ref, messages[ref]))
    documents = [one for one, _ in found]
    if as_json:
        print_json(documents)
        return
    for at, document in enumerate(documents):
        if at:
            print()
        print_table(("what", "value"), _lines(document))


def _traces(
    settings: Settings, engine: Engine, words: Sequence[str], values: bool
) -> list[tuple[dict[str, Any], ObjectRef]]:
    from cdc.cli.rendering import mapper_of
    from cdc.replica.rows import ReplicaRows

    # Said in our words, as the list of words is short.
    # Missing rows would look like rows that the shop does not have.
    if not engine.load.is_complete:
        say("the first load is not finished: rows that this object is made of may still be missing")
    mapper = mapper_of(settings, engine)
    rows = ReplicaRows(engine.store, mapper.tables)
    name, refs = one_named(settings, engine, words)
    found = []
    for ref in refs[: MOST * 2]:
        document = _trace(settings, engine, mapper, rows, ref, values)
        # Found by name, but nothing is known of it.
        if document is not None:
            found.append((document, ref))
    # Nothing at all: the filter or the position are the likely reasons.
    if not found:
        raise CdcError(
            f"nothing is known of {name}: the state has no rows of it, and nothing was ever sent for it",
            hint="mapping.filter may leave it out, or it is newer than `magento-cdc position show`",
        )
    if len(refs) > MOST:
        say(f"{len(refs)} objects go by that name; the first {MOST} are shown")
    return found[:MOST]


def _trace(
    settings: Settings, engine: Engine, mapper: MagentoMapping, rows: Any, ref: ObjectRef, values: bool
) -> dict[str, Any] | None:
    from cdc.messages.trace import RowTrail, trail

    seen = RowTrail(rows)
    fault = ""
    made: Rendered | None = None
    try:
        made = mapper.render(ref, seen)
    except (RenderError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A trace must show also what cannot be rendered, and why.
        fault = error.message if isinstance(error, RenderError) else type(error).__name__
    now = trail(engine.store, ref, int(datetime.now(UTC).timestamp() * 1000))
    # The shop has no such object, and nothing was ever sent.
    if now.ledger is None and made is None and not fault and now.pending is None:
        return None
    positions, namespace = engine.positions, settings.mapping.namespace
    held = now.ledger
    document: dict[str, Any] = {
        "external_id": ref.external_id(namespace),
        "object_type": ref.object_type.value,
        "rows": [
            {"table": table, "key": list(key), "position": positions.text_of(lsn)}
            for (table, key), lsn in sorted(seen.seen.items(), key=lambda item: (item[0][0], str(item[0][1])))
        ],
        "exists": made is not None,
        "where": [{"state": one.state, "cause": one.cause} for one in now.where],
    }
    if fault:
        document["not_rendered"] = fault
    if made is not None:
        document["properties"] = _shown(made.properties, values)
        document["refers_to"] = [other.external_id(namespace) for other in made.references]
        document["warnings"] = [*made.warnings, *([_OTHER_EMAIL] if held is not None and held.email_new else [])]
    if held is not None and held.rendered_hash is not None:
        document["rendered"] = {
            "position": positions.text_of(held.rendered_lsn) if held.rendered_lsn else "",
            "changed_at": held.rendered_at,
            "action": "DELETE" if held.rendered_delete else "UPSERT",
        }
    if now.pending is not None:
        document["pending"] = {
            "action": now.pending.action.value,
            "changed_at": now.pending.changed_at,
            "position": now.pending.position,
            "rendered_at": iso(now.pending.rendered_ms),
            "attempts": now.pending.attempts,
        }
    if held is not None and held.tried_at:
        answered = held.answered_ms >= held.sent_ms
        document["sent"] = {
            "at": iso(held.sent_ms),
            "changed_at": held.tried_at,
            "answered_at": iso(held.answered_ms) if answered else "",
            "answer": (held.answer or "accepted") if answered and held.answered_ms else "none yet",
        }
    if held is not None and held.record_id:
        document["record"] = record_of(settings, engine.store, ref)
    if held is not None and held.accepted_at:
        document["accepted"] = {
            "changed_at": held.accepted_at,
            "action": "DELETE" if held.accepted_delete else "UPSERT",
        }
    return document


def _shown(properties: Mapping[str, str], values: bool) -> dict[str, Any]:
    """Name → value, or without ``values`` whether it is set: values are personal data."""
    return {name: value if values else bool(value) for name, value in sorted(properties.items())}


def _lines(document: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The document for a person, one line a fact."""
    lines: list[tuple[str, object]] = [("object", f"{document['external_id']} ({document['object_type']})")]
    for one in document["where"]:
        lines.append(("now", f"{one['state']}: {one['cause']}" if one["cause"] else one["state"]))
    for row in document["rows"]:
        lines.append(("row", f"{row['table']} {', '.join(map(str, row['key']))} as of {row['position']}"))
    if not document["exists"]:
        lines.append(("exists", document.get("not_rendered", "no")))
    for name, value in document.get("properties", {}).items():
        shown = value if isinstance(value, str) else "set" if value else "empty"
        lines.append((f"property {name}", shown))
    lines += [("refers to", name) for name in document.get("refers_to", ())]
    lines += [("warning", text) for text in document.get("warnings", ())]
    for part in ("rendered", "pending", "sent", "accepted", "record", "sink"):
        for name, value in document.get(part, {}).items():
            shown = iso(value) if name == "changed_at" else value
            lines += [(f"{part} {name}", shown)] if value != "" else []
    return lines
