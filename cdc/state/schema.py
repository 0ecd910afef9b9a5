"""The state file's tables. All data that must change together is in this one SQLite file.

``r_<table>``: one per mapped table, the mapped columns plus ``lsn`` (see positions.py). ``t_<table>``: the running
totals of such a table (running_totals.py). The others are fixed. Each is
written by one module alone (tests/unit/state/test_writers.py lists them):

====================== ========================================================================================
meta                   single values (meta.py)
mapped_table           which columns the mapped tables were made with
tombstone              deleted keys with their LSNs, while a read may still bring an older row
table_load             per mapped table: how far its load has come
stale_table            tables that are read again, as their rows changed without row events: since when, and why
resync_found           objects that such reads changed; rendered when all of them are through
table_schema           tables' columns, each from a position in the log on
prepared_change        changes of XA transactions that are neither committed nor rolled back yet
cart_clock             open carts: when their content changed last, and whether they were abandoned since
unread_row             keys of rows of which the log has only a part: to be read from the server
bad_record             records of topics that could not be read, with their reason
render_queue           objects to be rendered later: after a fetch, after a position in the log, or in their turn
bulk_invalidation      many objects at once, turned into requests in slices
ledger_line            per object: what was last rendered, sent, answered and accepted; never forgotten. The view
                       ``ledger`` shows plain values: read that. Mostly the newest version is accepted, so what is
                       then equal, or nearly so, is stored as a difference: ``accepted_hash`` 1 is ``rendered_hash``;
                       ``accepted_after`` counts from ``rendered_at``, ``tried_after`` from the acceptance,
                       ``answered_after`` from ``sent_ms``. A record's id of digits is an integer
property_bit           bit numbers of property names, for the ledger's bitmap of properties that ever held a value
outbox                 the newest unsent message of an object; ``seq`` is its position in the order
sent_without_reference objects that were sent without a reference whose object is a dead letter
dead_letter            messages set aside for good, with their reason
waiting_for_parent     accepted and later refused, as the receiver did not know their parent yet
unconfirmed            objects with an attempt whose outcome is unknown: sent once more after their next acceptance
unpublished            objects whose state a leader of members has yet to publish
relay_queue            what the relay has yet to publish; ``seq`` is never given twice
====================== ========================================================================================
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from cdc.model import TableSpec


def first_ref(column: str) -> str:
    """SQL: the id of the first reference in a list of references (``cdc/messages/refs.py``)."""
    return _id_at(f"substr({column}, 2)")


def second_ref(column: str) -> str:
    """SQL: the id of the second reference."""
    return _id_at(f"substr({column}, instr({column}, ' ') + 2)")


def _id_at(text: str) -> str:
    # 24 hex digits before the "=", or a number, which the cast reads up to the "=".
    return f"CASE WHEN instr({text}, '=') = 25 THEN substr({text}, 1, 24) ELSE CAST({text} AS INTEGER) END"


FIXED = f"""
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tombstone (
    tbl TEXT NOT NULL, key TEXT NOT NULL, lsn INTEGER NOT NULL, cascaded INTEGER NOT NULL DEFAULT -1,
    PRIMARY KEY (tbl, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tombstone_lsn ON tombstone (lsn);
CREATE TABLE IF NOT EXISTS mapped_table (tbl TEXT PRIMARY KEY, signature TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS table_load (
    tbl TEXT PRIMARY KEY, signature TEXT NOT NULL, cursor TEXT, done INTEGER NOT NULL DEFAULT 0,
    rows INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stale_table (
    tbl TEXT PRIMARY KEY, position TEXT NOT NULL, lsn INTEGER NOT NULL, by_statement INTEGER NOT NULL,
    reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS table_schema (
    name TEXT NOT NULL, lsn INTEGER NOT NULL, tbl TEXT NOT NULL, columns TEXT NOT NULL, until TEXT NOT NULL,
    is_present INTEGER NOT NULL, lost TEXT NOT NULL, PRIMARY KEY (name, lsn)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS resync_found (kind TEXT NOT NULL, id NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS render_queue (
    kind TEXT NOT NULL, id NOT NULL, urgency INTEGER NOT NULL, needs_fetch INTEGER NOT NULL DEFAULT 0,
    not_before_lsn INTEGER NOT NULL DEFAULT 0, commit_ms INTEGER NOT NULL DEFAULT 0,
    is_forced INTEGER NOT NULL DEFAULT 0, links_again INTEGER NOT NULL DEFAULT 0,
    since_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS render_queue_live ON render_queue (since_ms) WHERE urgency = 0;
CREATE INDEX IF NOT EXISTS render_queue_ready ON render_queue (needs_fetch, urgency, not_before_lsn);
CREATE TABLE IF NOT EXISTS bulk_invalidation (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, tbl TEXT NOT NULL, id_column TEXT NOT NULL, column_name TEXT NOT NULL,
    value, urgency INTEGER NOT NULL, not_before_lsn INTEGER NOT NULL DEFAULT 0, cursor INTEGER NOT NULL DEFAULT -1,
    unless_table TEXT NOT NULL DEFAULT '', unless_column TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS ledger_line (
    kind TEXT NOT NULL, id NOT NULL,
    rendered_hash BLOB, rendered_at INTEGER NOT NULL DEFAULT 0, rendered_delete INTEGER NOT NULL DEFAULT 0,
    accepted_hash, accepted_after INTEGER NOT NULL DEFAULT 0, accepted_delete INTEGER NOT NULL DEFAULT 0,
    delete_on_wire INTEGER NOT NULL DEFAULT 0,
    accepted_refs TEXT NOT NULL DEFAULT '', tried_after INTEGER NOT NULL DEFAULT 0,
    properties BLOB NOT NULL DEFAULT x'', rendered_lsn INTEGER NOT NULL DEFAULT 0, sent_ms INTEGER NOT NULL DEFAULT 0,
    answered_after INTEGER NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT '',
    email BLOB NOT NULL DEFAULT x'', email_at INTEGER NOT NULL DEFAULT 0, email_new BLOB NOT NULL DEFAULT x'',
    record_id NOT NULL DEFAULT '', address BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_first_ref ON ledger_line ({first_ref("accepted_refs")}) WHERE accepted_refs <> '';
CREATE INDEX IF NOT EXISTS ledger_second_ref ON ledger_line ({second_ref("accepted_refs")})
    WHERE instr(accepted_refs, ' ') > 0;
CREATE VIEW IF NOT EXISTS ledger AS SELECT kind, id, rendered_hash, rendered_at, rendered_delete,
    CASE WHEN accepted_hash IS 1 THEN rendered_hash ELSE accepted_hash END AS accepted_hash,
    rendered_at + accepted_after AS accepted_at, accepted_delete, delete_on_wire, accepted_refs,
    rendered_at + accepted_after + tried_after AS tried_at, properties, rendered_lsn, sent_ms,
    sent_ms + answered_after AS answered_ms, answer, email, email_at, email_new, record_id || '' AS record_id, address
    FROM ledger_line;
CREATE TABLE IF NOT EXISTS property_bit (bit INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id NOT NULL, rank INTEGER NOT NULL, urgency INTEGER NOT NULL,
    action TEXT NOT NULL, changed_at INTEGER NOT NULL, hash BLOB NOT NULL, properties TEXT NOT NULL, refs TEXT NOT NULL,
    commit_ms INTEGER NOT NULL, rendered_ms INTEGER NOT NULL, position TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, not_before_ms INTEGER NOT NULL DEFAULT 0, blocked_by TEXT,
    read_ms INTEGER NOT NULL DEFAULT 0, email BLOB NOT NULL DEFAULT x'', writes INTEGER NOT NULL DEFAULT 0,
    is_backfill INTEGER NOT NULL DEFAULT 0, address BLOB NOT NULL DEFAULT x'', is_released INTEGER NOT NULL DEFAULT 0,
    is_counted INTEGER NOT NULL DEFAULT 1, UNIQUE (kind, id));
CREATE INDEX IF NOT EXISTS outbox_address ON outbox (address) WHERE address <> x'';
CREATE INDEX IF NOT EXISTS outbox_ready ON outbox (rank, urgency, seq) WHERE blocked_by IS NULL AND not_before_ms = 0;
CREATE INDEX IF NOT EXISTS outbox_delayed ON outbox (rank, not_before_ms) WHERE not_before_ms > 0;
CREATE INDEX IF NOT EXISTS outbox_blocked ON outbox (blocked_by, action) WHERE blocked_by IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_kind ON outbox (kind, urgency);
CREATE INDEX IF NOT EXISTS outbox_delete ON outbox (rendered_ms) WHERE action = 'DELETE';
CREATE TABLE IF NOT EXISTS sent_without_reference (
    ref_kind TEXT NOT NULL, ref_id NOT NULL, kind TEXT NOT NULL, id NOT NULL,
    PRIMARY KEY (ref_kind, ref_id, kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sent_without_reference_object ON sent_without_reference (kind, id);
CREATE TABLE IF NOT EXISTS relink (
    kind TEXT NOT NULL, id NOT NULL, record_id TEXT NOT NULL, is_looked_for INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, id, record_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS relink_looked_for ON relink (is_looked_for);
CREATE INDEX IF NOT EXISTS relink_record ON relink (record_id);
CREATE TABLE IF NOT EXISTS dead_letter (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id NOT NULL, action TEXT NOT NULL, changed_at INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, position TEXT NOT NULL,
    UNIQUE (kind, id));
CREATE INDEX IF NOT EXISTS dead_letter_time ON dead_letter (at_ms);
CREATE TABLE IF NOT EXISTS prepared_change (
    xid TEXT NOT NULL, lsn INTEGER NOT NULL, part INTEGER NOT NULL, columns TEXT NOT NULL, changes BLOB NOT NULL,
    PRIMARY KEY (xid, lsn, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cart_clock (
    quote_id INTEGER PRIMARY KEY, content BLOB NOT NULL, changed_ms INTEGER NOT NULL, abandoned_ms INTEGER NOT NULL,
    is_shown INTEGER NOT NULL, is_history INTEGER NOT NULL, is_ordered INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS cart_clock_due ON cart_clock (changed_ms) WHERE abandoned_ms = 0 AND is_ordered = 0;
CREATE TABLE IF NOT EXISTS unread_row (
    tbl TEXT NOT NULL, key TEXT NOT NULL, lsn INTEGER NOT NULL, commit_ms INTEGER NOT NULL, PRIMARY KEY (tbl, key));
CREATE INDEX IF NOT EXISTS unread_row_lsn ON unread_row (lsn);
CREATE TABLE IF NOT EXISTS unconfirmed (
    kind TEXT NOT NULL, id NOT NULL, due_ms INTEGER NOT NULL DEFAULT 0, refs TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unconfirmed_due ON unconfirmed (due_ms);
CREATE INDEX IF NOT EXISTS unconfirmed_first_ref ON unconfirmed ({first_ref("refs")}) WHERE refs <> '';
CREATE INDEX IF NOT EXISTS unconfirmed_second_ref ON unconfirmed ({second_ref("refs")}) WHERE instr(refs, ' ') > 0;
CREATE TABLE IF NOT EXISTS unpublished (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id NOT NULL, UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS bad_record (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS relay_queue (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, mark TEXT NOT NULL, is_end INTEGER NOT NULL, size INTEGER NOT NULL,
    records BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS waiting_for_parent (
    kind TEXT NOT NULL, id NOT NULL, changed_at INTEGER NOT NULL, since_ms INTEGER NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting_for_parent_since ON waiting_for_parent (since_ms);
"""


def quoted(name: str) -> str:
    """A table or column name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def table_name(table: str) -> str:
    """The replica's table for a mapped table, as SQL."""
    return quoted(f"r_{table}")


def stored_columns(spec: TableSpec) -> tuple[str, ...]:
    """The columns that the replica keeps: the mapped columns without the transient ones, then the derived ones."""
    return (*(c for c in spec.columns if c not in spec.transient), *spec.derived)


def uses_rowid(spec: TableSpec) -> bool:
    """Whether the key is one integer, which SQLite then stores as the rowid."""
    return spec.integer_key and len(spec.key) == 1


def signature(spec: TableSpec) -> str:
    """A text that changes when the table's rows have to be loaded again."""
    rows = f"|{spec.selection}" if spec.selection else ""
    return f"{','.join(spec.key)}|{','.join(stored_columns(spec))}{rows}"


def _table_ddl(spec: TableSpec) -> str:
    columns = [quoted(c) for c in stored_columns(spec)]
    if uses_rowid(spec):
        columns[columns.index(quoted(spec.key[0]))] += " INTEGER PRIMARY KEY"
        key = ""
    else:
        key = f", PRIMARY KEY ({', '.join(quoted(c) for c in spec.key)})"
    return f"CREATE TABLE {table_name(spec.name)} ({', '.join(columns)}, lsn INTEGER NOT NULL{key})"


def _index_ddl(spec: TableSpec, columns: tuple[str, ...]) -> str:
    name = quoted(f"i_{spec.name}_{'_'.join(columns)}")
    wanted = ", ".join(quoted(c) for c in columns)
    partial = f" WHERE {quoted(columns[0])} IS NOT NULL" if columns[0] not in spec.key else ""
    return f"CREATE INDEX IF NOT EXISTS {name} ON {table_name(spec.name)} ({wanted}){partial}"


def create(
    connection: sqlite3.Connection, specs: Iterable[TableSpec], indexes: dict[str, set[tuple[str, ...]]]
) -> None:
    """Create the missing tables. A mapped table whose columns changed is emptied.

    ``indexes``: per table, the further columns by which cascades find children. Runs inside a transaction.
    """
    for statement in FIXED.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    held = dict(connection.execute("SELECT tbl, signature FROM mapped_table"))
    for spec in specs:
        if held.get(spec.name) != signature(spec):
            connection.execute(f"DROP TABLE IF EXISTS {table_name(spec.name)}")
            connection.execute(_table_ddl(spec))
            connection.execute(
                "INSERT INTO mapped_table (tbl, signature) VALUES (?, ?) ON CONFLICT (tbl) DO UPDATE"
                " SET signature = excluded.signature",
                (spec.name, signature(spec)),
            )
        wanted = {*spec.indexes, *indexes.get(spec.name, set())}
        for columns in sorted(wanted):
            if not any(other[: len(columns)] == columns for other in (spec.key, *(wanted - {columns}))):
                connection.execute(_index_ddl(spec, columns))
