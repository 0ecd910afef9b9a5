"""Imports run one way, without circles, between small files. Read from the syntax trees, nothing is executed."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cdc", "mappers", "sinks")

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LAYERS: tuple[tuple[str, ...], ...] = tuple(
    tuple(part.strip() for part in layer.split("|")) for layer in CONTRACTS[0]["layers"]
)
"""The one list of layers, top first; import-linter reads it from pyproject.toml. A layer sees only those below it."""

EXCEPTIONS = {tuple(line.split(" -> ")) for line in CONTRACTS[0].get("ignore_imports", ())}

DOCUMENTED = re.search(r"```layers\n(.*?)```", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.DOTALL)

MAX_LINES = 400
LONGER = {"cdc.model": "all shared types in one place, mostly docstrings"}


def modules() -> list[str]:
    """The dotted names of all our modules (a package's own file is named as the package)."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


@cache
def path_of(module: str) -> Path:
    """The file of a module."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[tuple[str, ast.AST]]:
    """Every module of this project that ``module`` imports anywhere, with the node."""
    known = set(modules())
    for node in ast.walk(tree_of(module)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write the import in full"
            assert node.module is not None
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in whole]
        for name in names:
            if name.split(".")[0] in (*PACKAGES, "tests"):
                yield name, node


def within(module: str, parts: tuple[str, ...]) -> bool:
    """Whether the module is one of the parts or lies in one."""
    return any(module == part or module.startswith(f"{part}.") for part in parts)


def layer_of(module: str) -> tuple[int, str]:
    """The module's layer (0 is the top) and its part of that layer. AssertionError if it belongs to none."""
    found = [(at, part) for at, layer in enumerate(LAYERS) for part in layer if within(module, (part,))]
    assert found, f"{module} belongs to no layer; add it to the layers in pyproject.toml"
    return found[0]


@pytest.mark.parametrize("module", modules())
def test_imports_run_one_way(module: str) -> None:
    """A module imports only its own part and the layers below; nothing imports the tests."""
    if module in PACKAGES:
        return  # an empty file
    own, part = layer_of(module)
    back = {
        name
        for name, _ in imports(module)
        if within(name, ("tests",)) or not (within(name, (part,)) or layer_of(name)[0] > own)
    }
    back -= {name for name in back if (module, name) in EXCEPTIONS}

    assert not back, f"{module} must not import {sorted(back)}"


@pytest.mark.parametrize("contract", CONTRACTS[1:], ids=lambda contract: str(contract["name"]))
def test_what_is_forbidden_is_not_imported(contract: dict[str, list[str]]) -> None:
    """Mappers, sinks and pages never see the rooms that the contract forbids them."""
    for module in (name for name in modules() if within(name, tuple(contract["source_modules"]))):
        seen = {name for name, _ in imports(module) if within(name, tuple(contract["forbidden_modules"]))}
        assert not seen, f"{module} must not import {sorted(seen)}"


def test_architecture_has_the_same_list() -> None:
    """ARCHITECTURE.md shows the layers as pyproject.toml has them."""
    assert DOCUMENTED is not None, "ARCHITECTURE.md has no block ```layers"
    assert DOCUMENTED.group(1).splitlines() == CONTRACTS[0]["layers"]


def test_every_part_of_the_list_exists() -> None:
    """No layer names a package or module that is gone."""
    assert [part for layer in LAYERS for part in layer if not path_of(part).exists()] == []


def test_there_are_no_circles() -> None:
    """No module imports itself by a detour, not even for type checks."""
    graph = {module: {name for name, _ in imports(module) if name != module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


STARTS_FAST = ("cdc.cli", "sinks.registry")


@pytest.mark.parametrize("module", [name for name in modules() if not within(name, STARTS_FAST)])
def test_imports_stand_at_the_top(module: str) -> None:
    """Imports inside functions would hide an arrow; commands and the list of sinks alone use them, to start fast."""
    top = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(below) for node in top for below in ast.walk(node)}
    hidden = [name for name, node in imports(module) if id(node) in inside]

    assert not hidden, f"{module} imports {hidden} inside a function"


@pytest.mark.parametrize("module", modules())
def test_files_are_small(module: str) -> None:
    """No file is over 400 lines without a listed reason, and no reason outlives its file's length."""
    lines = len(path_of(module).read_text(encoding="utf-8").splitlines())

    assert (lines > MAX_LINES) == (module in LONGER), f"{module}: {lines} lines"


def test_package_files_are_empty() -> None:
    """Importing a mapper never loads the daemon: a package's own file holds a docstring at most."""
    for path in (file for package in PACKAGES for file in (ROOT / package).rglob("__init__.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        rest = [node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        assert not rest, f"{path.relative_to(ROOT)} holds code"


def test_the_decoder_does_no_io() -> None:
    """cdc.binlog is pure: bytes in, values out."""
    forbidden = {"socket", "ssl", "pymysql", "asyncio", "threading", "subprocess", "sqlite3", "aiohttp", "structlog"}
    for module in (name for name in modules() if within(name, ("cdc.binlog",))):
        for node in ast.walk(tree_of(module)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not forbidden & {name.split(".")[0] for name in names}, module
            assert "cdc.log_events" not in names, module
