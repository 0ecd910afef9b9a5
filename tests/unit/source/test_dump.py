"""The bytes that ask for the log."""

from __future__ import annotations

import socket
import struct

import pytest

from cdc.binlog.gtid import GtidSet
from cdc.errors import LogFormatError, PositionLostError, SourceDisconnectedError
from cdc.source import dump

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def test_a_dump_by_position_has_offset_flags_id_and_name() -> None:
    """COM_BINLOG_DUMP: command, 32-bit offset, flags 0, server id, file name to the end."""
    assert dump.by_position(4211, "binlog.000123", 4567) == (
        b"\x12" + struct.pack("<I", 4567) + b"\x00\x00" + struct.pack("<I", 4211) + b"binlog.000123"
    )


def test_a_dump_never_begins_inside_the_files_magic() -> None:
    """Offset 0 means the first event, which lies at 4."""
    assert dump.by_position(1, "b.000001", 0)[1:5] == struct.pack("<I", 4)


def test_a_place_beyond_four_gib_is_refused_not_cut() -> None:
    """An offset that does not fit 32 bits is refused; the last one that fits is not."""
    assert dump.by_position(1, "b.000001", 0xFFFFFFFF)[1:5] == b"\xff" * 4
    with pytest.raises(ValueError, match="4 GiB"):
        dump.by_position(1, "b.000001", 0x1_0000_0000)


def test_a_dump_by_gtid_carries_the_set() -> None:
    """COM_BINLOG_DUMP_GTID: flag through-gtid, no file name, position 4, then the set with its length."""
    executed = GtidSet.parse(f"{UUID}:1-5:8").encode()
    command = dump.by_gtid(7, executed)
    head = struct.Struct("<BHIIQI")
    assert head.unpack_from(command) == (0x1E, 0x04, 7, 0, 4, len(executed))
    assert command[head.size :] == executed
    source = bytes.fromhex(UUID.replace("-", ""))
    assert executed == struct.pack("<Q", 1) + source + struct.pack("<QQQQQ", 2, 1, 6, 8, 9)


def test_registering_gives_no_host_user_or_password_away() -> None:
    """COM_REGISTER_SLAVE names our id only."""
    assert dump.register(4211) == b"\x15" + struct.pack("<I", 4211) + b"\x00" * 13


def test_the_replicas_uuid_is_the_same_after_a_restart_and_differs_by_id() -> None:
    """The server ends a forgotten dump of the same replica; so the name depends on the id alone."""
    assert dump.replica_uuid(4211) == dump.replica_uuid(4211)
    assert dump.replica_uuid(4211) != dump.replica_uuid(4212)


def test_mariadb_gets_only_a_gtid_position_into_its_statement() -> None:
    """What goes into the SET statement holds digits, hyphens and commas, nothing else."""
    assert "SET @slave_connect_state = '0-1-100,1-2-5'" in dump.mariadb_statements("0-1-100,1-2-5")
    assert len(dump.mariadb_statements(None)) == 1
    with pytest.raises(PositionLostError):
        dump.mariadb_statements("0-1-1'; DROP TABLE x; --")


def test_heartbeats_are_asked_for_in_nanoseconds() -> None:
    """Both spellings of the heartbeat variable are set, in ns."""
    text = " ".join(dump.session_statements(1, 2.5))
    assert "@master_heartbeat_period = 2500000000" in text
    assert "@source_heartbeat_period = 2500000000" in text


def test_an_error_answer_carries_its_number_and_words() -> None:
    """An error packet becomes an error with the server's number, without the SQL state in its words."""
    with pytest.raises(SourceDisconnectedError, match=r"^Access denied$") as caught:
        dump.check_answer(b"\xff" + struct.pack("<H", 1227) + b"#42000Access denied")
    assert caught.value.errno == 1227
    with pytest.raises(LogFormatError):
        dump.check_answer(b"\x05what")


def test_a_command_is_answered_even_in_pieces() -> None:
    """The answer is read to its end, however the network cuts it; a closed connection is an error."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\x07\x00")
        theirs.sendall(b"\x00\x01" + b"\x00" * 7)
        dump.run_command(ours, b"\x15")
        assert theirs.recv(10) == b"\x01\x00\x00\x00\x15"
        theirs.close()
        with pytest.raises((SourceDisconnectedError, OSError)):
            dump.run_command(ours, b"\x15")
