"""Finds the tables that a statement writes, and leaves out the tables that it only reads. Pure.

Both servers' grammars of INSERT, REPLACE, UPDATE, DELETE, LOAD and WITH:
https://dev.mysql.com/doc/refman/8.4/en/sql-data-manipulation-statements.html. A statement that does not fit the
grammars may write every table that it mentions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.binlog.schema.functions import calls_only_native
from cdc.binlog.schema.tokens import Token
from cdc.binlog.schema.words import NotUnderstood, Words, split

TableName = tuple[str, str]
"""Database and table."""


@dataclass(frozen=True, slots=True)
class Written:
    """``tables``: the tables that the statement may write. ``everything``: it calls a function that may write any
    table.
    """

    tables: tuple[TableName, ...] = ()
    everything: bool = False


_INSERT_FLAGS: Final = frozenset({"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"})
_UPDATE_FLAGS: Final = frozenset({"LOW_PRIORITY", "IGNORE"})
_DELETE_FLAGS: Final = frozenset({"LOW_PRIORITY", "QUICK", "IGNORE", "HISTORY"})
_AFTER_TARGETS: Final = frozenset({"WHERE", "USING", "ORDER", "LIMIT", "RETURNING", "PARTITION", "AS", "FOR"})
_JOINS: Final = frozenset({"JOIN", "STRAIGHT_JOIN"})
_NO_ALIAS: Final = _AFTER_TARGETS | _JOINS | {
    "SET", "ON", "LEFT", "RIGHT", "INNER", "CROSS", "NATURAL", "FULL", "OUTER", "FORCE", "IGNORE", "USE",
}  # fmt: skip
_QUERIES: Final = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
_READING: Final = frozenset({"SELECT", "DO", "VALUES", "TABLE"})


def written(tokens: Sequence[Token], database: str) -> Written:
    """The tables that this statement writes. ``database``: the default of the session that ran it. Never raises."""
    try:
        tables, names = _targets(tokens, database)
    except NotUnderstood:
        # The grammar here is not the server's own, so the safe answer is every table mentioned.
        tables, names = mentioned(tokens, database), ()
    # A function or procedure of the shop may write any table without naming it.
    if not calls_only_native(tokens, names):
        return Written(tables, everything=True)
    return Written(tables)


def mentioned(tokens: Sequence[Token], database: str) -> tuple[TableName, ...]:
    """Every name in the statement that may be a table's. Texts in quotation marks are not names."""
    found: dict[TableName, None] = {}
    for at, token in enumerate(tokens):
        if token.kind in ("name", "word"):
            is_qualified = at >= 2 and tokens[at - 1].text == "." and tokens[at - 2].kind in ("name", "word")
            found[tokens[at - 2].text if is_qualified else database, token.text] = None
    return tuple(found)


Targets = tuple[tuple[TableName, ...], Sequence[int]]
"""The tables written, and the indexes of tokens that name tables before a parenthesis."""


def _targets(tokens: Sequence[Token], database: str) -> Targets:
    words = Words(tokens)
    names: list[int] = []
    while words.word == "WITH":
        names += _pass_with(words)
    verb = words.next().word
    if verb in ("INSERT", "REPLACE"):
        _pass_over(words, _INSERT_FLAGS)
        target = _name(words, database)
        # The name before a parenthesis looks like a call, though it is the table with its columns.
        return (target,), [*names, words.at - 1]
    if verb == "LOAD":
        while not words.is_done and not words.accept("INTO", "TABLE"):
            words.next()
        target = _name(words, database)
        return (target,), [words.at - 1]
    if verb == "UPDATE":
        _pass_over(words, _UPDATE_FLAGS)
        return _updated(words, database), names
    if verb == "DELETE":
        _pass_over(words, _DELETE_FLAGS)
        return _deleted(words, database), names
    # A query in parentheses, or one that only reads: what it calls decides.
    if verb in _READING or (words.at == 1 and verb == ""):
        return (), names
    raise NotUnderstood("a statement of another kind")


def _pass_over(words: Words, flags: frozenset[str]) -> None:
    while words.word in flags:
        words.next()


def _pass_with(words: Words) -> list[int]:
    """WITH [RECURSIVE] name [(columns)] AS (query) [CYCLE …], …; the indexes of the names."""
    names = []
    words.next()
    words.accept("RECURSIVE")
    while True:
        names.append(words.at)
        words.name()
        if words.sign == "(":
            words.inside()
        if not words.accept("AS"):
            raise NotUnderstood("an unusual WITH")
        words.inside()
        if words.accept("CYCLE"):  # MariaDB: CYCLE columns RESTRICT
            while not words.is_done and not words.accept("RESTRICT"):
                words.next()
        if not words.accept_sign(","):
            return names


