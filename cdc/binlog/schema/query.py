"""What a statement in the log means for the rows we follow. Pure text work on QUERY events.

Row changes come as rows events. Statements begin and end transactions, change definitions, empty tables, or (with a
binlog_format other than ROW) change rows in a way that cannot be followed. ddl.py reads what a definition does to
columns; this module finds only the tables that the definition names.

**The rule: only what is known for certain counts as harmless.** A statement that is not known (``Kind.UNCLEAR``), or
that cannot be cut into words, may have changed every table that it mentions. This rule costs a second reading of those
tables now and then. The opposite rule would cost wrong data in HubSpot without any message. When you add a statement to
the harmless statements below, write down why it cannot change a table's rows or columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import Final

from cdc.binlog.schema.tokens import Dialect, Token, cut
from cdc.binlog.schema.words import NotUnderstood, Words
from cdc.binlog.schema.written import TableName, mentioned, written

__all__ = ["Kind", "Statement", "TableName", "read_statement"]


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
    UNCLEAR = auto()  # not known: it may have changed rows and columns of every table that it mentions
    OTHER = auto()  # accounts, views, routines, hints: known to change no table's rows or columns


@dataclass(frozen=True, slots=True)
class Statement:
    """``tables``: the tables that a TRUNCATE or DEFINITION names, that a ROWS statement writes, or that an UNCLEAR
    statement mentions. ``everything``: the statement may have changed any table. ``text``: the bytes, in lower case, of
    a statement that cannot be cut into words: it may have changed every table whose name is in them. ``databases``:
    databases that it drops. ``savepoint``: the savepoint's name. ``xid``: the id of an XA COMMIT or ROLLBACK, as the
    servers write it. ``tokens``: all tokens of a definition. ``is_temporary``: it makes or drops temporary tables.
    ``changes_keys``: it may have changed a table's foreign keys.
    """

    kind: Kind
    tables: tuple[TableName, ...] = ()
    databases: tuple[str, ...] = ()
    savepoint: str = ""
    xid: str = ""
    tokens: tuple[Token, ...] = ()
    everything: bool = False
    text: bytes = b""
    is_temporary: bool = False
    changes_keys: bool = False


_XID: Final = re.compile(r"(?P<parts>X'[0-9a-f]*',X'[0-9a-f]*'),(?P<format>-?\d+)$")
_FAST: Final = {b"BEGIN": Statement(Kind.BEGIN), b"COMMIT": Statement(Kind.COMMIT)}
_BOUNDS: Final = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "XA", "START", "RELEASE"})
_ROWS_VERBS: Final = frozenset({
    "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT", "VALUES", "TABLE",
})  # fmt: skip
_TABLE_VERBS: Final = frozenset({"CREATE", "ALTER", "DROP", "RENAME"})
_HARMLESS_VERBS: Final = frozenset({
    "GRANT", "REVOKE", "SET", "FLUSH", "KILL", "PURGE", "RESET", "CHANGE", "STOP", "SHUTDOWN", "INSTALL", "UNINSTALL",
    "LOCK", "UNLOCK", "USE", "SHOW", "HELP", "CHECK", "CHECKSUM", "CACHE", "OPTIMIZE", "ANALYZE",
})  # fmt: skip
"""Accounts, settings, plugins, locks and reads. OPTIMIZE and ANALYZE TABLE rebuild a table without changing its rows.
"""

_HARMLESS_SUBJECTS: Final = frozenset({
    "USER", "ROLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "SERVER", "TABLESPACE", "LOGFILE", "UNDO",
    "REFERENCE", "RESOURCE", "PACKAGE", "INSTANCE", "LIBRARY",
})  # fmt: skip
"""What CREATE, ALTER, DROP and RENAME can be about beside tables.

