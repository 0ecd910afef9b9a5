"""Where fuzzing begins: small inputs cut from logs that real servers write. ``python -m tests.fuzz.seeds``.

Run again only when a target takes its input in another form; what fuzzing finds is added by ``--keep``.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from cdc.binlog.compressed import payload_events
from cdc.binlog.events import HEADER, EventType
from tests.kit.servers import MariaDB, MySQL, Server
from tests.kit.statements import ANSI, CHARSETS, NO_BACKSLASH, script

CORPUS = Path(__file__).parent / "corpus"
_MOST_BYTES = 1500
_LIMITED = (
    "329\nRetry-After: 7\nX-HubSpot-RateLimit-Max: 190\nX-HubSpot-RateLimit-Remaining: 0\n"
    "X-HubSpot-RateLimit-Interval-Milliseconds: 10000"
)
ANSWERS: dict[str, list[tuple[str, Any]]] = {
    "http_answer": [
        (_LIMITED, {"status": "error", "message": "limit", "policyName": "TEN_SECONDLY_ROLLING"}),
        ("403\nRetry-After: Fri, 31 Dec 2027 23:59:59 GMT", b"<html>maintenance</html>"),
        ("100\nX-HubSpot-RateLimit-Daily: 250000", b"{}"),
        ("313", {"message": "someone@example.com is no option", "category": "VALIDATION_ERROR"}),
    ],
    "crm_answer": [
        (
            "107",
            {
                "status": "COMPLETE",
                "results": [{"id": "7", "properties": {"magento_key": "x"}, "objectWriteTraceId": "0"}],
                "errors": [
                    {
                        "category": "CONFLICT",
                        "message": "Existing ID: 12",
                        "context": {"objectWriteTraceId": ["1"], "existingId": ["12"]},
                    }
                ],
            },
        ),
        (
            "300",
            {
                "category": "VALIDATION_ERROR",
                "message": 'Property values were not valid: [{"isValid":false,"error":"INVALID_EMAIL","name":"email"}]',
                "errors": [{"code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["color"]}, "in": "color"}],
                "context": {"missingObjectPropertyValueCoordinates": ["0-1:7"], "ids": ["7"]},
            },
        ),
        (
            "100",
            {
                "portalId": 7,
                "timeZone": "Europe/Berlin",
                "companyCurrency": "EUR",
                "additionalCurrencies": ["USD"],
                "results": [
                    {
                        "id": "1",
                        "name": "magento_key",
                        "type": "string",
                        "hasUniqueValue": True,
                        "label": "Magento",
                        "displayOrder": 1,
                        "modificationMetadata": {"readOnlyValue": False},
                        "stages": [{"id": "s", "label": "Processed", "metadata": {"probability": "0.9"}}],
                    }
                ],
                "paging": {"next": {"after": "100"}},
            },
        ),
        ("303", {"errors": [{"context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}]}),
    ],
    "bridge_answer": [
        (
            "100",
            {
                "results": [
                    {
                        "objectType": "CONTACT",
                        "integratorObjectId": "magento-customer-1",
                        "status": "OPEN",
                        "changeOccurredTimestamp": 1_700_000_000_000,
                        "errorTimestamp": "1700000000001",
                        "type": "INVALID_EMAIL",
                        "details": "bad",
                    },
                    {"objectType": "DEAL", "externalObjectId": "x", "changedAt": 1, "erroredAt": 2, "type": "X"},
                ],
                "paging": {"next": {"page": "2", "link": "https://api.example.com/?page=2"}},
            },
        ),
        ("100", {"hubspotId": 7, "lastProcessedAt": 1_700_000_000_000, "numErrors": 0, "errors": []}),
    ],
}
"""By target: the status line less 100, header lines, and the body."""
_WORK = (
    "CREATE TABLE things (id INT PRIMARY KEY, note VARCHAR(10))",
    "INSERT INTO things VALUES (1, 'one'), (2, NULL)",
    "UPDATE things SET note = 'two' WHERE id = 1",
    "CREATE TABLE wide (c0 BIGINT, c1 DECIMAL(12,4), c2 DATETIME(3), c3 TIME(6), c4 FLOAT, c5 DOUBLE, c6 BIT(9),"
    " c7 ENUM('a','b'), c8 SET('x','y'), c9 TEXT, c10 VARCHAR(300) CHARACTER SET latin1, c11 JSON)",
    "INSERT INTO wide VALUES (1, 2.5, NOW(3), '-1:02:03.5', 1.5, 2.5, b'1', 'a', 'x,y', 'é', 'é', '{\"a\": [1, 2.5]}')",
    "UPDATE wide SET c11 = JSON_SET(c11, '$.b', 'x'), c9 = NULL",
    "START TRANSACTION", "DELETE FROM things WHERE id = 1", "SAVEPOINT s", "INSERT INTO things VALUES (7, 'x')",
    "ROLLBACK TO s", "COMMIT", "XA START 'x'", "INSERT INTO things VALUES (9, 'xa')", "XA END 'x'", "XA PREPARE 'x'",
    "XA COMMIT 'x'", "ALTER TABLE things ADD COLUMN more INT, RENAME TO others", "TRUNCATE others", "DROP TABLE others",
)  # fmt: skip
_SETTINGS = {
    "mariadb": ("SET GLOBAL log_bin_compress = 1", "SET GLOBAL log_bin_compress_min_len = 10"),
    "mysql": ("SET GLOBAL binlog_transaction_compression = ON", "SET GLOBAL binlog_row_value_options = PARTIAL_JSON"),
}


def main() -> None:
    """Write the seeds of all targets."""
    _answer()
    _spell()
    for kind in (MariaDB, MySQL):
        with kind({"binlog_row_metadata": "FULL"}) as server:
            for settings in ((), _SETTINGS[server.flavor]):
                _work(server, settings)
            for path in server.binlog_files():
                _cut(path.read_bytes(), is_mariadb=server.flavor == "mariadb")


def _answer() -> None:
    """Answers as HubSpot gives them, and as proxies do."""
    for target, answers in ANSWERS.items():
        for head, content in answers:
            _put(target, f"{head}\n\n".encode() + (content if isinstance(content, bytes) else orjson.dumps(content)))


def _spell() -> None:
    """Statements in many spellings; the first byte says under which mode and character set."""
    draw = random.Random(5)
    spelled = script(draw, is_mariadb=True, database="shop")
    for number, (session, statement) in zip(range(40), spelled, strict=False):
        mode = (ANSI in session.sql_mode) | (NO_BACKSLASH in session.sql_mode) << 1 | (number & 1) << 2
        _put("words", bytes([mode | list(CHARSETS).index(session.charset) << 3]) + statement)


def _work(server: Server, settings: tuple[str, ...]) -> None:
    server.run(*settings, "CREATE DATABASE shop", "FLUSH BINARY LOGS")
    server.run(*_WORK, database="shop")
    server.run("DROP DATABASE shop")


def _cut(log: bytes, *, is_mariadb: bool) -> None:
    _put("file", log[4:])
    transaction = b""
    for kind, event in _events(log[4:]):
        body = event[19:-4]
        _put("packets", struct.pack("<I", len(event) + 1) + b"\0" + event)
        if kind in (EventType.GTID, EventType.GTID_TAGGED, EventType.ANONYMOUS_GTID, EventType.MARIADB_GTID):
            transaction = b"m" if is_mariadb else b"s"
        transaction += struct.pack("<BBH", kind, 0, len(body)) + body if len(body) < 1 << 16 else b""
        _put("events", transaction)
        if kind == EventType.TABLE_MAP:
            _put("table_map", body[8:])
            _put("metadata", body[-60:])
        elif kind == EventType.PREVIOUS_GTIDS:
            _put("gtids", body)
        elif kind == EventType.TRANSACTION_PAYLOAD:
            _put("compressed", body)
            for inner in payload_events(memoryview(body)):
                _put("rows_event", bytes([inner[4] % 64]) + inner[25:])
        elif kind == EventType.QUERY:
            _put("statement", body.rpartition(b"\0")[2])
        elif 20 <= kind <= 39 or 166 <= kind <= 171:
            for number in range(2):
                _put("rows_event", bytes([number << 7 | kind % 16]) + body[6:])
            _put("compressed", body[12:])
    for text in (
        b"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7,3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:1",
        b"0-1-5,1-2-9",
    ):
        _put("gtids", text)
    for document in (
        b"\0\1\0\x13\0\x0b\0\1\0\2\x0c\0a\2\0\7\0\5\1\0",
        b"\2\1\0\x0c\0\x0f\x07\0\xf6\4\3\1\x80\x05",
        b"\x0c\3abc",
    ):
        _put("json", document)
    _put("text", b"\1\x81\x30\x81\x30\xa8\xbc")
    _put("rows", b"\0\3\2\3\x0f\x11\x28\0\0" + bytes(24) + b"\0\1\0\0\0\3abc" + bytes(4))


def _events(log: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(log):
        head = HEADER.unpack_from(log, at)
        yield head[1], log[at : at + head[3]]
        at += head[3]


def _put(target: str, raw: bytes) -> None:
    if len(raw) <= _MOST_BYTES or target == "file":
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(raw).hexdigest()).write_bytes(raw[:6000])


if __name__ == "__main__":
    main()
