"""What a statement in the log means for the rows we follow. Pure text work on QUERY events.

Row changes come as rows events; statements only bound transactions, change definitions, empty tables, or (with
binlog_format other than ROW) change rows in a way we cannot follow. What a definition does to columns is read in
ddl.py; here it is enough to know which tables it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from cdc.binlog.schema.tokens import Token, tokens_of

TableName = tuple[str, str]
"""Database and table."""


class Kind(Enum):
    """What a statement does to the transaction or the tables."""

    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    ROLLBACK_TO = auto()  # a savepoint
    SAVEPOINT = auto()
    TRUNCATE = auto()
    DEFINITION = auto()  # tables are made, changed, renamed or dropped
    DEFINITION_BEGIN = auto()  # CREATE TABLE ... SELECT, whose rows follow in the same transaction
    ROWS = auto()  # rows changed by statement
    OTHER = auto()  # accounts, views, routines, hints: nothing that changes rows


@dataclass(frozen=True, slots=True)
class Statement:
    """``tables``: those that a TRUNCATE or DEFINITION names, or all that a ROWS statement mentions. ``databases``:
    those dropped whole. ``savepoint``: its name. ``xid``: of an XA COMMIT or ROLLBACK, as the servers write it.
    ``tokens``: all of a definition.
    """

    kind: Kind
    tables: tuple[TableName, ...] = ()
    databases: tuple[str, ...] = ()
    savepoint: str = ""
    xid: str = ""
    tokens: tuple[Token, ...] = ()


_XID: Final = re.compile(r"(?P<parts>X'[0-9a-f]*',X'[0-9a-f]*'),(?P<format>-?\d+)$")
_FAST: Final = {b"BEGIN": Statement(Kind.BEGIN), b"COMMIT": Statement(Kind.COMMIT)}
_ROWS_VERBS: Final = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT"})
_TABLE_VERBS: Final = frozenset({"CREATE", "ALTER", "DROP", "RENAME"})
_BEFORE_TABLE: Final = frozenset({"OR", "REPLACE", "TEMPORARY", "ONLINE", "OFFLINE", "IGNORE"})
_BEFORE_INDEX: Final = frozenset({"UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"})
_AFTER_TABLE: Final = frozenset({"IF", "NOT", "EXISTS", "WAIT", "NOWAIT"})


def read_statement(database: str, raw: bytes) -> Statement:
    """Classify a statement that ran with ``database`` as its default. Never raises: what it does not know is OTHER."""
    fast = _FAST.get(raw)
    if fast is not None:
        return fast
    tokens = list(tokens_of(raw.decode("utf-8", "replace")))
    first = tokens[0].word if tokens else ""
    second = tokens[1].word if len(tokens) > 1 else ""
    if first in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "XA", "START"):
        return _bounds(first, second, tokens)
    if first == "TRUNCATE":
        at = 2 if second == "TABLE" else 1
        return Statement(Kind.TRUNCATE, tuple(_names(tokens[at:], database)))
    if first in _TABLE_VERBS:
        return replace(_definition(first, tokens, database), tokens=tuple(tokens))
    if first in _ROWS_VERBS:
        return Statement(Kind.ROWS, tuple(_mentioned(tokens, database)))
    return Statement(Kind.OTHER)


def _bounds(first: str, second: str, tokens: list[Token]) -> Statement:
    if first == "BEGIN" or (first, second) in (("START", "TRANSACTION"), ("XA", "START"), ("XA", "BEGIN")):
        return Statement(Kind.BEGIN)
    if first == "COMMIT" or (first, second) == ("XA", "COMMIT"):
        return Statement(Kind.COMMIT, xid=_xid(tokens))
    if first == "SAVEPOINT":
        return Statement(Kind.SAVEPOINT, savepoint=tokens[-1].text.lower())
    if first == "ROLLBACK" and any(token.word == "TO" for token in tokens[1:3]):
        return Statement(Kind.ROLLBACK_TO, savepoint=tokens[-1].text.lower())
    if first == "ROLLBACK" or (first, second) == ("XA", "ROLLBACK"):
        return Statement(Kind.ROLLBACK, xid=_xid(tokens))
    return Statement(Kind.OTHER)  # XA END, START REPLICA and the like


def _xid(tokens: list[Token]) -> str:
    """What an XA statement names, in the one form that ``headers.read_xa_prepare`` gives, too; "" for others."""
    if tokens[0].word != "XA":
        return ""
    text = "".join(token.text for token in tokens[2:])
    match = _XID.match(text)
    return f"{match['parts']},{int(match['format']) & 0xFFFFFFFF}" if match else text


def _definition(verb: str, tokens: list[Token], database: str) -> Statement:
    at = 1
    while at < len(tokens) and tokens[at].word in _BEFORE_TABLE | _BEFORE_INDEX:
        at += 1
    subject = tokens[at].word if at < len(tokens) else ""
    rest = tokens[at + 1 :]
    while rest and rest[0].word in _AFTER_TABLE:
        rest = rest[1:]
    if subject in ("DATABASE", "SCHEMA"):
        dropped = (rest[0].text,) if verb == "DROP" and rest else ()
        return Statement(Kind.DEFINITION, databases=dropped)
    if subject == "INDEX":
        places = [place for place, token in enumerate(rest) if token.word == "ON"]
        return Statement(Kind.DEFINITION, tuple(_names(rest[places[0] + 1 :], database))[:1] if places else ())
    if subject not in ("TABLE", "TABLES"):
        return Statement(Kind.OTHER)
    if verb == "CREATE":
        kind = Kind.DEFINITION_BEGIN if [t.word for t in tokens[-2:]] == ["START", "TRANSACTION"] else Kind.DEFINITION
        return Statement(kind, tuple(_names(rest, database))[:1])
    if verb == "ALTER":
        return Statement(Kind.DEFINITION, tuple(_altered(rest, database)))
    return Statement(Kind.DEFINITION, tuple(_names(rest, database)))


def _altered(rest: list[Token], database: str) -> Iterator[TableName]:
    """The table, the one it is renamed to, and the one it swaps a partition with."""
    yield from _name_at(rest, 0, database)
    words = [token.word for token in rest]
    exchanges = False
    for place, word in enumerate(words):
        if word == "RENAME" and words[place + 1 : place + 2] not in (["COLUMN"], ["INDEX"], ["KEY"]):
            skip = 2 if words[place + 1 : place + 2] in (["TO"], ["AS"]) else 1
            yield from _name_at(rest, place + skip, database)
        exchanges = exchanges or word == "EXCHANGE"
        if exchanges and word == "TABLE":
            yield from _name_at(rest, place + 1, database)


def _name_at(tokens: list[Token], at: int, database: str) -> list[TableName]:
    """The one table name there, if any: a name takes three tokens at most."""
    return list(_names(tokens[at : at + 3], database))[:1]


def _names(tokens: list[Token], database: str) -> Iterator[TableName]:
    """A list of table names, separated by commas, or by TO in RENAME TABLE."""
    at = 0
    while at < len(tokens) and tokens[at].kind in ("name", "word", "text"):
        name = (database, tokens[at].text.strip('"'))
        at += 1
        if at + 1 < len(tokens) and tokens[at].text == "." and tokens[at].kind == "sign":
            name = (name[1], tokens[at + 1].text.strip('"'))
            at += 2
        yield name
        while at < len(tokens) and (tokens[at].word in ("WAIT", "NOWAIT") or tokens[at].word.isdigit()):
            at += 1  # MariaDB: RENAME TABLE a WAIT 5 TO b
        if at >= len(tokens) or not (tokens[at].text == "," or tokens[at].word == "TO"):
            return
        at += 1


def _mentioned(tokens: list[Token], database: str) -> Iterator[TableName]:
    """Every name in the statement that may be a table's; texts in quotation marks are not names."""
    for at, token in enumerate(tokens):
        if token.kind not in ("name", "word"):
            continue
        qualified = at >= 2 and tokens[at - 1].text == "." and tokens[at - 2].kind in ("name", "word")
        yield (tokens[at - 2].text if qualified else database, token.text)
