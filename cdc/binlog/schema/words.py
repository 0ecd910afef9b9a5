"""Reads the tokens of a statement from the left. Pure.

A parser takes one piece after another, and raises ``NotUnderstood`` for a form that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cdc.binlog.schema.tokens import Token


class NotUnderstood(ValueError):
    """This part of a definition is not known to the parser."""


class Words:
    """The tokens of a statement, read from the left."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def at(self) -> int:
        """How many tokens were taken."""
        return self._at

    @property
    def is_done(self) -> bool:
        """Whether no tokens are left."""
        return self._at >= len(self._tokens)

    @property
    def word(self) -> str:
        """The next bare word in capitals, without taking it; "" for any other token."""
        return "" if self.is_done else self._tokens[self._at].word

    @property
    def sign(self) -> str:
        """The next token if it is a sign, without taking it; "" for any other token."""
        if self.is_done or self._tokens[self._at].kind != "sign":
            return ""
        return self._tokens[self._at].text

    def next(self) -> Token:
        """Take one token."""
        if self.is_done:
            raise NotUnderstood("a definition that ends early")
        self._at += 1
        return self._tokens[self._at - 1]

    def accept(self, *words: str) -> bool:
        """Take these words if all of them come next."""
        found = [token.word for token in self._tokens[self._at : self._at + len(words)]]
        # All or none: a word taken too early could not be given back.
        if found != list(words):
            return False
        self._at += len(words)
        return True

    def accept_sign(self, sign: str) -> bool:
        """Take this sign if it comes next."""
        if self.sign != sign:
            return False
        self._at += 1
        return True

    def name(self) -> str:
        """Take a column's or table's name."""
        token = self.next()
        if token.kind not in ("name", "word"):
            raise NotUnderstood("a name was expected")
        return token.text

    def text(self) -> str:
        """Take a literal in quotation marks and return its value."""
        token = self.next()
        if token.kind != "text":
            raise NotUnderstood("a text was expected")
        return token.value

    def inside(self) -> list[Token]:
        """Take a group in parentheses and return the tokens between them."""
        if not self.accept_sign("("):
            raise NotUnderstood("parentheses were expected")
        depth, start = 1, self._at
        while depth:
            sign = self.next()
            if sign.kind == "sign":
                depth += {"(": 1, ")": -1}.get(sign.text, 0)
        return list(self._tokens[start : self._at - 1])

    def rest(self) -> list[Token]:
        """Take all tokens that are left."""
        start, self._at = self._at, len(self._tokens)
        return list(self._tokens[start:])


_UNPRINTED: Final = str.maketrans({"\\": "\\\\", "\0": "\\0", "\n": "\\n", "\r": "\\r", "'": "''"})


def quoted(value: str) -> str:
    """The text quoted as ``information_schema`` quotes a label or MariaDB's default (append_unescaped in
    sql/sql_show.cc).
    """
    return f"'{value.translate(_UNPRINTED)}'"


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The parts between those commas that are not in parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "sign":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            # A comma in parentheses separates arguments.
            if token.text == "," and not depth:
                parts.append([])
                continue
        parts[-1].append(token)
    return parts
