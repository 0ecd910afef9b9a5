"""How all commands let people name objects: ``order 42``, ``order-42``, ``magento-order-42``, ``#000000042``, an email
address, a SKU in any case.

An object that is not found ends a command with exit code 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cdc.errors import CdcError, ConfigError

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.model import ObjectRef, ObjectType
    from cdc.settings.config import Settings

HOW = "order 42, order-42, magento-order-42, #000000042, an email address or a SKU"
Objects = Annotated[list[str] | None, typer.Argument(metavar="OBJECT...", help=f"Objects: {HOW}.", show_default=False)]
OneObject = Annotated[list[str], typer.Argument(metavar="OBJECT", help=f"The object: {HOW}.", show_default=False)]


def chosen_types(text: str, words: Mapping[str, ObjectType]) -> list[ObjectType]:
    """The types that ``--objects`` names, separated by commas. ConfigError for other words, and for none."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in words]
    if unknown or not names:
        raise ConfigError([f"--objects: {', '.join(unknown) or 'names nothing'}; write some of {', '.join(words)}"])
    return [words[name] for name in names]


def named(settings: Settings, engine: Engine, words: Sequence[str]) -> list[tuple[str, list[ObjectRef]]]:
    """For each name: (the name as typed, an email address left out; the objects it may mean). ConfigError
    without a name.
    """
    from cdc.cli.rendering import mapper_of
    from cdc.replica.rows import ReplicaRows
    from mappers.finding import find_objects, split_names

    try:
        names = split_names(words)
    except ValueError as error:
        raise ConfigError([str(error)], source="command line") from None
    rows = ReplicaRows(engine.store, mapper_of(settings, engine).tables)
    found = []
    for word, text in names:
        refs = find_objects(word, text, rows, settings.mapping.namespace)
        shown = "<email>" if "@" in text else text  # an address is somebody's, and errors are kept and passed on
        found.append((f"{word} {shown}".strip(), refs))
    return found


def one_named(settings: Settings, engine: Engine, words: Sequence[str]) -> tuple[str, list[ObjectRef]]:
    """As ``named``, for commands that take one object. CdcError (exit code 1) if no object has that name."""
    names = named(settings, engine, words)
    if len(names) != 1:
        raise ConfigError([f"{' '.join(words)}: name one object, as {HOW}"], source="command line")
    [(name, refs)] = names
    if not refs:
        raise CdcError(f"nothing goes by the name {name}", hint=f"name an object as {HOW}")
    return name, refs


def those_in(
    settings: Settings, engine: Engine, words: Sequence[str], held: Sequence[ObjectRef], what: str
) -> list[ObjectRef]:
    """The named objects that are among ``held``. CdcError (exit code 1) for each name that has none of them."""
    among, found, missing = set(held), [], []
    for name, refs in named(settings, engine, words):
        here = [ref for ref in refs if ref in among]
        found += here
        if not here:
            missing.append(name)
    if missing:
        raise CdcError(f"{', '.join(missing)}: {what}")
    return list(dict.fromkeys(found))
