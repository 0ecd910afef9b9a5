"""docs/sandbox.md names every switch, every path and every rule, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from sinks.sandbox.app import make_app
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.store import SandboxStore

ROOT = Path(__file__).resolve().parents[4]
TEXT = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text under a heading."""
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The names in the first column of the tables."""
    return [
        name for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    ]


def test_every_switch_is_listed() -> None:
    """As it is named in the code, where something asks for it."""
    names = {item.name for item in fields(Behaviour)}
    assert set(first_cells(section("Switches of the CRM"))) == names
    folder = ROOT / "sinks" / "sandbox" / "crm"
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py") if path.name != "behaviour.py")
    assert {name for name in names if f".{name}" not in code} == set()


def test_every_path_is_listed() -> None:
    """Under ``/_sandbox`` and ``/_sandbox/crm``; the page's own files are no API."""
    served = {
        resource.canonical.removeprefix("/_sandbox/")
        for resource in make_app(SandboxStore()).router.resources()
        if resource.canonical.startswith("/_sandbox/") and "part" not in resource.canonical
    }
    bridge, crm = section("Its own API").split("| under `/_sandbox/crm` | |")
    listed = set()
    for prefix, text in (("", bridge), ("crm/", crm)):
        for cell in first_cells(text):
            for word in cell.split():
                if not word.isupper() and not word.startswith("/_sandbox"):
                    listed.add(prefix + word.partition("?")[0].rstrip(","))
    assert listed - {"under"} == served


def test_every_rule_of_the_crm_is_listed() -> None:
    """Each name with which the watch notes a broken rule."""
    source = (ROOT / "sinks" / "sandbox" / "crm" / "watch.py").read_text(encoding="utf-8")
    noted = set(re.findall(r'(?:self\.note\(|: )"([a-z_0-9]+)"', source))
    assert noted <= set(first_cells(section("In your CI")))
    assert len(noted) > 8
