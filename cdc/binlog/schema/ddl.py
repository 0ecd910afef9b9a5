"""What CREATE and ALTER TABLE do to a table's columns, and to the values stored in them. Pure.

This parser reads the part of both servers' grammars that concerns columns, and refuses the rest (``NotUnderstood``). A
general SQL parser knows fewer of these statements, and does not report a statement that it understood only in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

from cdc.binlog.schema.column_definition import Defined, charset_named, charset_of_collation, read_column
from cdc.binlog.schema.columns import Column
from cdc.binlog.schema.tokens import Token
from cdc.binlog.schema.words import NotUnderstood, Words, split


class Table(NamedTuple):
    """A table's columns in order, and its default character set; None when the character set is not known."""

    columns: tuple[Column, ...]
    charset: str | None


@dataclass(slots=True)
class Altered:
    """What an ALTER TABLE did. ``table``: None when the columns are not known any more.

    ``affected``: lower-case names of columns whose stored values, or whose meaning, may have changed. ``everything``:
    any column's may have changed.
    """

    table: Table | None
    affected: set[str] = field(default_factory=set)
    everything: bool = False


_KEYS: Final = frozenset({
    "INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "PRIMARY", "CONSTRAINT", "FOREIGN", "CHECK",
})  # fmt: skip
_HARMLESS: Final = frozenset({
    "COMMENT", "AUTO_INCREMENT", "ROW_FORMAT", "KEY_BLOCK_SIZE", "ALGORITHM", "LOCK", "ENABLE", "DISABLE",
    "FORCE", "ORDER", "STATS_PERSISTENT", "STATS_AUTO_RECALC", "STATS_SAMPLE_PAGES", "CHECKSUM", "MAX_ROWS", "MIN_ROWS",
    "AVG_ROW_LENGTH", "PACK_KEYS", "DELAY_KEY_WRITE", "TABLESPACE", "COMPRESSION", "PAGE_COMPRESSED", "ENCRYPTION",
    "PAGE_COMPRESSION_LEVEL", "ENCRYPTED", "PARTITION", "REMOVE", "REBUILD", "OPTIMIZE", "ANALYZE", "CHECK", "REPAIR",
    "COALESCE", "REORGANIZE", "WITHOUT", "DEFAULT", "CHARACTER", "CHARSET", "COLLATE",
})  # fmt: skip
_ENGINES: Final = frozenset({"INNODB", "MYISAM", "ARIA", "ROCKSDB", "XTRADB"})
"""Engines that keep every value as it is. Other engines may hold less, or nothing at all (BLACKHOLE)."""

_TAKES_ROWS_AWAY: Final = frozenset({"TRUNCATE", "EXCHANGE", "DISCARD", "IMPORT"})


class _Plan:
    """The actions of an ALTER TABLE, gathered before any is applied: all of
    them name columns as they were before it.
    """

    def __init__(self, table: Table, *, is_mariadb: bool) -> None:
        self.table = table
        self.is_mariadb = is_mariadb
        self.charset = table.charset
        self.dropped: set[str] = set()
        self.changed: dict[str, Defined] = {}  # by lower-case old name
        self.defined: list[tuple[str, Defined]] = []  # old name or "", in the order written
        self.affected: set[str] = set()
        self.everything = False

    def held(self, name: str) -> Column | None:
        """The column that has this name before the statement."""
        return next((column for column in self.table.columns if column.name.lower() == name.lower()), None)

    def must_hold(self, name: str) -> Column:
        """Like ``held``; NotUnderstood if there is no such column."""
        # Our columns are not those of the server. Everything behind this would be a guess.
        column = self.held(name)
        if column is None:
            raise NotUnderstood("a column that is not there")
        return column

    def change(self, old: str, defined: Defined) -> None:
        """The column ``old`` gets a new definition."""
        before = self.must_hold(old)
        # MODIFY does not repeat PRIMARY KEY, and the key stays.
        if before.is_key and not defined.column.is_key:
            defined = replace(defined, column=replace(defined.column, is_key=True, nullable=False))
        self.changed[old.lower()] = defined
        self.defined.append((old, defined))
        # The stored values may read differently now, under the old name and under the new one.
        if _meaning(before) != _meaning(defined.column):
            self.affected |= {old.lower(), defined.column.name.lower()}

    def result(self) -> tuple[Column, ...]:
        """The new table, built in the servers' order (mysql_prepare_alter_table
        in sql/sql_table.cc of both servers).
        """
        made: list[Column] = []
        for column in self.table.columns:
            name = column.name.lower()
            if name in self.dropped:
                continue
            change = self.changed.get(name)
            if change is None:
                made.append(column)
            elif change.after is None:
                # Without FIRST or AFTER a changed column keeps its position.
                made.append(change.column)
        for old, one in self.defined:
            # It was put in its old position above.
            if old and one.after is None:
                continue
            if one.after is None:
                made.append(one.column)
            elif not one.after:
                made.insert(0, one.column)
            else:
                # AFTER may name a column that this statement adds, so the list as made so far counts.
                indexes = [at for at, column in enumerate(made) if column.name.lower() == one.after.lower()]
                if not indexes:
                    raise NotUnderstood("a column that is not there")
                made.insert(indexes[0] + 1, one.column)
        # The server would have refused it: our view of the table is wrong.
        if len({column.name.lower() for column in made}) != len(made):
            raise NotUnderstood("a column that is there already")
        return tuple(made)


