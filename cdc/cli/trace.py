"""``trace``: follows one object from its rows to the sink: what it is made of, what was sent and answered,
where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc import log_events
from cdc.cli.asking import ask_sink, message_for
from cdc.cli.common import (
    AsJson,
    Config,
    Sets,
    begin_log_late,
    open_state,
    print_json,
    print_table,
    record_of,
    say,
    settings_of,
)
from cdc.cli.objects import OneObject, one_named
from cdc.clock import iso_ms
from cdc.errors import CdcError

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.model import ObjectRef
    from cdc.settings.config import Settings

MOST = 20
"""Objects shown for one text: a SKU may be on thousands of lines."""


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
    settings = settings_of(context, config, sets, has_log=False)
    begin_log_late(settings)
    with open_state(settings, exclusive=False, only_looks=True) as engine, engine.store.transaction():
        found = _traces(settings, engine, words, values)
        messages = {ref: message_for(settings, engine, ref) for _, ref in found} if ask else {}
    if ask:
        import asyncio

        log_events.set_up_now()
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
    from cdc.clock import SystemClock
    from cdc.operator.trace import Look, object_trace
    from cdc.replica.rows import ReplicaRows

    # Said in our words, as the list of words is short.
    # Missing rows would look like rows that the shop does not have.
    if not engine.load.is_complete:
        say("the first load is not finished: rows that this object is made of may still be missing")
    mapper = mapper_of(settings, engine)
    rows = ReplicaRows(engine.store, mapper.tables)
    record = partial(record_of, settings, engine.store)
    look = Look(engine.store, engine.positions, mapper, rows, settings.mapping.namespace, record)
    name, refs = one_named(settings, engine, words)
    found = []
    for ref in refs[: MOST * 2]:
        document = object_trace(look, ref, SystemClock().now_ms(), values=values, details=True)
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


def _lines(document: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The document for people, one line per fact."""
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
            shown = iso_ms(value) if name == "changed_at" else value
            lines += [(f"{part} {name}", shown)] if value != "" else []
    return lines
