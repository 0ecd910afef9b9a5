"""Cuts SQL text into tokens, as far as statements in the log need it. Comments that servers execute are text.

Each byte is looked at a few times at most: what is opened and never closed goes on to the end of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""/\*!\d*|/\*M!\d*|\*/"""  # the bounds of text that servers execute though it looks like a comment
    r"""|(?P<comment>/\*.*?(?:\*/|\Z)|--[\s].*?(?:\n|\Z)|\#.*?(?:\n|\Z))"""
    r"""|(?P<name>`(?:[^`]|``)*+`)|(?P<text>'(?:[^'\\]|\\.|'')*+(?:'|\\?\Z)|"(?:[^"\\]|\\.|"")*+(?:"|\\?\Z))"""
    r"""|(?P<word>[\w$]+)|(?P<sign>[^\s])""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: name (in backticks, here without), text (in quotation marks, with them), word or sign."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """A bare word in capitals; "" for anything else."""
        return self.text.upper() if self.kind == "word" else ""


def tokens_of(text: str) -> Iterator[Token]:
    """Never raises: what cannot be a token is left out."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "name":
            yield Token(kind, match[0][1:-1].replace("``", "`"))
        elif kind is not None and kind != "comment":
            yield Token(kind, match[0])
