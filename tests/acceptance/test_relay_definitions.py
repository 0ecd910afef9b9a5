"""Definitions through relay and Kafka: members end with the rows that ``run`` has, and the topic tells what changed."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from cdc.kafka.record import RowChange, TableRecord
from tests.acceptance.test_relay import PREFIX, RelayRig, relay_rig
from tests.kit import topics
from tests.kit.broker import Broker
from tests.kit.changes_topic import faults_of_order, replica_rows, settled_rows
from tests.kit.daemon import Daemon, wait_until
from tests.kit.servers import Server
from tests.kit.topics import Member

pytestmark = pytest.mark.slow

IN_FLIGHT = (
    ("ALTER TABLE sales_order ADD ticket VARCHAR(9) AFTER entity_id",),
    ("TRUNCATE TABLE sales_shipment_track",),
    (
        "CREATE TABLE _news_gho LIKE newsletter_subscriber",
        "ALTER TABLE _news_gho ADD COLUMN campaign INT NULL FIRST",
        "INSERT INTO _news_gho SELECT NULL, n.* FROM newsletter_subscriber n",
        "RENAME TABLE newsletter_subscriber TO _news_del, _news_gho TO newsletter_subscriber",
        "DROP TABLE _news_del",
    ),
    (
        "CREATE TABLE kept LIKE sales_shipment_track",
        "DROP TABLE sales_shipment_track",
        "CREATE TABLE sales_shipment_track LIKE kept",
    ),
)
AT_THE_END = (
    "ALTER TABLE customer_entity CHANGE firstname lastname VARCHAR(255), CHANGE lastname firstname VARCHAR(255)",
    "UPDATE customer_entity SET firstname = 'Swapped' ORDER BY entity_id LIMIT 1",
    "ALTER TABLE sales_order_address DROP COLUMN company",
    "UPDATE sales_order_address SET city = 'Elsewhere' ORDER BY entity_id DESC LIMIT 1",
    "DROP TABLE newsletter_subscriber",
    "INSERT INTO customer_group (customer_group_code, tax_class_id) VALUES ('the end', 3)",
)
GONE = ["column sales_order_address.company is gone"]


def beside(relays: RelayRig, folder: Path) -> tuple[Daemon, Member]:
    """``run`` on the same shop, and a member of the topic; both write lines."""
    for name in ("run", "member"):
        (folder / name).mkdir()
    lines = {"kind": "jsonl", "path": "out.jsonl"}
    toml = relays.rig.toml.replace('kind = "bridge"\n', 'kind = "jsonl"\npath = "out.jsonl"\n')
    member = topics.settings_of(relays.broker, {"prefix": relays.prefix}, "http://127.0.0.1:1", sink=lines)
    return Daemon(folder / "run", toml.replace("990", "991")), Member(folder / "member", member)


def test_members_end_as_run_does(mariadb: Server, kafka: Broker, tmp_path: Path) -> None:
    """ALTER under traffic, a ghost table renamed in, DROP and CREATE, TRUNCATE, names swapped, a column lost."""
    with relay_rig(mariadb, kafka, tmp_path, f"{PREFIX}.define") as relays:
        relays.traffic(40)
        run, member = beside(relays, tmp_path)
        with relays.relay() as relay, run, member:
            for daemon in (relay, run, member):
                daemon.start()
                wait_until(lambda: daemon.ask("/ready")["ready"], 60, "it is ready")  # noqa: B023  # asked now
            for seed, statements in enumerate(IN_FLIGHT):
                mariadb.run(*statements, database=relays.rig.database)
                relays.traffic(8, seed=seed)
            mariadb.run(*AT_THE_END, database=relays.rig.database)
            wait_until(lambda: settled(run) and settled(relay), 60, "all is read again")
            wait_until(lambda: not apart(relays.state, tmp_path / "member" / "state"), 30, "the member follows")
            for daemon in (member, run):  # a shop may do without newsletters
                wait_until(partial(tells, daemon, GONE), 10, f"{GONE} is told")
            assert [daemon.stop() for daemon in (relay, run, member)] == [0, 0, 0]
        found = relays.read()

        assert apart(tmp_path / "run" / "state", tmp_path / "member" / "state") == []
        assert faults_of_order(found.changes) == []
    told = [(one.change, one.table, one.other, one.exists) for one in found.tables if one.change]
    assert told == [
        ("ALTER TABLE", "sales_order", "", True),
        ("TRUNCATE TABLE", "sales_shipment_track", "", True),
        ("RENAME TABLE", "newsletter_subscriber", "_news_gho", True),
        ("DROP TABLE", "sales_shipment_track", "", False),
        ("CREATE TABLE", "sales_shipment_track", "", True),
        ("ALTER TABLE", "customer_entity", "", True),
        ("ALTER TABLE", "sales_order_address", "", True),
        ("DROP TABLE", "newsletter_subscriber", "", False),
    ]
    must_stand_at_their_places(found.items)


def tells(daemon: Daemon, missing: list[str]) -> bool:
    """Whether it says that just these are missing in the shop."""
    return bool(daemon.ask("/status")["missing"] == missing)


def settled(daemon: Daemon) -> bool:
    """Whether it has the last change, and nothing waits to be read again."""
    groups = settled_rows(daemon.folder / "state").get("customer_group", {}).values()
    return any(row["customer_group_code"] == "the end" for row in groups)


def apart(whole: Path, member: Path) -> list[str]:
    """Rows in which a member differs; it does not keep what only carries cascades."""
    ours, theirs = replica_rows(whole), replica_rows(member)
    found = [f"{table} {key}" for table in theirs for key in ours[table].keys() ^ theirs[table].keys()]
    for table, rows in theirs.items():
        for key in rows.keys() & ours[table].keys():
            same = {column: ours[table][key][column] for column in rows[key]}
            found += [f"{table} {key}"] * (same != rows[key])
    return found


def must_stand_at_their_places(items: object) -> None:
    """Between the changes of the log before and behind them."""
    lsn = 0
    for item in items:  # type: ignore[attr-defined]
        if isinstance(item, RowChange | TableRecord) and item.origin is not None and not item.origin.is_read:
            assert item.origin.lsn >= lsn
            lsn = item.origin.lsn


def test_a_relay_without_its_disk_reads_rows_as_they_were_written(
    mariadb: Server, kafka: Broker, tmp_path: Path
) -> None:
    """Names are swapped behind rows that were not read yet: the topic knows the columns that held for them."""
    with relay_rig(mariadb, kafka, tmp_path, f"{PREFIX}.swapped") as relays:
        relays.must_hold()
        mariadb.run(
            "SET GLOBAL binlog_row_metadata = 'NO_LOG'",
            "FLUSH BINARY LOGS",
            database=relays.rig.database,
        )
        try:
            mariadb.run(
                "INSERT INTO customer_entity (website_id, email, group_id, store_id, firstname, lastname)"
                " VALUES (1, 'ann@example.com', 1, 1, 'Ann', 'Example')",
                "ALTER TABLE customer_entity CHANGE firstname lastname VARCHAR(255),"
                " CHANGE lastname firstname VARCHAR(255)",
                database=relays.rig.database,
            )
            shutil.rmtree(relays.state)
            found = relays.must_hold()
        finally:
            mariadb.run("SET GLOBAL binlog_row_metadata = DEFAULT")

    seen = [
        (change.after["firstname"], change.after["lastname"])
        for change in found.changes
        if change.after is not None and change.after.get("email") == "ann@example.com"
    ]
    assert seen == [("Ann", "Example"), ("Example", "Ann")]