def _meaning(column: Column) -> tuple[object, ...]:
    """The properties of a column that decide what its stored values mean."""
    return column.name.lower(), column.column_type, column.charset, column.nullable, "GENERATED" in column.extra


def alter(actions: Sequence[Token], table: Table, *, is_mariadb: bool) -> Altered:
    """The table after ``ALTER TABLE name <actions>``.

    Raises NotUnderstood for actions that the parser does not know.
    """
    plan = _Plan(table, is_mariadb=is_mariadb)
    for part in split(without_wait(actions)):
        _action(Words(part), plan)
    changed = Table(plan.result(), plan.charset)
    return Altered(changed, plan.affected, plan.everything)


def keeps_versions(tokens: Sequence[Token]) -> bool:
    """Whether a CREATE or ALTER TABLE gives the table MariaDB's system versioning."""
    words = ["", *(token.word for token in tokens), ""]
    if ("DROP", "PERIOD") in pairwise(words):
        return False
    return any(
        (before in ("ADD", "WITH") and (word, after) == ("SYSTEM", "VERSIONING"))
        or (before, word, after) == ("PERIOD", "FOR", "SYSTEM_TIME")
        for before, word, after in zip(words, words[1:], words[2:], strict=False)
    )


def without_wait(actions: Sequence[Token]) -> Sequence[Token]:
    """The tokens without MariaDB's WAIT n or NOWAIT, which comes before the first action."""
    if actions and actions[0].word == "NOWAIT":
        return actions[1:]
    return actions[2:] if actions and actions[0].word == "WAIT" else actions


def _action(words: Words, plan: _Plan) -> None:
    word = words.word
    if word == "ADD":
        _add(words, plan)
    elif word == "DROP":
        _drop(words, plan)
    elif word in ("MODIFY", "CHANGE"):
        _change(words, plan)
    elif word == "RENAME":
        _rename(words, plan)
    elif word == "ALTER":
        _alter_column(words, plan)
    elif word in _TAKES_ROWS_AWAY:
        plan.everything = True
    elif word == "ENGINE":
        # Some engines hold less than InnoDB, or nothing at all.
        _change_engine(words)
        plan.charset = _options(words.rest(), plan.charset)
    elif word in _HARMLESS or words.is_done:
        plan.charset = _options(words.rest(), plan.charset)
    else:
        raise NotUnderstood(f"{word or 'a sign'} in ALTER TABLE")


def _add(words: Words, plan: _Plan) -> None:
    words.next()
    is_column = words.accept("COLUMN")
    # Keys and partitions are no columns. Without COLUMN the word decides.
    if not is_column and (words.word in _KEYS or words.word == "PARTITION"):
        # Only a primary key changes what columns may hold.
        if words.word in ("PRIMARY", "CONSTRAINT"):
            _note_key(words.rest(), plan)
        return
    may_exist = words.accept("IF", "NOT", "EXISTS")
    parts = split(words.inside()) if words.sign == "(" else [words.rest()]
    for part in parts:
        defined = read_column(Words(part), plan.charset, is_mariadb=plan.is_mariadb)
        # The server left the column as it was, with another definition maybe.
        if may_exist and plan.held(defined.column.name) is not None:
            continue
        plan.defined.append(("", defined))
        plan.affected.add(defined.column.name.lower())


def _note_key(tokens: list[Token], plan: _Plan) -> None:
    """ADD PRIMARY KEY makes its columns NOT NULL, which may change their values."""
    words = Words(tokens)
    while not words.is_done and words.word != "PRIMARY":
        # A constraint with parentheses before PRIMARY is a CHECK or a foreign key.
        if words.sign == "(":
            return
        words.next()
    if not words.is_done:
        raise NotUnderstood("a new primary key")


