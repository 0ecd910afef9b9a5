"""What the documents name exists: paths, functions, commands, options, make targets, settings, pages, metrics, events.

Docstrings are held to the same where they name a path or a setting in double back quotes.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cdc.cli.main import app
from cdc.delivery.circuit_breaker import CircuitBreaker
from cdc.delivery.verdict import kind_of
from cdc.errors import CdcError, SinkError
from cdc.settings import documentation
from cdc.settings.config import DeliverySettings, Settings
from cdc.settings.names import ENV_PREFIX
from cdc.settings.reload import CHANGEABLE
from cdc.settings.web import WebSettings
from cdc.state.store import Store
from cdc.web import catalogue
from cdc.web.app import make_app
from cdc.web.metrics import Metrics
from tests.kit.doc_tables import with_tables
from tests.kit.log_calls import LogCall, log_calls

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SCOPES = ("crm.objects", "crm.schemas")  # begin the names of HubSpot's scopes, which look like settings
PARTS = ("cdc", "mappers", "sinks", "tests", "deploy", "docs", ".ci")
SETTINGS = {name for name, _ in documentation.fields()}

BLOCK = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")


def blocks(document: Path) -> list[tuple[str, str]]:
    """The fenced blocks as (language, text), without their indent."""
    found = BLOCK.findall(document.read_text(encoding="utf-8"))
    return [(language, re.sub(r"(?m)^ {1,4}", "", text)) for language, text in found]


def spans(document: Path) -> list[str]:
    """What stands in `back quotes` outside blocks."""
    outside = BLOCK.sub("", document.read_text(encoding="utf-8"))
    return [" ".join(text.split()) for text in SPAN.findall(outside)]


def code(document: Path) -> Iterator[str]:
    """Every span, and every line of every block without its comment."""
    yield from spans(document)
    for _, text in blocks(document):
        yield from (line.split(" #")[0].strip() for line in text.splitlines())


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@every_document
def test_paths_exist(document: Path) -> None:
    """A path that is named is there; ``file.py:name`` is defined in that file."""
    for text in spans(document):
        path, _, name = text.partition(":")
        is_ours = path.split("/")[0] in PARTS and "/" in path
        if not is_ours or " " in path:
            continue
        assert (ROOT / path).exists(), f"{document.name} names {text}"
        if name:
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            last = name.split(".")[-1]
            assert last in {getattr(node, "name", "") for node in ast.walk(tree)}, f"{document.name} names {text}"


@every_document
def test_make_targets_exist(document: Path) -> None:
    """``make x`` is a target, and every target says what it does."""
    targets = set(re.findall(r"(?m)^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for text in code(document):
        for name in re.findall(r"^make ([a-z]+)", text):
            assert name in targets, f"{document.name} names make {name}"


def below(command: Any) -> dict[str, Any]:
    """The commands of a group by name; none for a single command."""
    return getattr(command, "commands", {})


def options(command: Any) -> set[str]:
    """All spellings of a command's options."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def check_command(words: list[str], where: str) -> None:
    """``magento-cdc`` followed by these words is a command with these options."""
    command: Any = typer.main.get_command(app)
    known = options(command) | {"--help", "-h"}
    for word in words:
        if word.startswith("-"):
            assert word.split("=")[0] in known, f"{where}: no option {word}"
        elif below(command):
            choices = word.split("|")
            for choice in choices:
                assert choice in below(command), f"{where}: no command {choice}"
            command = below(command)[choices[0]]
            known |= options(command)


@every_document
def test_commands_and_options_exist(document: Path) -> None:
    """``magento-cdc verb --option`` can be typed as it stands."""
    for text in code(document):
        if text.startswith("magento-cdc "):
            words = re.split(r"[>&]", text)[0].split()[1:]
            check_command(words, f"{document.name}: {text}")


def test_every_command_is_documented_and_has_help() -> None:
    """Each verb is named in a document, and each command says what it does."""
    named = " ".join(text for document in DOCUMENTS for text in code(document))
    for verb, command in below(typer.main.get_command(app)).items():
        assert re.search(rf"\b{verb}\b", named), f"no document names {verb}"
        for one in (command, *below(command).values()):
            assert one.help, f"{verb} {one.name} has no help"


@every_document
def test_settings_exist(document: Path) -> None:
    """``section.key`` and environment variables name settings."""
    sections = "|".join(Settings.model_fields)
    for text in code(document):
        for name in re.findall(rf"(?<![\w./-])((?:{sections})\.[a-z_0-9]+(?:\.[a-z_0-9]+)?)\b(?!/)", text):
            if name.split(".")[1] in ("py", "md", "toml", "sqlite3") or name.startswith(SCOPES):
                continue
            is_section = any(setting.startswith(f"{name}.") for setting in SETTINGS)
            assert name in SETTINGS or is_section, f"{document.name} names {name}"
        for variable in re.findall(rf"{ENV_PREFIX}(\w+)", text):
            assert variable.lower().replace("__", ".") in SETTINGS, f"{document.name} names {variable}"


@every_document
def test_settings_files_are_valid(document: Path) -> None:
    """A TOML block holds settings that exist, of the right kind."""
    for language, text in blocks(document):
        if language != "toml":
            continue
        for section, values in tomllib.loads(text).items():
            for key in values:
                name = f"{section}.{key}"
                known = name in SETTINGS or any(setting.startswith(f"{name}.") for setting in SETTINGS)
                assert known, f"{document.name} names {name}"


@every_document
def test_pages_exist(document: Path) -> None:
    """A page like /ready that is named is answered by the daemon."""
    application = make_app(None, Metrics(), WebSettings())  # type: ignore[arg-type]  # routes need no view
    pages = {route.resource.canonical for route in application.router.routes() if route.resource is not None}
    for text in spans(document):
        if re.fullmatch(r"/[a-z]+", text):
            assert text in pages, f"{document.name} names {text}"