Routines, triggers and events change rows only when they run, and then the log has the changes.
"""

_BEFORE_TABLE: Final = frozenset({"OR", "REPLACE", "TEMPORARY", "ONLINE", "OFFLINE", "IGNORE"})
_BEFORE_INDEX: Final = frozenset({"UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"})
_BEFORE_ROUTINE: Final = frozenset({"AGGREGATE"})
_AFTER_TABLE: Final = frozenset({"IF", "NOT", "EXISTS", "WAIT", "NOWAIT"})
_KEY_WORDS: Final = frozenset({"FOREIGN", "REFERENCES"})
_LEXING: Final = re.compile(rb"sql_mode|character_set|collation|\bnames\b", re.IGNORECASE)
"""The settings by which SET STATEMENT changes how the rest of its text is cut."""


def read_statement(database: str, raw: bytes, dialect: Dialect = Dialect()) -> Statement:  # noqa: B008  # immutable
    """Classify a statement that ran with ``database`` as its default.

    Never raises: a statement that is not known is UNCLEAR.
    """
    fast = _FAST.get(raw)
    # Most statements of a log are BEGIN and COMMIT; they skip all that follows.
    if fast is not None:
        return fast
    tokens, is_whole = cut(raw, dialect)
    tokens = _without_prefix(tokens)
    if tokens and tokens[0].word == "SET" and _word(tokens, 1) == "STATEMENT":
        # The event carries the modes that SET STATEMENT sets, while the server cut the text by those of before.
        is_whole = is_whole and not _LEXING.search(raw)
        tokens = _behind_for(tokens) if is_whole else ()
    # Clients may send a semicolon at the end; more than one statement has something behind it.
    while is_whole and tokens and tokens[-1].text == ";" and tokens[-1].kind == "sign":
        tokens = tokens[:-1]
    if not tokens:
        # Only a comment or nothing: harmless. But if the text could not be cut, the rest may say anything.
        return Statement(Kind.OTHER) if is_whole else _not_cut("", raw)
    first, second = tokens[0].word, _word(tokens, 1)
    if is_whole:
        return _read(first, second, tokens, database, dialect)
    # The first words were cut cleanly, and they decide alone.
    if _is_harmless(first, second, tokens):
        return Statement(Kind.OTHER)  # whatever follows, it is one statement, and one of these
    return _not_cut(first, raw)


def _read(first: str, second: str, tokens: tuple[Token, ...], database: str, dialect: Dialect) -> Statement:
    if _is_harmless(first, second, tokens):
        return Statement(Kind.OTHER)
    if first in _BOUNDS:
        return _bounds(first, second, tokens)
    if first == "TRUNCATE":
        # TABLE is optional in TRUNCATE.
        at = 2 if second == "TABLE" else 1
        return Statement(Kind.TRUNCATE, tuple(_names(tokens[at:], database)))
    if first in _TABLE_VERBS:
        # A semicolon inside means two statements in one event; under sql_mode ORACLE or MAXDB types have other
        # meanings.
        if dialect.has_other_types or any(token.kind == "sign" and token.text == ";" for token in tokens):
            return Statement(Kind.UNCLEAR, mentioned(tokens, database), changes_keys=True)
        return _definition(first, tokens, database)
    if first in _ROWS_VERBS:
        found = written(tokens, database)
        return Statement(Kind.ROWS, found.tables, everything=found.everything)
    # The rule of this module: what is not known may have changed every table that it mentions.
    return Statement(Kind.UNCLEAR, mentioned(tokens, database), changes_keys=True)


def _not_cut(verb: str, raw: bytes) -> Statement:
    """The statement that may have changed every table whose name is in its bytes, whatever surrounds the name."""
    # The verb may be readable although the rest is not: then it changed rows only, and columns stay known.
    kind = Kind.ROWS if verb in _ROWS_VERBS else Kind.UNCLEAR
    return Statement(kind, text=raw.lower(), changes_keys=kind is Kind.UNCLEAR)


def _word(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].word if at < len(tokens) else ""


def _without_prefix(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The tokens without MariaDB's ANALYZE [FORMAT = …], which runs the statement behind it."""
    if _word(tokens, 0) != "ANALYZE":
        return tokens
    at = 1
    if _word(tokens, at) == "FORMAT":
        at += 3
    return tokens[at:] if _word(tokens, at) in _ROWS_VERBS - {"TABLE"} else tokens


