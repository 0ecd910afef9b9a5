"""What ruff cannot ask for: whoever switches a rule off for a line says why on that line."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("cdc", "mappers", "sinks", "tests")
SWITCHED_OFF = re.compile(r"#\s*(?:ruff:\s*)?noqa\b")
WITH_REASON = re.compile(r"# (?:ruff: )?noqa: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*  # \S.*")


def switched_off(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each comment that switches a rule off."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT and SWITCHED_OFF.search(token.string):
                yield token.start[0], token.string


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_noqa_names_its_rule_and_the_reason(folder: str) -> None:
    """``# noqa: RULE  # the reason``: a rule that is broken without a written reason comes back with the next edit."""
    bare = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in switched_off(path)
        if not WITH_REASON.fullmatch(text)
    ]

    assert not bare, "\n".join(bare)
