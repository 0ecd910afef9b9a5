"""``deadletter list|show|retry|drop``: messages set aside for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, say, settings_of
from cdc.config import Settings
from cdc.errors import ConfigError
from cdc.model import ObjectRef, parse_external_id
from cdc.sync_errors import advice_for

if TYPE_CHECKING:
    from cdc.replica.deadletters import DeadLetter

app = typer.Typer(help="Messages set aside for good: why, and what to do with them.", no_args_is_help=True)

Object = Annotated[str, typer.Argument(help="Object, e.g. magento-order-42 or order-42.", metavar="OBJECT")]
Objects = Annotated[list[str] | None, typer.Argument(help="Objects.", metavar="OBJECT...")]
Everything = Annotated[bool, typer.Option("--all", help="All dead letters.")]


def _ref(settings: Settings, text: str) -> ObjectRef:
    try:
        return parse_external_id(text, settings.mapping.namespace)
    except ValueError as error:
        raise ConfigError([str(error)], source="command line") from None


def _fields(letter: DeadLetter, namespace: str) -> dict[str, Any]:
    """All of a letter, with advice where HubSpot documents the reason."""
    fields = letter.as_dict(namespace)
    advice = advice_for(letter.reason, judged_later=letter.reason.isupper())
    return fields | ({"advice": advice} if advice else {})


@app.command("list")
def list_letters(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """One line each: object, since when, reason."""
    from cdc.replica import deadletters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as replica:
        letters = deadletters.list_all(replica.store)
    namespace = settings.mapping.namespace
    if as_json:
        print_json([_fields(letter, namespace) for letter in letters])
    elif not letters:
        say("no dead letters")
    else:
        rows = [(x.ref.external_id(namespace), x.at, x.action.value, x.reason, x.detail) for x in letters]
        print_table(("object", "since", "action", "reason", "detail"), rows)


@app.command("show")
def show(
    context: typer.Context, name: Object, config: Config = None, sets: Sets = None, as_json: AsJson = False
) -> None:
    """All that is known of one."""
    from cdc.replica import deadletters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as replica:
        letter = deadletters.show(replica.store, _ref(settings, name))
    if letter is None:
        raise ConfigError([f"{name} has no dead letter; `magento-cdc deadletter list` names those that have"])
    fields = _fields(letter, settings.mapping.namespace)
    if as_json:
        print_json(fields)
    else:
        print_table(("what", "value"), list(fields.items()))


@app.command("retry")
def retry(
    context: typer.Context,
    names: Objects = None,
    everything: Everything = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Render objects afresh and send their newest state."""
    from cdc.replica import deadletters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as replica, replica.store.transaction():
        refs = _chosen(settings, names, everything, [x.ref for x in deadletters.list_all(replica.store)])
        done = [ref for ref in refs if deadletters.retry(replica.store, ref)]
    if done:
        say(f"{len(done)} to be rendered and sent again; a running daemon takes them up within a second")
    else:
        say("no dead letters; nothing to do")


@app.command("drop")
def drop(
    context: typer.Context,
    names: Objects = None,
    everything: Everything = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Forget dead letters. HubSpot keeps what it last accepted of these objects until they change again."""
    from cdc.replica import deadletters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as replica, replica.store.transaction():
        refs = _chosen(settings, names, everything, [x.ref for x in deadletters.list_all(replica.store)])
        lost = [deadletters.drop(replica.store, ref, settings.mapping.namespace) for ref in refs]
    for line in lost or ["no dead letters; nothing to do"]:
        say(line)


def _chosen(settings: Settings, names: list[str] | None, everything: bool, held: list[ObjectRef]) -> list[ObjectRef]:
    if everything:
        return held
    if not names:
        raise ConfigError(["name the objects, or say --all"], source="command line")
    refs = [_ref(settings, name) for name in names]
    missing = [ref.external_id(settings.mapping.namespace) for ref in refs if ref not in held]
    if missing:
        raise ConfigError([f"{name} has no dead letter" for name in missing], source="command line")
    return refs
