"""What MariaDB 11 writes otherwise than 10.11: types, collations, and commits that become a log file of their own."""

from __future__ import annotations

import pytest

from cdc.model import Start, StartKind, TableSpec
from cdc.source.files import FilesSource
from tests.integration.test_live_source import PASSWORD, USER, end_of_log, settings_for
from tests.integration.test_odd_types import _differences
from tests.kit.follow import Follower
from tests.kit.grid import GridColumn
from tests.kit.servers import MariaDB11, Option, Server

MB = 1 << 20
COLUMNS = [
    GridColumn("vec3", "vector(3)", ("VEC_FromText('[1, -2.5, 3]')",)),
    GridColumn("vec_big", "vector(2000)", ("VEC_FromText(CONCAT('[', REPEAT('1.5,', 1999), '0]'))",)),
    GridColumn("late", "timestamp(3) null", ("'2038-01-19 03:14:08.5'", "'2106-02-07 06:28:15.999'", "0")),
    GridColumn("u", "uuid", ("UUID_v7()", "UUID_v4()", "UUID()")),
    *(
        GridColumn(
            f"{charset}_{kind[:1]}", f"{kind}(20) character set {charset} collate {charset}_uca1400_ai_ci", values
        )
        for charset in ("utf8mb4", "utf8mb3", "ucs2", "utf16", "utf32")
        for kind, values in (("varchar", ("'é€ ü'", "''")), ("char", ("'漢字'", "'a '")))
    ),
    GridColumn("german", "text character set utf8mb4 collate utf8mb4_uca1400_german2_as_cs", ("'Straße 😀'", "''")),
    GridColumn("label", "enum('é','z') character set utf8mb4 collate utf8mb4_uca1400_nopad_ai_ci", ("'é'", "'z'")),
]


@pytest.mark.parametrize("metadata", ["NO_LOG", "MINIMAL", "FULL"])
def test_types_and_collations_are_read_as_select_shows_them(mariadb_11: Server, metadata: str) -> None:
    """VECTOR, TIMESTAMP up to 2106, the new UUIDs, and the collations of Unicode 14 that are the default now."""
    with mariadb_11.database() as database:
        assert _differences(mariadb_11, database, metadata, COLUMNS) == ""


def test_a_large_commit_is_read_live_and_from_its_file(mariadb_11: Server) -> None:
    """Over ``binlog_large_commit_threshold`` the server renames its temporary file to be the next log file: a padded
    GTID event, and events that do not say where they end. Rows come once, and each place can be gone on from.
    """
    table = TableSpec("big", ("id",), ("id", "text"))
    options: dict[str, Option] = {"binlog_large_commit_threshold": 10 * MB, "binlog_row_metadata": "FULL"}
    with MariaDB11(options) as server, server.database() as database:
        server.create_user(USER, PASSWORD, ["REPLICATION SLAVE ON *.*", f"SELECT ON `{database}`.*"])
        server.run("GRANT BINLOG MONITOR ON *.* TO 'reader'@'%'")
        server.run("CREATE TABLE big (id INT PRIMARY KEY, text LONGTEXT)", database=database)
        settings = settings_for(server, database)
        start = end_of_log(settings)
        with Follower(settings, [table], start) as follower:
            server.run(
                "INSERT INTO big VALUES (1, 'before')",
                "INSERT INTO big SELECT seq, REPEAT('z', 100000) FROM seq_100_to_250",
                "INSERT INTO big VALUES (1000, 'behind')",
                database=database,
            )
            follower.wait_for_ids([1, *range(100, 251), 1000])
            # A little later the server notes that the file before is not needed any more: an event of 40 bytes.
            follower.wait(lambda: str(follower.last) == "{}:{}".format(*server.log_position()))
            ends = [found.end for found in follower.transactions if found.changes]
        assert [end.file for end in ends] == ["binlog.000001", "binlog.000002", "binlog.000002"]
        for end, ids in zip(ends, [[*range(100, 251), 1000], [1000]], strict=False):
            with Follower(settings, [table], end) as follower:
                follower.wait_for_ids(ids)
        files = FilesSource([str(path) for path in server.binlog_files()], [table], database=database)
        read = [found for found in files.transactions(Start(StartKind.EARLIEST)) if found.changes]

    assert [len(found.changes) for found in read] == [1, 151, 1]
    assert [str(found.end) for found in read] == [str(end) for end in ends]
