"""The buffer between socket and decoder."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from cdc.errors import LogFormatError
from cdc.source import buffer as module
from cdc.source.buffer import ReceiveBuffer


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_was_not_consumed_stays_in_front(pair: tuple[socket.socket, socket.socket]) -> None:
    """Bytes that the decoder left come before those that arrive later."""
    ours, theirs = pair
    buffer = ReceiveBuffer(16)
    theirs.sendall(b"abcdef")
    assert buffer.receive(ours) == 6
    buffer.keep_from(4)
    theirs.sendall(b"gh")
    buffer.receive(ours)
    assert bytes(buffer.view[: buffer.length]) == b"efgh"


def test_it_grows_for_a_large_event_and_shrinks_after_it(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event larger than the buffer fits after growing; its memory is given back once it is consumed."""
    monkeypatch.setattr(module, "SHRINK_OVER_BYTES", 32)
    ours, theirs = pair
    buffer = ReceiveBuffer(8)
    sent = bytes(range(100))
    theirs.sendall(sent)
    while buffer.length < len(sent):
        assert buffer.receive(ours)
    assert bytes(buffer.view[: buffer.length]) == sent
    buffer.keep_from(98)
    assert len(buffer.view) == 8
    assert bytes(buffer.view[: buffer.length]) == sent[98:]


def test_an_event_without_end_is_refused(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded: past the largest event that servers write, it is no log."""
    monkeypatch.setattr(module, "MAX_BYTES", 16)
    ours, theirs = pair
    buffer = ReceiveBuffer(8)
    theirs.sendall(b"x" * 40)
    buffer.receive(ours)
    buffer.receive(ours)
    with pytest.raises(LogFormatError):
        buffer.receive(ours)


def test_a_closed_connection_gives_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    """0 bytes: the other side closed."""
    ours, theirs = pair
    theirs.close()
    assert ReceiveBuffer().receive(ours) == 0
