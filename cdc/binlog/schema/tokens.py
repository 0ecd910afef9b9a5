"""Cuts a statement of the log into tokens by the server's own rules (``sql/sql_lex.cc`` of both servers). Pure.

What a quotation mark or a backslash means depends on the session that ran the statement: its sql_mode and the character
set of its client stand in the event (``Dialect``). A statement that cannot be cut by these rules is not understood.
Servers never log an unclosed text or comment, so a statement that seems to have one was cut by the wrong rules.

Every byte is read a few times at most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from cdc.binlog.values.charsets import text_decoder

ANSI_QUOTES: Final = 1 << 2
NO_BACKSLASH_ESCAPES: Final = 1 << 20
_OTHER_TYPES: Final = 1 << 9 | 1 << 12
"""ORACLE and MAXDB: under these modes, names of types mean other types (DATE is a DATETIME)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The session's settings that decide how a statement's bytes are cut.

    ``sql_mode``: the session's bits. ``charset``: its client's character set, by its name in ``information_schema``;
    None when the event does not say it.
    """

    sql_mode: int = 0
    charset: str | None = "utf8mb4"
    is_mariadb: bool = False

    @property
    def has_other_types(self) -> bool:
        """Whether names of column types have another meaning than usual."""
        return bool(self.sql_mode & _OTHER_TYPES)


class Token(NamedTuple):
    """``kind``: name (in backticks, or in double quotes under ANSI_QUOTES), text (a literal), word or sign.

    ``text``: of a name without its quotation marks, of a literal with them. ``value``: the value of a literal.
    """

    kind: str
    text: str
    value: str = ""

    @property
    def word(self) -> str:
        """A bare word in capitals; "" for any other token."""
        return self.text.upper() if self.kind == "word" else ""


class Cut(NamedTuple):
    """The tokens up to the end, or up to the bytes that cannot be cut (``is_whole`` False)."""

    tokens: tuple[Token, ...]
    is_whole: bool


_MULTIBYTE: Final[dict[str, bytes]] = {
    "big5": rb"[\xa1-\xf9][\x40-\x7e\xa1-\xfe]",
    "cp932": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "eucjpms": rb"\x8e[\xa0-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}",
    "euckr": rb"[\x81-\xfe][\x41-\x5a\x61-\x7a\x81-\xfe]",
    "gb18030": rb"[\x81-\xfe][\x30-\x39][\x81-\xfe][\x30-\x39]|[\x81-\xfe][\x40-\x7e\x80-\xfe]",
    "gb2312": rb"[\xa1-\xf7][\xa1-\xfe]",
    "gbk": rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]",
    "sjis": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "ujis": rb"\x8e[\xa0-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}",
    "utf8mb3": rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}",
    "utf8mb4": rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}",
}
"""Characters of several bytes (``ismbchar_*`` in ``strings/ctype-*.c``).

