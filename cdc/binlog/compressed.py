"""Compressed pieces of a log: MariaDB's records and columns, MySQL's transaction payload.

MariaDB record (log_bin_compress; sql/log_event.cc): 1 byte 0x80 | algorithm << 4 (0 = zlib) | bytes of length (1 to
4), the plain length big-endian, zlib data. MariaDB column (sql/field_comp.cc): 1 byte, 0 = plain, else 0x80 | 0x08 if
the data is raw deflate | bytes of length; length big-endian; data. MySQL payload: fields of (type, length, value), 0
ends them; https://dev.mysql.com/doc/refman/8.4/en/binary-log-transaction-compression.html
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import zstandard

from cdc.binlog.rows.headers import cut, lenenc

_MOST: Final = 1 << 31  # no server makes a larger event or value
_CHUNK: Final = 1 << 20
_FIELDS_MOST: Final = 1024  # three numbers come before the payload
_ZSTD: Final = 0
_NONE: Final = 255
_EVENT_LENGTH_AT: Final = 9
_EVENT_HEADER: Final = 19


def unpack_record(raw: bytes) -> bytes:
    """The plain bytes of a MariaDB record. ValueError or zlib.error when it is none."""
    if raw[0] & 0xF0 != 0x80:
        raise ValueError(f"a compressed record with method {raw[0] >> 4 & 7}")
    return _inflate(raw, raw[0] & 0x07, zlib.MAX_WBITS)


def unpack_column(raw: bytes) -> bytes:
    """The plain bytes of a MariaDB COMPRESSED column's value. ValueError or zlib.error when it is none."""
    if not raw:
        return b""
    if raw[0] == 0:
        return raw[1:]
    if raw[0] & 0xF0 != 0x80:
        raise ValueError(f"a compressed column with method {raw[0] >> 4}")
    return _inflate(raw, raw[0] & 0x07, -zlib.MAX_WBITS if raw[0] & 0x08 else zlib.MAX_WBITS)


def _inflate(raw: bytes, width: int, window: int) -> bytes:
    length = int.from_bytes(cut(raw, 1, width), "big")
    if length > _MOST:
        raise ValueError(f"a compressed piece that says it holds {length} bytes")
    machine = zlib.decompressobj(window)
    plain = machine.decompress(raw[1 + width :], length + 1)
    if len(plain) != length:
        raise ValueError("a compressed piece of another length than it says")
    return plain


def payload_events(event: memoryview) -> Iterator[bytes]:
    """The events inside a TRANSACTION_PAYLOAD's body, whole, one by one; they carry no checksums.

    Holds one event and a megabyte at a time, however much is packed. ValueError or zstandard.ZstdError for bytes that
    are none.
    """
    body = bytes(event[:_FIELDS_MOST])
    at, method, data = 0, _ZSTD, 0
    size = -1
    while True:
        kind, at = lenenc(body, at)
        if kind == 0:
            data = at
            break
        length, at = lenenc(body, at)
        value = lenenc(cut(body, at, length), 0)[0]
        if kind == 1:
            size = value
        elif kind == 2:
            method = value
        at += length
    payload = event[data:] if size < 0 else event[data : data + size]
    if len(payload) < size:
        raise ValueError("a transaction payload that ends beyond its event")
    if method == _NONE:
        chunks: Iterator[bytes | memoryview] = (payload[at : at + _CHUNK] for at in range(0, len(payload), _CHUNK))
    elif method == _ZSTD:
        chunks = _inflate_zstd(payload)
    else:
        raise ValueError(f"a transaction payload with compression {method}")
    yield from _split(chunks)


def _inflate_zstd(payload: memoryview) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(payload, read_across_frames=True) as reader:
        while chunk := reader.read(_CHUNK):
            yield chunk


def _split(chunks: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        at = 0
        while len(held) - at >= _EVENT_HEADER:
            length = int.from_bytes(held[at + _EVENT_LENGTH_AT : at + _EVENT_LENGTH_AT + 4], "little")
            if not _EVENT_HEADER <= length <= _MOST:
                raise ValueError(f"an event of {length} bytes in a transaction payload")
            if len(held) - at < length:
                break
            yield bytes(held[at : at + length])
            at += length
        del held[:at]
    if held:
        raise ValueError("a transaction payload that ends inside an event")
