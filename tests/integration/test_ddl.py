"""Definitions followed through the log: columns as the server has them after each, and rows right on either side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cdc.binlog.schema.agreement import shown_labels, sign_in
from cdc.binlog.schema.columns import Column
from cdc.binlog.schema.history import SchemaHistory
from cdc.binlog.schema.query import read_statement
from cdc.model import TableSpec
from cdc.source.schemas import ServerSchemas
from tests.kit.servers import ALL_SERVERS, Server

SERVERS = ALL_SERVERS
SOAK_SERVERS = ("mariadb_11",)

T = TableSpec("t", ("id",), ("id", "a", "b"), optional=frozenset({"a", "b"}))

CREATE = """CREATE TABLE `t` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT COMMENT 'Id, with a comma',
  `a` varchar(255) DEFAULT NULL COMMENT 'it''s (a) "name"', `b` varchar(20) CHARACTER SET latin1 NOT NULL DEFAULT 'x',
  `price` decimal(20,4) unsigned NOT NULL DEFAULT 0.0000, `amount` decimal(12) NULL, `kind` enum('a','b''c','d"e') NULL,
  `flags` set('x','y') NOT NULL DEFAULT 'x,y', `made` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE
  CURRENT_TIMESTAMP, `at` datetime(3) DEFAULT NULL, `day` date, `span` time(6) NULL, `y` year DEFAULT NULL, `j` json,
  `txt` mediumtext COLLATE utf8mb4_bin, `bin` varbinary(16) NULL, `blb` longblob, `bit` bit(3) DEFAULT b'101',
  `ok` bool NOT NULL DEFAULT false, `f` float, `d` double precision, `up` int GENERATED ALWAYS AS (y + 1) VIRTUAL,
  `st` varchar(9) AS (concat('a', kind)) STORED, KEY `K` (`a`(10)) USING BTREE, UNIQUE KEY `U` (`b`,`y`),
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb3 COMMENT='charset=latin1'"""

FOLLOWED = (
    CREATE,
    "ALTER TABLE t ADD COLUMN c1 int",
    "ALTER TABLE `t` ADD c2 varchar(64) NOT NULL DEFAULT 'it''s' COMMENT 'x' FIRST",
    "ALTER TABLE t ADD COLUMN `c3` bigint(20) unsigned zerofill AFTER `a`, ADD INDEX I1 (c1), ADD c4 smallint AFTER c3",
    "ALTER TABLE t ADD COLUMN (c5 tinyint(1), c6 text CHARACTER SET latin1)",
    "/* a comment */ ALTER TABLE /*! t */ ADD /* there */ c7 char(3) -- to the end\n, ADD c8 char COLLATE ascii_bin",
    "ALTER TABLE t DROP COLUMN c1, DROP c2, DROP INDEX K",
    "ALTER TABLE t MODIFY c3 int NOT NULL FIRST, MODIFY COLUMN a varchar(100) CHARACTER SET utf8mb4 AFTER b",
    "ALTER TABLE t CHANGE c4 `c four` mediumint unsigned NULL DEFAULT 5 AFTER id, CHANGE COLUMN c5 c5 boolean",
    "ALTER TABLE t RENAME COLUMN c6 TO c66, RENAME COLUMN c7 TO c6",
    "ALTER TABLE t CHANGE a b varchar(100), CHANGE b a varchar(100)",
    "ALTER TABLE t ADD x int DEFAULT 1, ADD y2 int AFTER x, DROP c3, MODIFY c66 varchar(7) AFTER y2",
    "ALTER TABLE t ENGINE=InnoDB, COMMENT 'drop column a', AUTO_INCREMENT = 100, ROW_FORMAT=DYNAMIC",
    "ALTER TABLE t DEFAULT CHARACTER SET latin1",
    "ALTER TABLE t ADD late varchar(5)",
    "ALTER TABLE t COLLATE = utf8mb4_general_ci, ADD later varchar(5) CHARACTER SET utf8",
    "ALTER TABLE t ADD UNIQUE KEY u2 (x, y2), ALGORITHM=INPLACE, LOCK=NONE",
    "ALTER TABLE t RENAME INDEX u2 TO u3",
    "CREATE INDEX i9 ON t (x)",
    "DROP INDEX i9 ON t",
    "CREATE TABLE copy LIKE t",
    "CREATE TABLE IF NOT EXISTS t (id int primary key)",
    "ALTER TABLE copy ADD added numeric(8,2) AFTER id, DROP COLUMN day, RENAME TO _t_new",
    "RENAME TABLE t TO _t_old, _t_new TO t",
    "DROP TABLE IF EXISTS `_t_old`",
    "RENAME TABLE `t` TO `t2`, t2 TO `t`",
    "DROP TABLE t",
    "CREATE TABLE t (id int, name varchar(9) charset utf8mb4 collate utf8mb4_bin, primary key (id, name)) charset=ucs2",
    "ALTER TABLE t ADD g point, ADD e enum('k','l') AFTER id, ADD n integer, ADD m dec(5,1) DEFAULT -1.5",
    "ALTER TABLE t ADD f1 float(7,3), ADD f2 float(40), ADD f3 float(9), ADD b1 bit, ADD bn binary, ADD v varbinary(3)",
    "ALTER TABLE t ADD z1 int DEFAULT (1 + 2), ADD z2 datetime DEFAULT CURRENT_TIMESTAMP ON UPDATE NOW()",
)  # fmt: skip

ASKED = (
    "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4",
    "ALTER TABLE t ALTER COLUMN n SET DEFAULT 7",
    "ALTER TABLE t ADD big text(70000)",
    "ALTER TABLE t ADD lab enum('é', 'ソ') CHARACTER SET latin1",
    "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id)",
    "CREATE TABLE src (id int primary key, a int)",
    "DROP TABLE t",
    "CREATE TABLE t (x int) SELECT id, a FROM src",
)


class Asking:
    """The server's columns, and how often they were asked for."""

    def __init__(self, schemas: ServerSchemas) -> None:
        self._schemas = schemas
        self.asked = 0

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        self.asked += 1
        self._schemas.forget(database, table)
        return self._schemas.columns(database, table)


