"""What ruff cannot ask for: a reason beside every rule that is switched off, and comments that say why."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("cdc", "mappers", "sinks", "tests")
SWITCHED_OFF = re.compile(r"#\s*(?:ruff:\s*)?noqa\b")
COMMENTED = ("cdc", "mappers", "sinks")
LEAST_COMMENTS = 3.9
"""Comments per 100 lines of the sources. Raise the number when the sources have more."""
DIRECTIVE = re.compile(r"#\s*(?:ruff:\s*)?(?:noqa|type|fmt|pragma)\b[^#]*")
WITH_REASON = re.compile(r"# (?:ruff: )?noqa: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*  # \S.*")


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each comment."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def switched_off(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each comment that switches a rule off."""
    return ((line, text) for line, text in comments(path) if SWITCHED_OFF.search(text))


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


def test_branches_say_why() -> None:
    """The sources keep their comments: so many per 100 lines, not counting bare directives to tools."""
    paths = [path for folder in COMMENTED for path in (ROOT / folder).rglob("*.py")]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    words = sum(not DIRECTIVE.fullmatch(text) for path in paths for _, text in comments(path))

    assert 100 * words / lines >= LEAST_COMMENTS, (
        f"{words} comments in {lines} lines: say at branches why they are there"
    )