Their second byte may look like a backslash or a quotation mark, so these characters are found first.
"""

_CHARACTER: Final = b"\xff"  # each byte of such a character, in the copy that is cut
_LONE: Final = b"\x80"  # any other byte over 0x7F: what it means outside of quotation marks depends on the set

_TOKEN: Final = rb"""
    (?P<space>[\t-\r\x20]++)
  | (?P<line>(?:\#|--(?=[\x00-\x20\x7f]|\Z))[^\n\0]*+)      # the newline itself is no part of the comment
  | (?P<opens>/\*%(maria)s!(?:\d{5,6})?)                    # executed, though it looks like a comment
  | (?P<plain>/\*.*?\*/)
  | (?P<closes>\*/)
  | (?P<name>`(?:[^`\0]|``)*+`%(ansi)s)
  | (?P<text>%(text)s)
  | (?P<word>(?!\$)[0-9A-Za-z_$\xff]++)                     # MySQL quotes bodies of routines in dollar signs
  | (?P<sign>/(?!\*)|[!%%&()*+,\-.:;<=>?@\[\\\]^{|}~])
"""


@cache
def _pattern(*, ansi: bool, backslash: bool, is_mariadb: bool) -> re.Pattern[bytes]:
    inside = rb"(?:[^%(q)s\\]|\\.|%(q)s%(q)s)*+" if backslash else rb"(?:[^%(q)s]|%(q)s%(q)s)*+"
    single = b"'" + inside % {b"q": b"'"} + b"'"
    double = b'"' + inside % {b"q": b'"'} + b'"'
    parts = {
        b"maria": b"M?" if is_mariadb else b"",
        b"ansi": rb'|"(?:[^"\0]|"")*+"' if ansi else b"",
        b"text": single if ansi else single + b"|" + double,
    }
    return re.compile(_TOKEN % parts, re.DOTALL | re.VERBOSE)


@cache
def _high_bytes(charset: str) -> re.Pattern[bytes]:
    several = _MULTIBYTE.get(charset)
    return re.compile((b"(?P<character>" + several + rb")|" if several else b"(?P<character>(?!))|") + rb"[\x80-\xff]")


def cut(raw: bytes, dialect: Dialect) -> Cut:
    """The statement's tokens without comments, but with the comments that servers execute. Never raises."""
    masked = _masked(raw, dialect.charset)
    if masked is None:
        return Cut((), False)
    ansi, backslash = bool(dialect.sql_mode & ANSI_QUOTES), not dialect.sql_mode & NO_BACKSLASH_ESCAPES
    match_at = _pattern(ansi=ansi, backslash=backslash, is_mariadb=dialect.is_mariadb).match
    decode = text_decoder(dialect.charset or "utf8mb4") or (lambda part: part.decode("latin-1"))
    tokens: list[Token] = []
    at, end, is_executed = 0, len(masked), False
    while at < end:
        match = match_at(masked, at)
        kind = match.lastgroup if match is not None else None
        # No token fits: a quotation mark that is never closed, a zero byte. The rules are not those of the
        # session.
        if match is None or kind is None:
            return Cut(tuple(tokens), False)
        start, at = at, match.end()
        if kind in ("space", "line"):
            continue
        if kind == "plain":
            # Inside a comment that this server skipped another one may have ended early: its text is not ours to guess.
            if b"/*" in masked[start + 2 : at]:
                return Cut(tuple(tokens), False)
        elif kind == "opens":
            # A second executable comment inside the first: servers differ in where the outer one ends.
            if is_executed:
                return Cut(tuple(tokens), False)
            # The words inside count like those outside, as the server runs them.
            is_executed = True
        elif kind == "closes":
            if is_executed:
                is_executed = False
            else:  # a multiplication before a comment: SELECT 2 */* two */ 3
                tokens.append(Token("sign", "*"))
                at = start + 1
        else:
            tokens.append(_token(kind, decode(raw[start:at]), backslash=backslash))
    return Cut(tuple(tokens), not is_executed)


def _masked(raw: bytes, charset: str | None) -> bytes | None:
    """The statement with each byte of a long character as 0xFF and other bytes over 0x7F as 0x80.

    None when the character set does not allow that.
    """
    if charset == "swe7":  # some of its letters are the signs of all other sets
        return None
    # Plain ASCII has no long characters, and it is almost every statement.
    if raw.isascii():
        return raw
    # Without the client's character set UTF-8 is assumed only where the bytes prove it.
    if charset is None:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return None
        charset = "utf8mb4"
    return _high_bytes(charset).sub(
        lambda found: (_CHARACTER if found["character"] is not None else _LONE) * len(found[0]), raw
    )


def _token(kind: str, text: str, *, backslash: bool) -> Token:
    # Doubled quotes inside a name stand for one.
    if kind == "name":
        quote = text[0]
        return Token(kind, text[1:-1].replace(quote * 2, quote))
    if kind == "text":
        return Token(kind, text, _value(text, backslash=backslash))
    return Token(kind, text)


_ESCAPE: Final = re.compile(r"\\(.)|''|\"\"", re.DOTALL)
_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def _value(literal: str, *, backslash: bool) -> str:
    """The value of a literal in quotation marks."""
    quote = literal[0]
    # Under NO_BACKSLASH_ESCAPES a backslash is a letter like any other.
    if not backslash:
        return literal[1:-1].replace(quote * 2, quote)

    def plain(found: re.Match[str]) -> str:
        if found[1] is not None:
            # A backslash before any other character stands for that character alone.
            return _ESCAPES.get(found[1], found[1])
        # A doubled quotation mark of the literal's own kind stands for one; the other kind is two plain
        # characters.
        return quote if found[0][0] == quote else found[0]

    return _ESCAPE.sub(plain, literal[1:-1])