_FOUR_BYTES = re.compile("[\U00010000-\U0010ffff]")
"""Characters that a server's ``column_type`` shows as a question mark; a definition in the log shows them."""


def meaning(columns: Sequence[Column] | None) -> list[tuple[Any, ...]]:
    """What row decoding needs of columns."""
    return [
        (
            c.name,
            c.data_type,
            sign_in(c),
            c.charset,
            tuple(_FOUR_BYTES.sub("?", label) for label in shown_labels(c)) if c.data_type in ("enum", "set") else (),
            c.column_type.partition("(")[2].split()[:1]
            if c.data_type in ("decimal", "datetime", "varchar", "bit")
            else 0,
            c.nullable,
            c.is_key,
        )
        for c in columns or ()
    ]


def followed(server: Server, statements: Sequence[str]) -> Iterator[tuple[str, bool, list[Any], list[Any]]]:
    """Each statement, whether the server had to be asked, the columns followed and the server's."""
    is_mariadb = server.flavor == "mariadb"
    with server.database() as database:
        schemas = ServerSchemas(lambda: server.connect(database=database))
        asking = Asking(schemas)
        history = SchemaHistory(asking, database=database, specs={"t": T})
        for statement in statements:
            server.run(statement, database=database)
            before = asking.asked
            history.define(read_statement(database, statement.encode()), is_mariadb=is_mariadb)
            was_asked = asking.asked > before
            schemas.forget(database, "t")
            held = schemas.columns(database, "t")
            ours = history.columns(database, "t")
            yield statement, was_asked, meaning(ours), meaning(held)
        schemas.close()


def test_definitions_are_followed_as_the_server_does(server: Server) -> None:
    """After every statement the columns are the server's, and it was not asked for them."""
    for statement, was_asked, ours, held in followed(server, FOLLOWED):
        assert ours == held, statement
        assert not was_asked or not held, statement


def test_what_is_not_understood_is_asked_for(server: Server) -> None:
    """A definition that may mean more than we know is never half followed."""
    for statement, was_asked, ours, held in followed(server, (*FOLLOWED[-4:], *ASKED)):
        assert ours == held, statement
        assert was_asked or statement not in ASKED or "src" in statement or "DROP" in statement, statement
