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
    """The plain bytes of a MariaDB compressed record. ValueError or zlib.error for bytes that are not such a record."""
    # The top nibble is a marker (8) with the method (0 = zlib). Another method would give other bytes without
    # an error.
    if raw[0] & 0xF0 != 0x80:
        raise ValueError(f"a compressed record with method {raw[0] >> 4 & 7}")
    return _inflate(raw, raw[0] & 0x07, zlib.MAX_WBITS)


def unpack_column(raw: bytes) -> bytes:
    """The plain bytes of a value of a MariaDB COMPRESSED column. ValueError or zlib.error for other bytes."""
    # An empty value is stored empty, without even the marker byte.
    if not raw:
        return b""
    # 0: the value was not worth compressing and stands as it is behind this byte.
    if raw[0] == 0:
        return raw[1:]
    if raw[0] & 0xF0 != 0x80:
        raise ValueError(f"a compressed column with method {raw[0] >> 4}")
    # Raw deflate has no zlib header, and zlib tells the two apart only by the sign of the window.
    return _inflate(raw, raw[0] & 0x07, -zlib.MAX_WBITS if raw[0] & 0x08 else zlib.MAX_WBITS)


def _inflate(raw: bytes, width: int, window: int) -> bytes:
    length = int.from_bytes(cut(raw, 1, width), "big")
    # The length comes from the log. Without this limit a damaged byte could ask for memory that no server ever
    # used.
    if length > _MOST:
        raise ValueError(f"a compressed piece that says it holds {length} bytes")
    machine = zlib.decompressobj(window)
    # One byte more than promised is asked for, so that data that holds more than it says is noticed.
    plain = machine.decompress(raw[1 + width :], length + 1)
    if len(plain) != length:
        raise ValueError("a compressed piece of another length than it says")
    return plain


def payload_events(event: memoryview) -> Iterator[bytes]:
    """The whole events inside a TRANSACTION_PAYLOAD's body, in order. They carry no checksums.

    Holds one event and a megabyte at a time, whatever the size of the payload. ValueError or zstandard.ZstdError for
    bytes that are not a payload.
    """
    body = bytes(event[:_FIELDS_MOST])
    # The fields come in no fixed order, and a server may leave out those with default values.
    at, method, data = 0, _ZSTD, 0
    size = -1
    while True:
        kind, at = lenenc(body, at)
        if kind == 0:
            # Type 0 ends the fields; the payload follows directly.
            data = at
            break
        length, at = lenenc(body, at)
        value = lenenc(cut(body, at, length), 0)[0]
        # 1 is the payload's size, 2 the method. Other fields (the plain size) only help to reserve memory, and
        # are passed over.
        if kind == 1:
            size = value
        elif kind == 2:
            method = value
        at += length
    # Without a size the payload reaches to the end of the event.
    payload = event[data:] if size < 0 else event[data : data + size]
    if len(payload) < size:
        raise ValueError("a transaction payload that ends beyond its event")
    if method == _NONE:
        # Not compressed at all: cut into chunks all the same, so that both ways hold the same little memory.
        chunks: Iterator[bytes | memoryview] = (payload[at : at + _CHUNK] for at in range(0, len(payload), _CHUNK))
    elif method == _ZSTD:
        chunks = _inflate_zstd(payload)
    else:
        # Guessing would feed wrong bytes to the decoder, which may look like events.
        raise ValueError(f"a transaction payload with compression {method}")
    yield from _split(chunks)


def _inflate_zstd(payload: memoryview) -> Iterator[bytes]:
    # A payload may be several zstd frames in a row: without this flag reading stops after the first, without an
    # error.
    with zstandard.ZstdDecompressor().stream_reader(payload, read_across_frames=True) as reader:
        while chunk := reader.read(_CHUNK):
            yield chunk


def _split(chunks: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        at = 0
        # A header is needed to know the event's length; a shorter rest waits for the next chunk.
        while len(held) - at >= _EVENT_HEADER:
            length = int.from_bytes(held[at + _EVENT_LENGTH_AT : at + _EVENT_LENGTH_AT + 4], "little")
            # A wrong length would either make this loop endless or wait for bytes that never come.
            if not _EVENT_HEADER <= length <= _MOST:
                raise ValueError(f"an event of {length} bytes in a transaction payload")
            # The event goes on in the next chunk.
            if len(held) - at < length:
                break
            yield bytes(held[at : at + length])
            at += length
        del held[:at]
    # Bytes are left that are no whole event: the transaction in the payload is not complete.
    if held:
        raise ValueError("a transaction payload that ends inside an event")