def _name(words: Words, database: str) -> TableName:
    first = words.name()
    return (first, words.name()) if words.accept_sign(".") else (database, first)


# ------------------------------------------------------------------------------------------ UPDATE and DELETE


@dataclass(frozen=True, slots=True)
class _Factor:
    """A table that the statement names, with the name that the rest of the statement uses for it."""

    table: TableName
    alias: str


def _updated(words: Words, database: str) -> tuple[TableName, ...]:
    factors = _factors(_until(words, frozenset({"SET"})), database)
    # With one table every assignment is its own.
    if len(factors) == 1:
        return (factors[0].table,)
    words.next()
    written: dict[TableName, None] = {}
    for assignment in split(_until(words, frozenset({"WHERE", "ORDER", "LIMIT", "RETURNING"}))):
        left = Words(assignment)
        parts = [left.name()]
        while left.accept_sign("."):
            parts.append(left.name())
        named = [one for one in factors if len(parts) > 1 and _is_called(one, parts[:-1])]
        written.update(dict.fromkeys(one.table for one in named or factors))  # no table named: a column of any of them
    return tuple(written)


def _deleted(words: Words, database: str) -> tuple[TableName, ...]:
    if words.accept("FROM"):
        targets = _until(words, _AFTER_TARGETS)
        # ``DELETE FROM t`` names targets directly; with USING the targets are aliases of what follows.
        if not words.accept("USING"):
            return tuple(_target(part, database, ()) for part in split(targets))
        factors = _factors(_until(words, frozenset({"WHERE"})), database)
    else:
        targets = _until(words, frozenset({"FROM"}))
        if not words.accept("FROM"):
            raise NotUnderstood("a DELETE without FROM")
        factors = _factors(_until(words, frozenset({"WHERE"})), database)
    return tuple(_target(part, database, factors) for part in split(targets))


def _target(tokens: Sequence[Token], database: str, factors: Sequence[_Factor]) -> TableName:
    """A table that DELETE names, also by its alias or as ``name.*``."""
    words = Words(tokens)
    parts = [words.name()]
    # Old syntax allows ``table.*``.
    while words.accept_sign(".") and not words.accept_sign("*"):
        parts.append(words.name())
    if not words.is_done or len(parts) > 2:
        raise NotUnderstood("an unusual target of DELETE")
    named = [one.table for one in factors if _is_called(one, parts)]
    # An alias that no table has: the statement is read wrongly, so nothing is certain.
    if factors and not named:
        raise NotUnderstood("a target that is none of the tables")
    return named[0] if named else (parts[0] if len(parts) == 2 else database, parts[-1])


def _is_called(factor: _Factor, parts: Sequence[str]) -> bool:
    if factor.alias.lower() != parts[-1].lower():
        return False
    return len(parts) == 1 or factor.table[0].lower() == parts[0].lower()


def _until(words: Words, ends: frozenset[str]) -> list[Token]:
    """The tokens before the first of these words that is not in parentheses."""
    taken: list[Token] = []
    depth = 0
    while not words.is_done and (depth or words.word not in ends):
        token = words.next()
        if token.kind == "sign":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        taken.append(token)
    return taken


def _factors(tokens: Sequence[Token], database: str) -> list[_Factor]:
    """The tables of a list of joins. Queries in parentheses are only read, so their tables are left out."""
    words, found = Words(tokens), list[_Factor]()
    is_due = True  # a table's name comes next
    while not words.is_done:
        if is_due and words.sign == "(":
            inside = words.inside()
            if Words(inside).word not in _QUERIES:
                found += _factors(inside, database)
            is_due = False
        elif is_due:
            words.accept("LATERAL")
            if words.sign == "(":
                continue
            table = _name(words, database)
            if words.sign == "(":  # JSON_TABLE(…)
                words.inside()
                is_due = False
                continue
            if words.accept("PARTITION"):
                words.inside()
            words.accept("AS")
            has_alias = not words.is_done and words.sign == "" and words.word not in _NO_ALIAS
            found.append(_Factor(table, words.name() if has_alias else table[1]))
            is_due = False
        else:
            token = words.next()
            is_due = token.word in _JOINS or (token.kind == "sign" and token.text == ",")
            if token.word in ("ON", "USING", "INDEX", "KEY", "FOR") and words.sign == "(":
                words.inside()
    if is_due or not found:
        raise NotUnderstood("no table where one was expected")
    return found
