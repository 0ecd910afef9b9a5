"""Reads a column's definition in CREATE and ALTER TABLE into the form of ``information_schema``. Pure.

Both servers' grammars, as far as columns go: https://dev.mysql.com/doc/refman/8.4/en/create-table.html,
https://mariadb.com/kb/en/create-table/. Anything that is not known for sure raises ``NotUnderstood``. Then the server
is asked: that costs a query, and never gives a wrong name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cdc.binlog.schema.columns import Column
from cdc.binlog.schema.tokens import Token
from cdc.binlog.schema.words import NotUnderstood, Words, quoted, split
from cdc.binlog.values.charsets import BYTES_PER_CHARACTER

_INTEGERS: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_ALIASES: Final = {
    "integer": "int", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int4": "int", "int8": "bigint",
    "middleint": "mediumint", "dec": "decimal", "numeric": "decimal", "fixed": "decimal", "float8": "double",
    "float4": "float",
}  # fmt: skip
_TEXTS: Final = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
_PLAIN: Final = frozenset({
    "date", "tinyblob", "blob", "mediumblob", "longblob", "binary", "varbinary", "bit", "year", "time", "datetime",
    "timestamp", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection", "decimal", "float", "double",
})  # fmt: skip
_NUMBERS: Final = _INTEGERS | {"decimal", "float", "double"}
_SIZED_BY_TYPE: Final = frozenset(size + kind for size in ("tiny", "", "medium", "long") for kind in ("text", "blob"))
_MOST_FLOAT_BITS: Final = 24
_MOST_VARCHAR_BYTES: Final = 65_535
_NOW: Final = frozenset({"CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"})


@dataclass(frozen=True, slots=True)
class Defined:
    """A defined column. ``after``: None: it keeps its place or goes to the end; "": it goes first; else the column
    before it.
    """

    column: Column
    after: str | None = None


def read_column(words: Words, charset: str | None, *, is_mariadb: bool) -> Defined:
    """Read a name and its definition. ``charset``: the table's default character set, None when not known.

    Raises NotUnderstood for anything that may have another meaning.
    """
    name = words.name()
    draft = _Draft(is_mariadb)
    draft.read_type(words)
    while not words.is_done:
        draft.read_attribute(words)
    return Defined(draft.column(name, charset), draft.after)


class _Draft:
    """A column while its definition is read."""

    def __init__(self, is_mariadb: bool) -> None:
        self._is_mariadb = is_mariadb
        self._type = ""
        self._arguments = ""
        self._signs: list[str] = []
        self._charset: str | None = None
        self._collation: str | None = None
        self._nullable = True
        self._default: str | None = None
        self._is_key = False
        self._extra = ""
        self.after: str | None = None

    # ---------------------------------------------------------------------------------------------- its type

    def read_type(self, words: Words) -> None:
        """Read INT(10), DECIMAL(20,4), ENUM('a','b') and the like."""
        kind = words.next().word.lower()
        kind = _ALIASES.get(kind, kind)
        # Both servers store BOOL as TINYINT(1).
        if kind in ("bool", "boolean"):
            self._type, self._arguments = "tinyint", "(1)"
            return
        # MariaDB's JSON is LONGTEXT with a check.
        if kind == "json" and self._is_mariadb:
            self._type, self._charset = "longtext", "utf8mb4"
            return
        if kind == "double":
            words.accept("PRECISION")
        if kind not in _INTEGERS | _TEXTS | _PLAIN | {"json"}:
            raise NotUnderstood(f"type {kind}")
        self._type = kind
        if words.sign == "(":
            self._read_arguments(words.inside())
        else:
            self._arguments = {"decimal": "(10,0)", "char": "(1)", "binary": "(1)", "bit": "(1)"}.get(kind, "")

    def _read_arguments(self, inside: list[Token]) -> None:
        kind = self._type
        # TEXT(300) becomes MEDIUMTEXT or not, depending on the character set.
        if kind in _SIZED_BY_TYPE:
            raise NotUnderstood("a length that chooses the type")
        if kind in ("enum", "set"):
            labels = [Words(part).text() for part in split(inside)]
            # The server cuts blanks at the end of labels.
            self._arguments = f"({','.join(quoted(label.rstrip(' ')) for label in labels)})"
            return
        numbers = [token.text for part in split(inside) for token in part]
        # Precision comes as one or two plain numbers; anything else is another grammar.
        if not all(number.isdigit() for number in numbers) or not 1 <= len(numbers) <= 2:
            raise NotUnderstood(f"arguments of {kind}")
        if kind == "decimal" and len(numbers) == 1:
            numbers.append("0")
        # FLOAT(n) counts bits, and from 25 on it is a DOUBLE.
        if kind == "float" and len(numbers) == 1:
            self._type = "double" if int(numbers[0]) > _MOST_FLOAT_BITS else "float"
            return
        self._arguments = "" if kind == "year" or numbers == ["0"] else f"({','.join(numbers)})"

    # ------------------------------------------------------------------------------------------- its attributes

    def read_attribute(self, words: Words) -> None:  # noqa: C901  # one case per attribute of the grammar
        """Read one of the attributes behind the type."""
        word = words.next().word
        match word:
            case "UNSIGNED" | "ZEROFILL":
                # The word means something else here, or the server would have refused it.
                if self._type not in _NUMBERS:
                    raise NotUnderstood(f"{word} of {self._type}")
                self._signs.append(word.lower())
            case "SIGNED" | "VISIBLE" | "INVISIBLE" | "AUTO_INCREMENT":
                pass
            case "NOT":
                _must(words.accept("NULL"))
                self._nullable = False
            case "NULL":
                self._nullable = True
            case "CHARSET" | "CHARACTER":
                _must(word == "CHARSET" or words.accept("SET"))
                self._charset = _charset_name(words)
            case "COLLATE":
                self._collation = _charset_name(words)
            case "DEFAULT":
                self.read_default(words)
            case "ON":
                _must(words.accept("UPDATE") and words.word in _NOW)
                words.next()
                if words.sign == "(":
                    words.inside()
            case "PRIMARY" | "KEY":
                _must(word == "KEY" or words.accept("KEY"))
                self._is_key, self._nullable = True, False
            case "UNIQUE":
                words.accept("KEY")
            case "COMMENT":
                words.text()
            case "COLUMN_FORMAT" | "STORAGE" | "SRID":
                words.next()
            case "GENERATED" | "AS":
                self._read_generated(words, word)
            case "CHECK":
                words.inside()
            case "FIRST":
                self.after = ""
            case "AFTER":
                self.after = words.name()
            case _:
                raise NotUnderstood(f"{word or 'a sign'} in the definition of a column")

    def _read_generated(self, words: Words, word: str) -> None:
        _must(word == "AS" or words.accept("ALWAYS", "AS"))
        words.inside()
        is_stored = words.accept("STORED") or words.accept("PERSISTENT")
        # VIRTUAL is the default and may be left out.
        if not is_stored:
            words.accept("VIRTUAL")
        self._extra = "STORED GENERATED" if is_stored else "VIRTUAL GENERATED"

    def read_default(self, words: Words) -> None:
        """Read a literal, or an expression. Of an expression only the fact is kept that the default is one."""
        # A signed number consists of two tokens.
        if words.sign in ("+", "-"):
            self._default = ("-" if words.next().text == "-" else "") + _number(words)
            return
        token = words.next()
        if token.kind == "text":
            value = token.value
            # ``information_schema`` quotes text defaults on MariaDB only.
            self._default = quoted(value) if self._is_mariadb else value
        elif token.word == "NULL":
            # MariaDB says "NULL" for this, MySQL nothing.
            self._default = "NULL" if self._is_mariadb else None
        elif token.word in ("TRUE", "FALSE"):
            self._default = "1" if token.word == "TRUE" else "0"
        elif token.word == "B" and not words.is_done:
            self._default = f"b'{words.text()}'"
        elif token.word[:1].isdigit():
            self._default = token.text + _fraction(words)
        else:
            self._read_expression(token, words)

    def _read_expression(self, token: Token, words: Words) -> None:
        if token.text == "(":
            depth = 1
            while depth:
                part = words.next()
                depth += {"(": 1, ")": -1}.get(part.text, 0) if part.kind == "sign" else 0
        elif token.word in _NOW or words.sign == "(":
            if words.sign == "(":
                words.inside()
        else:
            raise NotUnderstood("a default of another kind")
        self._default = "expression()"
        self._extra = "DEFAULT_GENERATED"

    # ------------------------------------------------------------------------------------------------ the end

    def column(self, name: str, charset: str | None) -> Column:
        """The finished column, with the table's character set where the definition names none."""
        own: str | None = None
        if self._type in _TEXTS:
            own = self._charset
            # A collation names its character set, and it wins over CHARACTER SET, as both must agree.
            if self._collation is not None:
                own = charset_of_collation(self._collation)
            own = own or charset
            # Neither column nor table names it, so it is the database's default, which the log does not hold.
            if own is None:
                raise NotUnderstood("a character set that is the database's")
            if self._type in ("enum", "set") and own != "utf8mb4" and not self._arguments.isascii():
                raise NotUnderstood("labels whose characters the column may not have")  # servers make "?" of those
            width = BYTES_PER_CHARACTER.get(own, 4)
            # The server turns too long a VARCHAR into a TEXT, without saying so in the log.
            if self._type == "varchar" and int(self._arguments[1:-1] or 0) * width > _MOST_VARCHAR_BYTES:
                raise NotUnderstood("a VARCHAR that becomes a TEXT")
        signs = "".join(f" {sign}" for sign in dict.fromkeys(self._signs))
        default = self._default
        # A nullable column without a default has NULL as default there.
        if default is None and self._is_mariadb and self._nullable:
            default = "NULL"
        return Column(
            name=name,
            data_type=self._type,
            column_type=f"{self._type}{self._arguments}{signs}",
            charset=own,
            collation=self._collation if own is not None else None,
            nullable=self._nullable,
            default=default,
            is_key=self._is_key,
            extra=self._extra,
        )


def charset_of_collation(collation: str) -> str:
    """The character set of a collation: ``utf8mb4_general_ci`` → ``utf8mb4``."""
    return charset_named(collation.partition("_")[0])


def charset_named(name: str) -> str:
    """A character set by its name in ``information_schema``."""
    lower = name.lower()
    return {"utf8": "utf8mb3"}.get(lower, lower)


def _charset_name(words: Words) -> str:
    words.accept_sign("=")
    token = words.next()
    name = token.value if token.kind == "text" else token.text
    # The database's default is not in the statement.
    if name.upper() == "DEFAULT":
        raise NotUnderstood("a character set that is the database's")
    return charset_named(name)


def _number(words: Words) -> str:
    token = words.next()
    if not token.word[:1].isdigit():
        raise NotUnderstood("a number was expected")
    return token.text + _fraction(words)


def _fraction(words: Words) -> str:
    return "." + words.next().text if words.accept_sign(".") else ""


def _must(holds: bool) -> None:
    if not holds:
        raise NotUnderstood("an unusual form")
