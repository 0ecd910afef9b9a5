"""Imports run one way, without circles, between small files. Read from the syntax trees, nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cdc", "mappers", "sinks")

LEAVES = (
    "cdc.model", "cdc.errors", "cdc.config", "cdc.mapping_config", "cdc.mapping_columns", "cdc.mapping_tables",
    "cdc.mapping_rules", "cdc.json_path", "cdc.kafka_values", "cdc.kafka_config", "cdc.protocols", "cdc.clock",
    "cdc.sync_errors", "cdc.change_codec", "cdc.collector", "cdc.stopping",
)  # fmt: skip
EVERYTHING = PACKAGES

ALLOWED: dict[str, tuple[str, ...]] = {
    "cdc.model": (),
    "cdc.errors": (),
    "cdc.clock": (),
    "cdc.sync_errors": (),
    "cdc.stopping": (),
    "cdc.collector": (),
    "cdc.section": (),
    "cdc.unmappable": (),
    "cdc.json_path": (),
    "cdc.mapping_columns": ("cdc.section", "cdc.unmappable", "cdc.json_path"),
    "cdc.mapping_tables": ("cdc.mapping_columns", "cdc.section", "cdc.unmappable", "cdc.json_path"),
    "cdc.mapping_rules": ("cdc.mapping_columns", "cdc.section", "cdc.unmappable"),
    "cdc.mapping_config": (
        "cdc.model", "cdc.section", "cdc.mapping_columns", "cdc.mapping_tables", "cdc.mapping_rules",
    ),
    "cdc.kafka_values": ("cdc.section",),
    "cdc.kafka_config": ("cdc.section", "cdc.kafka_values"),
    "cdc.config": ("cdc.model", "cdc.errors", "cdc.section", "cdc.mapping_config", "cdc.kafka_config"),
    "cdc.protocols": ("cdc.model",),
    "cdc.change_codec": ("cdc.model", "cdc.errors"),
    "cdc.logs": ("cdc.config",),
    "cdc.settings_doc": ("cdc.config",),
    "cdc.binlog": LEAVES,
    "cdc.kafka": LEAVES,
    "cdc.source": (*LEAVES, "cdc.binlog", "cdc.kafka"),
    "cdc.replica": (*LEAVES, "cdc.kafka"),
    "cdc.history": (*LEAVES, "cdc.replica", "cdc.source", "cdc.binlog"),  # it reads rows over the source's connection
    "cdc.delivery": (*LEAVES, "cdc.replica"),
    "cdc.web": LEAVES,
    "mappers": LEAVES,
    "sinks": LEAVES,
    "cdc.leader": (*LEAVES, "cdc.replica", "cdc.kafka"),
    "cdc.parts": EVERYTHING,
    "cdc.member": EVERYTHING,
    "cdc.startup": EVERYTHING,
    "cdc.status": EVERYTHING,
    "cdc.daemon": EVERYTHING,
    "cdc.relay": EVERYTHING,
    "cdc.cli": EVERYTHING,
}  # fmt: skip
"""What each part may import besides itself. Only the last five see everything, and none of them sees the commands."""

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


@pytest.mark.parametrize("module", modules())
def test_imports_run_one_way(module: str) -> None:
    """A module imports only what its part may see; nothing imports the commands or the tests."""
    parts = [part for part in ALLOWED if within(module, (part,))]
    if module in PACKAGES:
        return  # an empty file
    assert parts, f"{module} belongs to no part; add it to ALLOWED with what it may import"
    part = parts[0]
    back = {name for name, _ in imports(module) if not within(name, (*ALLOWED[part], part))}
    if part != "cdc.cli":
        back |= {name for name, _ in imports(module) if within(name, ("cdc.cli",))}

    assert not back, f"{module} must not import {sorted(back)}"


def test_there_are_no_circles() -> None:
    """No module imports itself by a detour, not even for type checks."""
    graph = {module: {name for name, _ in imports(module) if name != module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("module", [name for name in modules() if not within(name, ("cdc.cli",))])
def test_imports_stand_at_the_top(module: str) -> None:
    """Imports inside functions would hide an arrow; only commands use them, to start fast."""
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
