"""CONTRIBUTING.md's lists are true: what exists of a sort stands in every place that the list for that sort names."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import get_args

from cdc.binlog.schema import agreement, column_definition
from cdc.model import Kind, ObjectType
from cdc.settings import documentation
from cdc.settings.sink import SinkSettings
from mappers.objects.registry import DESCRIPTORS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KINDS_OF_SINKS: tuple[str, ...] = get_args(SinkSettings.model_fields["kind"].annotation)


def places(sort: str) -> list[str]:
    """The paths of the list "Add a <sort>", in its order."""
    section = re.search(rf"(?ms)^### Add an? {sort}$(.*?)(?=^### |\Z)", TEXT)
    assert section is not None, f"CONTRIBUTING.md has no list for {sort}"
    rows = [line.split("|")[1] for line in section.group(1).splitlines() if line.startswith("| `")]
    return [path for row in rows for path in re.findall(r"`([\w./-]+)`", row)]


@cache
def text_of(path: str) -> str:
    """The file, or all files of the folder together."""
    files = sorted((ROOT / path).rglob("*.*")) if path.endswith("/") else [ROOT / path]
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.suffix in (".py", ".md", ".toml"))


def test_every_place_exists_and_every_list_has_some() -> None:
    """The lists name files and folders of this tree."""
    for sort in ("sink", "object", "setting", "column type", "table"):
        assert places(sort), f"the list for {sort} is empty"
        assert [path for path in places(sort) if not (ROOT / path).exists()] == []


def test_every_sink_stands_in_each_place() -> None:
    """Registry, settings, sample file, contract suite and the page about installing know each kind of sink."""
    missing = [
        f"{path}: {kind}"
        for path in places("sink")
        for kind in KINDS_OF_SINKS
        if not re.search(rf"\b{kind}\b|\b{kind}_", text_of(path))
    ]

    assert missing == []


def test_every_object_stands_in_each_place() -> None:
    """A kind is known to the model, to a descriptor in the list, to the events and to the page about the mapping."""
    assert DESCRIPTORS.keys() == set(Kind)
    assert all(re.search(rf"\b{kind.name} = ", text_of("cdc/model.py")) for kind in Kind)
    assert all(f"Kind.{kind.name}" in text_of("mappers/objects/") for kind in Kind)
    sinks = text_of("sinks/bridge/mapping.py") + text_of("sinks/crm/properties.py")
    assert all(f"ObjectType.{kind.name}" in sinks for kind in ObjectType)
    assert all(f"| {kind.value} |" in text_of("docs/mapping.md") for kind in ObjectType)
    golden = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests/integration/golden").iterdir())
    assert [kind for kind in Kind if f"-{kind.value}-" not in golden and f"{kind.value}-" not in golden] == []
    listed = places("object")
    assert {"cdc/model.py", "mappers/objects/", "sinks/bridge/mapping.py", "docs/mapping.md"} <= {*listed}


def test_every_setting_stands_in_each_place() -> None:
    """A setting is a field in cdc/settings and a line of the sample file, and in no third place."""
    assert [path for path in places("setting") if path != "cdc/settings/"] == ["deploy/magento-cdc.toml"]
    names = {name.split(".")[-1] for name, _ in documentation.fields()}

    assert [name for name in names if not re.search(rf"\b{name}\b", text_of("cdc/settings/"))] == []
    assert [
        name for name in names if not re.search(rf"(?m)\b{name}\b.*=|\[.*{name}", text_of("deploy/magento-cdc.toml"))
    ] == []


def test_every_column_type_is_tried_on_a_server() -> None:
    """A type that the log may bring has values in the grid, or among the odd types."""
    tried = text_of("tests/kit/grid.py") + text_of("tests/kit/odd_types.py")
    assert {"tests/kit/grid.py", "tests/kit/odd_types.py"} <= {*places("column type")}
    types = {column_definition._ALIASES.get(name, name) for name in agreement._TYPES}
    assert [name for name in sorted(types) if not re.search(rf"\b{name}\b", tried)] == []


def test_every_table_of_the_state_is_made_in_one_place() -> None:
    """All CREATE TABLE of the state stand in the first place of the list."""
    assert places("table") == ["cdc/state/schema.py", "cdc/state/migrations.py"]
    makers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "cdc").rglob("*.py")
        if re.search(r"CREATE (?:TEMP )?TABLE (?:IF NOT EXISTS )?\w+ \(", path.read_text(encoding="utf-8"))
    ]

    assert {*makers} <= {"cdc/state/schema.py", "cdc/state/migrations.py"}
