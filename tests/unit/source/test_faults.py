"""What a server's words during the dump mean: retry, position lost, set-up, or stop."""

from __future__ import annotations

import pymysql
import pytest

from cdc.errors import (
    CdcError,
    LoginRefusedError,
    PositionLostError,
    SetupError,
    SourceDisconnectedError,
    SourceStoppedError,
)
from cdc.model import Position
from cdc.settings.source import SourceSettings
from cdc.source.faults import fault_of
from cdc.source.foreign_keys import delete_rules_in
from cdc.source.server import mapped, version_of

AT = Position("binlog.000123", 4567)


@pytest.mark.parametrize(
    ("number", "words", "kind"),
    [
        (1236, "Could not find first log file name in binary log index file", PositionLostError),
        (1236, "Client requested source to start replication from position > file size", PositionLostError),
        (1236, "Cannot replicate because the source purged required binary logs.", PositionLostError),
        (1236, "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old "
         "and required binlog files have been purged.", PositionLostError),
        (1236, "Error: connecting slave requested to start from GTID 0-1-9, which is not in the master's binlog",
         PositionLostError),
        (1236, "Slave has more GTIDs than the master has, using the master's SERVER_UUID.", PositionLostError),
        (1236, "A slave with the same server_uuid/server_id as this slave has connected to the master",
         SourceDisconnectedError),
        (4052, "A slave with the same server_uuid/server_id is already connected", SourceDisconnectedError),
        (1236, "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source", SetupError),
        (1236, "Misconfigured master - master server_id is 0", SetupError),
        (1236, "bogus data in log event; the first event 'binlog.000001' at 4", SourceStoppedError),
        (1227, "Access denied; you need the REPLICATION SLAVE privilege", SetupError),
        (1053, "Server shutdown in progress", SourceDisconnectedError),
        (1927, "Connection was killed", SourceDisconnectedError),
        (None, "the server closed the connection", SourceDisconnectedError),
    ],
)  # fmt: skip
def test_a_servers_words_decide_what_is_done(number: int | None, words: str, kind: type[CdcError]) -> None:
    """Only what may pass by itself is tried again; each other fault gets the class that ends with its exit code."""
    fault = fault_of(SourceDisconnectedError(words, errno=number), AT)
    assert type(fault) is kind
    assert kind is SourceDisconnectedError or fault.hint or str(AT) in str(fault)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1045, LoginRefusedError),
        (1044, SetupError),
        (1049, SetupError),
        (1130, SetupError),
        (1142, SetupError),
        (1227, SetupError),
        (1381, SetupError),
        (2059, SetupError),
        (1040, SourceDisconnectedError),
        (1053, SourceDisconnectedError),
        (2003, SourceDisconnectedError),
        (2013, SourceDisconnectedError),
    ],
)
def test_errors_of_statements_are_mended_or_waited_for(number: int, kind: type[CdcError]) -> None:
    """Errors that an operator must mend are SetupError with a hint; those that pass are disconnections."""
    settings = SourceSettings(user="reader", password="invented", database="shop")
    fault = mapped(pymysql.err.OperationalError(number, "the server's words"), settings)
    assert type(fault) is kind
    assert fault.hint
    assert "invented" not in str(fault)


def test_delete_rules_are_read_from_create_table() -> None:
    """ON DELETE is found before and after ON UPDATE; keys without it change no child."""
    text = (
        "CREATE TABLE `c` (\n  `a` int(11) DEFAULT NULL COMMENT 'ON DELETE CASCADE',\n"
        "  CONSTRAINT `ONE` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE CASCADE,\n"
        "  CONSTRAINT `TWO` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE SET NULL ON UPDATE CASCADE,\n"
        "  CONSTRAINT `THREE` FOREIGN KEY (`a`, `b`) REFERENCES `other`.`p` (`id`, `x`) ON UPDATE CASCADE,\n"
        "  CONSTRAINT `FO``UR` FOREIGN KEY (`a`) REFERENCES `p` (`id`)\n) ENGINE=InnoDB"
    )
    assert dict(delete_rules_in(text)) == {"ONE": "CASCADE", "TWO": "SET NULL", "THREE": "", "FO`UR": ""}


def test_versions_are_numbers() -> None:
    """A version's text may go on after its numbers."""
    assert version_of("10.11.6-MariaDB-0+deb12u1-log") == (10, 11, 6)
    assert version_of("8.4.3") == (8, 4, 3)
