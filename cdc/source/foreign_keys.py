"""The foreign keys of the shop's tables, as the server has them now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cdc.model import DeleteRule, ForeignKey
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, connect, mapped_errors, quoted, rows

_KEYS = """
SELECT table_name, constraint_name, column_name, referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage
WHERE table_schema = %s AND referenced_table_schema = %s AND referenced_table_name IS NOT NULL
ORDER BY table_name, constraint_name, ordinal_position"""

_RULES = """
SELECT table_name, constraint_name, delete_rule
FROM information_schema.referential_constraints WHERE constraint_schema = %s"""

_CONSTRAINT = re.compile(
    r"^\s*CONSTRAINT `(?P<name>(?:[^`]|``)+)` FOREIGN KEY .*\)(?P<actions>[A-Z ]*),?$", re.MULTILINE
)
_ON_DELETE = re.compile(r"ON DELETE (CASCADE|SET NULL)")


def foreign_keys(connection: Connection, database: str, prefix: str) -> tuple[ForeignKey, ...]:
    """The CASCADE and SET NULL keys of one column within ``database``, table names without ``prefix``.

    Tables without the prefix are left out. Raises PyMySQL's errors.
    """
    columns: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for child, name, column, parent, parent_column in rows(connection, _KEYS, (database, database)):
        if child.startswith(prefix) and parent.startswith(prefix):
            columns.setdefault((child, name), []).append((column, parent, parent_column))
    rules = _delete_rules(connection, database, columns)
    keys = []
    for (child, name), parts in columns.items():
        rule = rules.get((child, name))
        if rule in {"CASCADE", "SET NULL"} and len(parts) == 1:  # core has no others
            column, parent, parent_column = parts[0]
            keys.append(
                ForeignKey(
                    child.removeprefix(prefix), column, parent.removeprefix(prefix), parent_column, DeleteRule(rule)
                )
            )
    return tuple(keys)


def ask_foreign_keys(settings: SourceSettings) -> tuple[ForeignKey, ...]:
    """Like ``foreign_keys``, over a connection of its own. Raises SetupError, SourceDisconnectedError."""
    connection = connect(settings)
    try:
        with mapped_errors(settings):
            return foreign_keys(connection, settings.database, settings.table_prefix)
    finally:
        if connection.open:
            connection.close()


def _delete_rules(
    connection: Connection, database: str, names: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """ON DELETE by (table, constraint).

    MariaDB shows referential_constraints only to users with more than SELECT on the table; SHOW CREATE TABLE needs
    SELECT alone.
    """
    rules = {(str(table), str(name)): str(rule) for table, name, rule in rows(connection, _RULES, (database,))}
    for table in sorted({table for table, name in names if (table, name) not in rules}):
        created = str(rows(connection, f"SHOW CREATE TABLE {quoted(database)}.{quoted(table)}")[0][1])
        rules.update({(table, name): rule for name, rule in delete_rules_in(created)})
    return rules


def delete_rules_in(create_table: str) -> Iterator[tuple[str, str]]:
    """(constraint, ON DELETE rule) of each foreign key in the output of SHOW CREATE TABLE; "" for other rules."""
    for match in _CONSTRAINT.finditer(create_table):
        rule = _ON_DELETE.search(match["actions"])
        yield match["name"].replace("``", "`"), rule[1] if rule else ""
