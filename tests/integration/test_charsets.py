"""Every character of every character set, read as the servers convert it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.binlog.values.charsets import text_decoder
from tests.kit.servers import Server

_ONE_BYTE = [
    "armscii8",
    "ascii",
    "cp1250",
    "cp1251",
    "cp1256",
    "cp1257",
    "cp850",
    "cp852",
    "cp866",
    "dec8",
    "geostd8",
    "greek",
    "hebrew",
    "hp8",
    "keybcs2",
    "koi8r",
    "koi8u",
    "latin1",
    "latin2",
    "latin5",
    "latin7",
    "macce",
    "macroman",
    "swe7",
    "tis620",
]
_PAIRS = ["big5", "cp932", "euckr", "gb18030", "gb2312", "gbk", "sjis"]
_UNICODE = ["ucs2", "utf16", "utf16le"]
_BYTES = [bytes([byte]) for byte in range(256)]


@pytest.fixture(scope="module")
def pairs(server: Server) -> Iterator[str]:
    """A database with a table of all pairs of bytes."""
    with server.database() as name:
        rows = ",".join(f"(x'{first:02x}{second:02x}')" for first in range(256) for second in range(256))
        server.run("CREATE TABLE pairs (b VARBINARY(2) PRIMARY KEY)", f"INSERT INTO pairs VALUES {rows}", database=name)
        yield name


def _differing(server: Server, charset: str, expression: str, database: str) -> list[tuple[str, str, str]]:
    """(bytes, the server's text, ours) where they differ, of those bytes that the server lets into a column."""
    decode = text_decoder(charset)
    assert decode is not None
    rows = server.run(
        "SET sql_mode = ''",
        f"SELECT HEX(b), HEX(CONVERT(c USING utf8mb4)) FROM (SELECT b, CONVERT(b USING {charset}) AS c "
        f"FROM ({expression}) AS bytes) AS texts WHERE HEX(b) = HEX(c) AND LENGTH(CONVERT(c USING utf8mb4))",
        database=database,
    )
    assert rows
    found = []
    for raw, text in rows:
        theirs, ours = bytes.fromhex(text).decode("utf-8", "replace"), decode(bytes.fromhex(raw))
        if theirs != ours:
            found.append((raw, theirs, ours))
    return found


def _known(server: Server, charsets: list[str]) -> list[str]:
    held = {str(row[0]) for row in server.run("SHOW CHARACTER SET")}
    return [charset for charset in charsets if charset in held]


def test_sets_of_one_byte(server: Server, pairs: str) -> None:
    """All 256 bytes of the 25 sets, those that stand for no character (a question mark) too."""
    every = " UNION ALL ".join(f"SELECT x'{raw.hex()}' AS b" for raw in _BYTES)
    for charset in _ONE_BYTE:
        assert not _differing(server, charset, every, pairs), charset


def test_sets_of_two_bytes_and_more(server: Server, pairs: str) -> None:
    """All pairs of bytes that a column of the set takes; gb18030's longer ones by a sample of Unicode."""
    for charset in _known(server, _PAIRS):
        assert not _differing(server, charset, "SELECT b FROM pairs", pairs), charset


def test_the_japanese_sets_of_unix(server: Server, pairs: str) -> None:
    """EUC's pairs and its triples behind 8F. Lone leading bytes, which MySQL lets into eucjpms, are no text."""
    second = "ORD(RIGHT(b, 1)) BETWEEN 161"
    both = f"SELECT b FROM pairs WHERE ORD(b) BETWEEN 161 AND 254 AND {second} AND 254"
    kana = f"SELECT b FROM pairs WHERE ORD(b) = 142 AND {second} AND 223"
    for charset in ("eucjpms", "ujis"):
        for bytes_ in (both, kana, f"SELECT CONCAT(x'8f', b) AS b FROM ({both}) AS p"):
            assert not _differing(server, charset, bytes_, pairs), charset


def test_unicode_in_other_widths(server: Server, pairs: str) -> None:
    """UCS-2, UTF-16 and UTF-32: the whole basic plane without the surrogates, and what lies beyond."""
    plain = "SELECT b FROM pairs WHERE ORD(b) NOT BETWEEN 216 AND 223"
    low = "SELECT b FROM pairs WHERE ORD(RIGHT(b, 1)) NOT BETWEEN 216 AND 223"
    for charset in _UNICODE:
        assert not _differing(server, charset, low if charset == "utf16le" else plain, pairs), charset
    assert not _differing(server, "utf32", f"SELECT CONCAT(x'0000', b) AS b FROM ({plain}) AS p", pairs)
    for charset in ("utf16", "utf16le", "utf32", *_known(server, ["gb18030"])):
        decode = text_decoder(charset)
        assert decode is not None
        [(raw,)] = server.run(f"SELECT HEX(CONVERT('é€ḿ\ue7c7😀𠀀' USING {charset}))")
        assert decode(bytes.fromhex(raw)) == "é€ḿ\ue7c7😀𠀀"