@every_document
def test_metrics_exist(document: Path) -> None:
    """A metric that is named is exported."""
    known = {*catalogue.COUNTERS, *catalogue.GAUGES, *catalogue.HISTOGRAMS}
    for text in code(document):
        for name in re.findall(rf"{catalogue.PREFIX}(\w+)", text):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in known, f"{document.name} names {name}"


@every_document
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    """A relative link's file exists."""
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def events_listed() -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Event → (levels, fields that every line has, fields that some lines have), as docs/events.md says."""
    found = {}
    for line in (ROOT / "docs" / "events.md").read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| `(\w+)` \| ([a-z, ]+) \| .+\. \| (.*) \|", line)
        if row:
            name, levels, fields = row.groups()
            assert name not in found, f"{name} stands twice in docs/events.md"
            some = set(re.findall(r"\[`(\w+)`\]", fields))
            found[name] = (set(levels.split(", ")), set(re.findall(r"`(\w+)`", fields)) - some, some)
    return found


BRIDGED = {"library"}  # what libraries log; its level is the library's


def test_every_event_is_listed_with_its_level_and_fields() -> None:
    """docs/events.md has each event that the sources log, with its meaning, and no other."""
    made: dict[str, list[LogCall]] = {}
    for call in log_calls(ROOT):
        assert call.event is not None, f"{call.position}: the event is no literal"
        assert re.fullmatch(r"[a-z][a-z0-9_]*", call.event), f"{call.position}: {call.event!r} is not in snake_case"
        made.setdefault(call.event, []).append(call)
    listed = events_listed()

    assert made.keys() - listed.keys() == set(), "events that docs/events.md does not list"
    assert listed.keys() - made.keys() - BRIDGED == set(), "events that docs/events.md lists and nothing logs"
    for name, calls in made.items():
        levels, always, some = listed[name]
        assert {call.level for call in calls} == levels, f"levels of {name}"
        assert set.union(*(set(call.fields) for call in calls)) == always | some, f"fields of {name}"
        assert set.intersection(*(set(call.fields) for call in calls)) == always, f"fields of every {name}"


def test_the_table_of_metrics_is_up_to_date() -> None:
    """docs/operate.md has every metric as the catalogue says; if not: python -m tests.write_docs."""
    document = ROOT / "docs" / "operate.md"

    assert document.read_text(encoding="utf-8") == with_tables(document)


def fault_kinds(error: type[SinkError]) -> Iterator[str]:
    """The short names of a kind of fault and of those below it."""
    yield kind_of(error("invented"))
    for below_it in error.__subclasses__():
        yield from fault_kinds(below_it)


def test_every_reason_of_ready_is_explained(tmp_path: Path) -> None:
    """docs/operate.md has a row for each state of the source and each reason why the sink takes nothing."""
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    calls = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cdc").rglob("*.py"))
    sources = {"starting", *re.findall(r"on_(?:source_)?state\(\s*\"(\w+)\"", calls)} - {"connected", "finished"}
    store = Store(tmp_path, ())
    breakers = CircuitBreaker(DeliverySettings()).reasons(store, 0).keys()
    store.close()
    sinks = {*fault_kinds(SinkError), *breakers, *re.findall(r"_close\(\"(\w+)\"", calls), "daily_limit", "account"}

    assert {"unreachable", "disconnected"} <= sources
    assert [name for name in sorted(sources) if f"`source: {name}" not in text] == []
    assert [name for name in sorted(sinks) if f"`sink: {name}" not in text] == []


def test_every_exit_code_is_explained() -> None:
    """docs/operate.md says what each exit code of an error means."""
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")

    def codes(error: type[CdcError]) -> set[int]:
        return {error.exit_code}.union(*(codes(below_it) for below_it in error.__subclasses__()))

    assert [code for code in {0, *codes(CdcError)} if f"\n| {code} |" not in text] == []


def docstrings() -> Iterator[tuple[str, str]]:
    """Place and text of every docstring of the sources."""
    for path in (file for part in ("cdc", "mappers", "sinks") for file in sorted((ROOT / part).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text


def test_docstrings_name_what_exists() -> None:
    """A path, a setting or a metric that a docstring names is there."""
    sections = "|".join(Settings.model_fields)
    metrics = {*catalogue.COUNTERS, *catalogue.GAUGES, *catalogue.HISTOGRAMS}
    wrong = []
    for position, text in docstrings():
        for path in re.findall(r"\b((?:cdc|mappers|sinks|tests|docs|deploy)/[\w/.-]+\.(?:py|md|tsv|toml))\b", text):
            wrong += [f"{position} names {path}"] if not (ROOT / path).exists() else []
        for name in re.findall(rf"``((?:{sections})\.[a-z_]+)``", text):
            if name.split(".")[1] not in ("py", "md", "toml") and name not in SETTINGS:
                wrong += [f"{position} names {name}"] if not any(s.startswith(f"{name}.") for s in SETTINGS) else []
        for name in re.findall(rf"\b{catalogue.PREFIX}(\w+)", text):
            wrong += [f"{position} names {catalogue.PREFIX}{name}"] if name not in metrics else []

    assert not wrong, "\n".join(wrong)


def test_the_settings_that_can_change_while_running_are_listed() -> None:
    """docs/operate.md names each of them, and no other."""
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    listed = text.partition("<!-- list of changeable settings -->\n")[2].partition("\n\n")[0]

    assert set(re.findall(r"`([\w.]+)`", listed)) == CHANGEABLE
