"""Statements made by a grammar: definitions and row statements of two tables, in every spelling that servers take.

    for session, statement in script(random.Random(1), is_mariadb=True): ...

Most of them run; those that a server refuses are not logged, and nobody has to understand them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ANSI, NO_BACKSLASH = "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"
CHARSETS = {
    "utf8mb4": ["x", "é", "漢", "🙂"], "latin1": ["x", "é", "ü"], "gbk": ["昞", "誠", "x"], "big5": ["功", "許", "x"],
    "sjis": ["ソ", "表", "x"], "cp932": ["ソ", "能", "x"], "gb18030": ["昞", "🙂", "x"],
}  # fmt: skip
"""Client character sets, and characters of each; of some the second byte is a backslash."""

CODECS = {"utf8mb4": "utf-8", "sjis": "shift_jis"}
CREATE = (
    "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), x INT, b VARCHAR(20)) DEFAULT CHARSET=utf8mb4",
    "INSERT INTO t VALUES (1, 'one', 1, 'eins'), (2, 'two', 2, 'zwei')",
    "CREATE TABLE u (id INT PRIMARY KEY, a VARCHAR(20), x INT, b VARCHAR(20)) DEFAULT CHARSET=latin1",
    "INSERT INTO u VALUES (1, 'un', 1, 'uno'), (2, 'deux', 2, 'dos')",
)
TYPES = (
    "INT", "BIGINT UNSIGNED", "VARCHAR(20)", "VARCHAR(3)", "CHAR(7)", "TEXT", "DECIMAL(9,2)", "DATETIME(3)",
    "ENUM({label}, 'two')", "SET({label})", "VARCHAR(9) CHARACTER SET latin1", "VARBINARY(9)", "JSON", "DATE", "BIT(3)",
    "TINYTEXT COLLATE utf8mb4_bin", "FLOAT", "DOUBLE PRECISION", "BOOL", "NUMERIC(5)", "TIMESTAMP NULL", "YEAR",
)  # fmt: skip


class Session(NamedTuple):
    """What a connection has set before a statement."""

    sql_mode: tuple[str, ...]
    charset: str
    by_statement: bool

    def set_up(self) -> list[str]:
        """The statements that set it."""
        form = "STATEMENT" if self.by_statement else "ROW"
        return [f"SET NAMES {self.charset}, sql_mode = '{','.join(self.sql_mode)}', binlog_format = '{form}'"]


class Writer:
    """Writes statements for one session."""

    def __init__(self, draw: random.Random, session: Session, *, is_mariadb: bool, database: str) -> None:
        self._draw = draw
        self._session = session
        self._is_mariadb = is_mariadb
        self._database = database

    def statement(self) -> bytes:
        """One statement, in the bytes of the session's character set."""
        kinds = [self._alter] * 8 + [self._truncate, self._other, self._index]
        if self._session.by_statement:
            kinds = [self._update, self._insert, self._delete, self._temporary, self._alter]
        words = self._draw.choice(kinds)()
        if self._is_mariadb and not self._draw.randrange(6):
            setting = self._draw.choice(["lock_wait_timeout = 9", "sql_mode = ''", "sql_mode = 'ANSI_QUOTES'"])
            words = ["SET", "STATEMENT", *setting.split(), "FOR", *words]
        text = "".join(word + self._space() for word in words)
        if not self._draw.randrange(4):
            text = self._space() + text
        return text.encode(CODECS.get(self._session.charset, self._session.charset))

    # ------------------------------------------------------------------------------------------ between words

    def _space(self) -> str:
        if self._draw.randrange(5):
            return " "
        spaces = ["\n", "\t", "/**/", "/* ' */", "-- \"'\n", "--\n", "# `\n", "/*! */", "/*!40101 */ ", " -- t\n", "\v"]
        spaces += ["/*M! */", "/*M!100100 */"] if self._is_mariadb else ["/*M! DROP */"]
        return f" {self._draw.choice(spaces)}"

    def _name(self, name: str) -> str:
        name = name.upper() if not self._draw.randrange(12) and name in "abx" else name
        quotes = ["", "`", '"'] if ANSI in self._session.sql_mode else ["", "`"]
        quote = self._draw.choice(quotes)
        return f"{quote}{name}{quote}"

    def _table(self, name: str = "") -> str:
        name = self._name(name or self._draw.choice("ttu"))
        return name if self._draw.randrange(5) else f"{self._name(self._database)}.{name}"

    def _text(self) -> str:
        """A literal that is full of traps, as this session has to write it."""
        char = self._draw.choice(CHARSETS[self._session.charset])
        traps = ["C:\\", "it's", 'say "x"', "`", f", DROP COLUMN a, MODIFY {char}", f"{char}\\{char}", f"-- {char}",
                 "/*", "*/", char, "; DROP TABLE t", "%\\_"]  # fmt: skip
        value = self._draw.choice(traps)
        quote = "'" if ANSI in self._session.sql_mode or self._draw.randrange(3) else '"'
        if NO_BACKSLASH not in self._session.sql_mode:
            value = value.replace("\\", "\\\\")
        return f"{quote}{value.replace(quote, quote * 2)}{quote}"

    # ------------------------------------------------------------------------------------------ definitions

    def _column(self) -> str:
        return self._name(self._draw.choice("aabbxcd"))

    def _definition(self) -> list[str]:
        kind = self._draw.choice(TYPES).format(label=self._text())
        words = [kind]
        if not self._draw.randrange(4):
            words.append("NULL")
        if not self._draw.randrange(3):
            words += ["COMMENT", self._text()]
        return words

    def _place(self) -> list[str]:
        return self._draw.choice([[], [], ["FIRST"], ["AFTER", self._column()]])

    def _action(self) -> list[str]:
        draw = self._draw.randrange(11)
        column = self._draw.choice([["COLUMN"], []])
        if draw < 3:
            return ["ADD", *column, self._column(), *self._definition(), *self._place()]
        if draw < 6:
            return ["MODIFY", *column, self._column(), *self._definition(), *self._place()]
        if draw == 6:
            return ["CHANGE", *column, self._column(), self._column(), *self._definition(), *self._place()]
        if draw == 7:
            return ["DROP", *column, self._column()]
        if draw == 8:
            return ["RENAME", "COLUMN", self._column(), "TO", self._column()]
        if draw == 9:
            return ["COMMENT", "=", self._text()]
        return self._draw.choice([
            ["ENGINE", "=", "InnoDB"], ["ADD", "INDEX", "(", "x", ")"], ["DEFAULT", "CHARSET", "latin1"], ["FORCE"],
            ["ALTER", self._column(), "SET", "DEFAULT", self._text()], ["CONVERT", "TO", "CHARACTER", "SET", "utf8mb4"],
        ])  # fmt: skip

    def _alter(self) -> list[str]:
        words = ["ALTER", "TABLE", self._table()]
        for number in range(self._draw.choice([1, 1, 1, 2, 3])):
            words += [","] if number else []
            words += self._action()
        return words

    def _truncate(self) -> list[str]:
        return ["TRUNCATE", *self._draw.choice([["TABLE"], []]), self._table()]

    def _index(self) -> list[str]:
        return ["CREATE", "INDEX", self._name(f"i{self._draw.randrange(9**6)}"), "ON", self._table(), "(", "id", ")"]

    def _other(self) -> list[str]:
        copy, table = f"c{self._draw.randrange(9**6)}", self._draw.choice("tu")
        return self._draw.choice([
            ["CREATE", "TABLE", self._table(copy), "LIKE", self._table()],
            ["CREATE", "TABLE", self._table(copy), "(", "id", "INT", "PRIMARY", "KEY", ",", self._name("a"), "INT",
             "COMMENT", self._text(), ")", "COMMENT", "=", self._text()],
            ["RENAME", "TABLE", self._table(table), "TO", self._table(copy), ",",
             self._table(copy), "TO", self._table(table)],
            ["CREATE", "OR", "REPLACE", "VIEW", "v", "AS", "SELECT", self._text(), "AS", "y"],
            ["ANALYZE", "TABLE", self._table()], ["FLUSH", "TABLES"],
        ])  # fmt: skip

    # ------------------------------------------------------------------------------------------ rows by statement

    def _update(self) -> list[str]:
        if self._draw.randrange(2):
            return ["UPDATE", self._table(), "SET", self._name("b"), "=", self._text(), "WHERE", "id", "=", "1"]
        return ["UPDATE", self._table("t"), "JOIN", self._table("u"), "AS", "o", "ON", "o.id", "=", "1", "SET",
                self._draw.choice(["o", "o", "t"]) + ".b", "=", self._text()]  # fmt: skip

    def _insert(self) -> list[str]:
        number = str(self._draw.randrange(10, 9**6))
        verb = self._draw.choice([["INSERT", "INTO"], ["REPLACE"], ["INSERT", "IGNORE"]])
        source = self._draw.choice([
            ["VALUES", "(", number, ",", self._text(), ")"],
            ["SELECT", number, ",", self._text(), "FROM", self._table(), "LIMIT", "1"],
        ])  # fmt: skip
        return [*verb, self._table(), "(", "id", ",", self._name("b"), ")", *source]

    def _delete(self) -> list[str]:
        return self._draw.choice([
            ["DELETE", "FROM", self._table(), "WHERE", "id", ">", "2"],
            ["DELETE", "o", "FROM", self._table("t"), "JOIN", self._table("u"), "o", "ON", "o.id", ">", "2"],
        ])  # fmt: skip

    def _temporary(self) -> list[str]:
        return [
            "CREATE",
            "TEMPORARY",
            "TABLE",
            f"tmp{self._draw.randrange(9**6)}",
            "SELECT",
            "*",
            "FROM",
            self._table(),
        ]


def script(draw: random.Random, *, is_mariadb: bool, database: str) -> Iterator[tuple[Session, bytes]]:
    """Sessions and statements without end."""
    while True:
        modes = tuple(mode for mode in (ANSI, NO_BACKSLASH) if not draw.randrange(3))
        charset = draw.choice(["utf8mb4", *(name for name in CHARSETS if not is_mariadb or name != "gb18030")])
        session = Session(modes, charset, not draw.randrange(4))
        writer = Writer(draw, session, is_mariadb=is_mariadb, database=database)
        yield session, writer.statement()


def shown(statements: Sequence[bytes]) -> str:
    """The last ones, for a failure's text."""
    return "\n".join(repr(one) for one in statements[-6:])
