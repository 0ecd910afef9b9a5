"""Golden files: the exact messages of one business event, as text that a person reads and a diff compares."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from cdc.model import Message

FOLDER = Path(__file__).resolve().parents[1] / "integration" / "golden"
REWRITE = "make golden"
NOTHING = "nothing is sent\n"


def as_text(messages: Iterable[Message]) -> str:
    """The messages in the order sent, one property a line; ``changed_at`` and positions differ between servers."""
    return "\n".join(_one(message) for message in messages) or NOTHING


def _one(message: Message) -> str:
    lines = [f"{message.action} {message.object_type} {message.external_id}"]
    for kind, ids in sorted(message.associations.items()):
        lines.append(f"    → {kind} {' '.join(ids)}")
    width = max(map(len, message.properties), default=0)
    lines += (f"    {name.ljust(width)} = {_shown(name, value)}" for name, value in sorted(message.properties.items()))
    return "".join(f"{line}\n" for line in lines)


def _shown(name: str, value: str) -> str:
    # The time of a commit, as ``changed_at`` is: MySQL's is that of its own clock.
    return "(a time)" if name == "cart_changed_at" and value else repr(value)


def path(name: str, server: str = "") -> Path:
    """The scene's file; that of one kind of server (``mysql``) where its log has something else to tell."""
    own = FOLDER / f"{name}.{server}.txt"
    return own if server and own.exists() else FOLDER / f"{name}.txt"


def difference(name: str, found: str, server: str = "") -> str:
    """The scene's file against what came, as a unified diff; "" if they are equal."""
    file = path(name, server)
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = difflib.unified_diff(
        expected.splitlines(keepends=True), found.splitlines(keepends=True), f"golden/{file.name}", "what came"
    )
    return "".join(lines)


def write(scenes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Write the files anew, of every scene by kind of server; the names of those that changed.

    The first kind's text is the common file; another's gets a file of its own where it differs.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, str] = {}
    for name, texts in scenes.items():
        common = next(iter(texts.values()))
        wanted[f"{name}.txt"] = common
        wanted |= {f"{name}.{server}.txt": text for server, text in texts.items() if text != common}
    before = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.txt")}
    for name in before.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return sorted(name for name in before.keys() | wanted.keys() if before.get(name) != wanted.get(name))