def _behind_for(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The statement that SET STATEMENT … FOR runs; no tokens if there is no FOR."""
    depth = 0
    for at, token in enumerate(tokens):
        if token.kind == "sign":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth and token.word == "FOR":
            return tokens[at + 1 :]
    return ()


def _is_harmless(first: str, second: str, tokens: Sequence[Token]) -> bool:
    """Whether the first words alone say that no table's rows or columns change."""
    if first in _HARMLESS_VERBS:
        # ANALYZE may also run the statement behind it (MariaDB); only the forms that name tables are looks.
        return first != "ANALYZE" or second in ("TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG")
    # LOAD INDEX INTO CACHE fills a cache; any other LOAD writes rows.
    if (first, second) == ("LOAD", "INDEX"):
        return True
    return first in _TABLE_VERBS and _subject(tokens)[0] in _HARMLESS_SUBJECTS


def _bounds(first: str, second: str, tokens: Sequence[Token]) -> Statement:
    if first == "BEGIN" or (first, second) in (("START", "TRANSACTION"), ("XA", "START"), ("XA", "BEGIN")):
        return Statement(Kind.BEGIN)
    if first == "COMMIT" or (first, second) == ("XA", "COMMIT"):
        return Statement(Kind.COMMIT, xid=_xid(tokens))
    if first == "SAVEPOINT":
        return Statement(Kind.SAVEPOINT, savepoint=tokens[-1].text.lower())
    # ROLLBACK TO goes back to a savepoint; AND CHAIN, RELEASE and the like end the transaction.
    if first == "ROLLBACK" and any(token.word == "TO" for token in tokens[1:3]):
        return Statement(Kind.ROLLBACK_TO, savepoint=tokens[-1].text.lower())
    if first == "ROLLBACK" or (first, second) == ("XA", "ROLLBACK"):
        return Statement(Kind.ROLLBACK, xid=_xid(tokens))
    return Statement(Kind.OTHER)  # XA END, XA PREPARE, RELEASE SAVEPOINT, START REPLICA


def _xid(tokens: Sequence[Token]) -> str:
    """The id in an XA statement, in the form that ``headers.read_xa_prepare`` gives; "" for other statements."""
    if tokens[0].word != "XA":
        return ""
    text = "".join(token.text for token in tokens[2:])
    match = _XID.match(text)
    # Format numbers are written signed in statements and unsigned in XA_PREPARE; both must give one text.
    return f"{match['parts']},{int(match['format']) & 0xFFFFFFFF}" if match else text


# ------------------------------------------------------------------------------------------- definitions


def _subject(tokens: Sequence[Token]) -> tuple[str, int, frozenset[str]]:
    """The kind of thing that a CREATE, ALTER, DROP or RENAME is about, the index behind that word, and the flags before
    it.
    """
    words, flags = Words(tokens), set[str]()
    try:
        words.next()
        while True:
            if words.word in _BEFORE_TABLE | _BEFORE_INDEX | _BEFORE_ROUTINE:
                flags.add(words.next().word)
            elif words.accept("SQL", "SECURITY"):
                words.next()
            elif words.word in ("DEFINER", "ALGORITHM"):
                _pass_option(words)
            else:
                return words.word, words.at + 1, frozenset(flags)
    except NotUnderstood:
        # The words end before a subject is found: UNCLEAR will follow.
        return "", len(tokens), frozenset(flags)


def _pass_option(words: Words) -> None:
    """Skip ``DEFINER = user@host``, ``DEFINER = CURRENT_USER()`` or ``ALGORITHM = MERGE``."""
    words.next()
    words.accept_sign("=")
    words.next()
    # The host of an account.
    if words.accept_sign("@"):
        words.next()
    elif words.sign == "(":
        # CURRENT_USER().
        words.inside()


def _definition(verb: str, tokens: tuple[Token, ...], database: str) -> Statement:
    subject, at, flags = _subject(tokens)
    rest = tokens[at:]
    while rest and rest[0].word in _AFTER_TABLE:
        rest = rest[1:]
    # Only DROP DATABASE takes tables away; CREATE and ALTER DATABASE change defaults for tables of the future.
    if subject in ("DATABASE", "SCHEMA"):
        dropped = (rest[0].text,) if verb == "DROP" and rest else ()
        return Statement(Kind.DEFINITION, databases=dropped, tokens=tokens, changes_keys=bool(dropped))
    # An index changes no column; the table is named after ON.
    if subject == "INDEX":
        indexes = [index for index, token in enumerate(rest) if token.word == "ON"]
        named = tuple(_names(rest[indexes[0] + 1 :], database))[:1] if indexes else ()
        return Statement(Kind.DEFINITION, named, tokens=tokens)
    # Something that this version does not know can be made or altered: it may bear on any table that is
    # mentioned.
    if subject not in ("TABLE", "TABLES"):
        return Statement(Kind.UNCLEAR, mentioned(tokens, database), changes_keys=True)
    # Behind the first name of CREATE TABLE columns follow, whose words would look like tables.
    if verb == "CREATE":
        names = tuple(_names(rest, database))[:1]
    else:
        names = tuple(_altered(rest, database) if verb == "ALTER" else _names(rest, database))
    # CREATE TABLE … SELECT on MySQL 8: the rows come in the same transaction.
    begins = verb == "CREATE" and [t.word for t in tokens[-2:]] == ["START", "TRANSACTION"]
    kind = Kind.DEFINITION_BEGIN if begins else Kind.DEFINITION
    # A name that moves may bring or take foreign keys; an ALTER that names no key cannot.
    changes_keys = verb != "ALTER" or len(names) > 1 or _names_keys(tokens)
    is_temporary = "TEMPORARY" in flags
    return Statement(
        kind, names, tokens=tokens, is_temporary=is_temporary, changes_keys=changes_keys and not is_temporary
    )


def _names_keys(tokens: Sequence[Token]) -> bool:
    """Whether an ALTER TABLE may make or drop foreign keys."""
    # DROP CONSTRAINT does not say whether the constraint is a foreign key.
    words = [token.word for token in tokens]
    drops = any(pair == ("DROP", "CONSTRAINT") for pair in pairwise(words))
    return drops or not _KEY_WORDS.isdisjoint(words)


def _altered(rest: Sequence[Token], database: str) -> Iterator[TableName]:
    """The table, its new name if it is renamed, and the tables with which it exchanges partitions."""
    yield from _name_at(rest, 0, database)
    words = [token.word for token in rest]
    moves = False
    for index, word in enumerate(words):
        # RENAME COLUMN and RENAME INDEX move no table.
        if word == "RENAME" and words[index + 1 : index + 2] not in (["COLUMN"], ["INDEX"], ["KEY"]):
            has_word = words[index + 1 : index + 2] in (["TO"], ["AS"]) or _is_equals(rest, index + 1)
            yield from _name_at(rest, index + (2 if has_word else 1), database)
        # EXCHANGE PARTITION … WITH TABLE, CONVERT PARTITION … TO TABLE: rows go to or come from another table.
        moves = moves or word in ("EXCHANGE", "CONVERT")
        if moves and word == "TABLE":
            yield from _name_at(rest, index + 1, database)


def _is_equals(tokens: Sequence[Token], at: int) -> bool:
    return at < len(tokens) and tokens[at].kind == "sign" and tokens[at].text == "="


def _name_at(tokens: Sequence[Token], at: int, database: str) -> list[TableName]:
    """The table name at this index, if there is one: a name takes three tokens at most."""
    return list(_names(tokens[at : at + 3], database))[:1]


def _names(tokens: Sequence[Token], database: str) -> Iterator[TableName]:
    """A list of table names, separated by commas, or by TO in RENAME TABLE."""
    at = 0
    while at < len(tokens) and tokens[at].kind in ("name", "word"):
        name = (database, tokens[at].text)
        at += 1
        # A qualified name: what looked like the table was the database.
        if at + 1 < len(tokens) and tokens[at].text == "." and tokens[at].kind == "sign":
            name = (name[1], tokens[at + 1].text)
            at += 2
        yield name
        while at < len(tokens) and (tokens[at].word in ("WAIT", "NOWAIT") or tokens[at].word.isdigit()):
            at += 1  # MariaDB: RENAME TABLE a WAIT 5 TO b
        if at >= len(tokens) or not (tokens[at].text == "," or tokens[at].word == "TO"):
            return
        at += 1