def _drop(words: Words, plan: _Plan) -> None:
    words.next()
    if not words.accept("COLUMN") and words.word in _KEYS | {"PARTITION"}:
        # Columns of a dropped key may become NULL; the server's answer is surer.
        if words.word == "PRIMARY":
            raise NotUnderstood("a primary key that goes")
        # DROP PARTITION takes rows away without a row event.
        plan.everything = plan.everything or words.word == "PARTITION"
        return
    may_lack = words.accept("IF", "EXISTS")
    name = words.name()
    # IF EXISTS and no such column: nothing happened.
    if may_lack and plan.held(name) is None:
        return
    plan.must_hold(name)
    plan.dropped.add(name.lower())


def _change(words: Words, plan: _Plan) -> None:
    is_modify = words.next().word == "MODIFY"
    words.accept("COLUMN")
    may_lack = words.accept("IF", "EXISTS")
    old = "" if is_modify else words.name()
    defined = read_column(words, plan.charset, is_mariadb=plan.is_mariadb)
    old = old or defined.column.name
    # IF EXISTS and no such column: nothing happened.
    if may_lack and plan.held(old) is None:
        return
    plan.change(old, defined)


def _rename(words: Words, plan: _Plan) -> None:
    words.next()
    if words.accept("COLUMN"):
        may_lack = words.accept("IF", "EXISTS")
        old = words.name()
        if not words.accept("TO"):
            raise NotUnderstood("an unusual RENAME COLUMN")
        if may_lack and plan.held(old) is None:
            return
        plan.change(old, Defined(replace(plan.must_hold(old), name=words.name())))
    # of an index: no column's; of the table: the statement's names show it


def _alter_column(words: Words, plan: _Plan) -> None:
    words.next()
    # An index is made visible or invisible.
    if words.word in _KEYS:
        return
    words.accept("COLUMN")
    words.accept("IF", "EXISTS")
    plan.must_hold(words.name())
    if words.word in ("SET", "DROP"):
        raise NotUnderstood("another default")  # rare, and best asked of the server: its spelling differs
    raise NotUnderstood("an unusual ALTER COLUMN")


def _change_engine(words: Words) -> None:
    words.next()
    words.accept_sign("=")
    token = words.next()
    # BLACKHOLE, MEMORY and the like may lose rows, which no event tells.
    if (token.value or token.text).upper() not in _ENGINES:
        raise NotUnderstood("an engine that may not keep what it is given")


def _options(tokens: Sequence[Token], charset: str | None) -> str | None:
    """The default character set after these table options are applied."""
    words = Words(tokens)
    while not words.is_done:
        # Behind PARTITION the options are those of partitions.
        if words.accept("PARTITION"):
            break
        if words.accept("CHARSET") or words.accept("CHARACTER", "SET"):
            charset = charset_named(_option(words))
        elif words.accept("COLLATE"):
            charset = charset_of_collation(_option(words))
        else:
            words.next()
    return charset


def _option(words: Words) -> str:
    words.accept_sign("=")
    token = words.next()
    if token.word == "DEFAULT":
        # The database's default is not in the statement.
        raise NotUnderstood("a character set that is the database's")
    return token.value if token.kind == "text" else token.text


def create(body: Sequence[Token], *, is_mariadb: bool) -> Table:
    """The table that ``CREATE TABLE name <body>`` makes. Raises NotUnderstood, also for a table made from a SELECT."""
    words = Words(body)
    parts = split(words.inside())
    options = words.rest()
    # Types of the columns come from the SELECT, which cannot be worked out here.
    if any(token.word in ("SELECT", "AS", "WITH", "VALUES", "TABLE", "LIKE") for token in _outside(options)):
        raise NotUnderstood("a table made from rows")
    charset = _options(options, None)
    columns: list[Column] = []
    key: set[str] = set()
    for part in parts:
        if part and part[0].word in _KEYS:
            key |= _key_columns(part)
        else:
            columns.append(read_column(Words(part), charset, is_mariadb=is_mariadb).column)
    keyed = [replace(c, is_key=True, nullable=False) if c.name.lower() in key else c for c in columns]
    # Then the definition was not read as the server reads it.
    if not keyed:
        raise NotUnderstood("a table without columns")
    return Table(tuple(keyed), charset)


def _outside(tokens: Sequence[Token]) -> list[Token]:
    depth, found = 0, []
    for token in tokens:
        if token.kind == "sign":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth:
            found.append(token)
    return found


def _key_columns(part: Sequence[Token]) -> set[str]:
    """The primary key's columns, if this part of CREATE TABLE defines the primary key."""
    words = Words(part)
    # The constraint's name may be left out: CONSTRAINT PRIMARY KEY.
    if words.accept("CONSTRAINT") and words.word != "PRIMARY":
        words.next()
    if not words.accept("PRIMARY", "KEY"):
        return set()
    while words.sign != "(":
        words.next()
    return {column[0].text.lower() for column in split(words.inside()) if column}
