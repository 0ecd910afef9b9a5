"""What a first load will take, shown before it begins: rows to read, messages, calls, time, days of quota, disk.

Rows and objects are counted on the server. A count that takes too long is replaced by the server's own estimate, and
the plan says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import pymysql

from cdc.model import ObjectType, TableSpec
from cdc.protocols import SinkTraits
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, connect, is_connection_lost, mapped_errors, quoted, rows, scalar

COUNT_TIMEOUT_S: Final = 60
HUBSPOT_DAY: Final = 250_000
"""Calls a day in HubSpot's smallest limit for private apps. Accounts with a higher limit need fewer days."""

ROW_BYTES: Final = 120
"""Bytes of a row in the state, with its indexes. This number and the next two are estimates from usual sizes: there is
no state yet whose rows could be measured.
"""
OBJECT_BYTES: Final = 145
"""Bytes of an object in the ledger."""
MESSAGE_BYTES: Final = 900
"""Bytes of a message in the outbox until it is sent."""

_MISSING: Final = frozenset({1146, 1054})
_TIMED_OUT: Final = frozenset({1969, 3024, 1317})


class Count(Protocol):
    """A SELECT that gives one number."""

    @property
    def sql(self) -> str: ...

    @property
    def arguments(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """``rows``: rows to read, by table. ``messages``: messages to send, by object type. ``objects``: objects to render.

    ``calls``, ``seconds``: at the present quota; None for a sink without quota. ``days``: at a daily limit of
    ``HUBSPOT_DAY`` calls. ``state_mb``: an estimate of the state folder's largest size. ``estimated``: tables and types
    whose number is the server's estimate.
    """

    rows: Mapping[str, int]
    objects: Mapping[ObjectType, int]
    messages: Mapping[ObjectType, int]
    calls: int | None
    seconds: float | None
    estimated: tuple[str, ...] = ()
    state_mb: int = field(default=0)

    @property
    def days(self) -> float | None:
        """Days that the calls take at a daily limit of ``HUBSPOT_DAY`` calls; None without quota."""
        return self.calls / HUBSPOT_DAY if self.calls is not None else None

    def as_dict(self) -> dict[str, Any]:
        """The plan for logs, /status and ``--json``."""
        return {
            "rows": sum(self.rows.values()),
            "tables": dict(self.rows),
            "objects": {kind.value: count for kind, count in self.objects.items()},
            "messages": {kind.value: count for kind, count in self.messages.items()},
            "calls": self.calls,
            "hours": round(self.seconds / 3600, 2) if self.seconds is not None else None,
            "days_of_quota": round(self.days, 2) if self.days is not None else None,
            "state_mb": self.state_mb,
            "estimated": list(self.estimated),
        }

    def lines(self) -> list[str]:
        """The plan as lines for people."""
        of_types = ", ".join(f"{count:,} {kind.value}" for kind, count in self.messages.items())
        found = [
            f"rows to read: {sum(self.rows.values()):,} of {len(self.rows)} tables",
            f"messages: {sum(self.messages.values()):,} ({of_types})",
        ]
        withheld = sum(self.objects.values()) - sum(self.messages.values())
        if withheld > 0:
            found.append(f"withheld by history.send: {withheld:,} objects")
        if self.calls is not None and self.seconds is not None:
            share = f"{self.calls / HUBSPOT_DAY:.1%} of a day's limit of {HUBSPOT_DAY:,}"
            found.append(f"calls: {self.calls:,} ({share}), {duration(self.seconds)} at the present quota")
        found.append(f"disk for the state: up to {self.state_mb:,} MB, an estimate from usual sizes of rows")
        if self.estimated:
            found.append(f"estimated by the server, not counted: {', '.join(self.estimated)}")
        return found


def duration(seconds: float) -> str:
    """The time as text: ``3 h 20 min``, ``45 s``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def count_load(
    source: SourceSettings,
    tables: Sequence[TableSpec],
    objects: Mapping[ObjectType, Count],
    sent: Mapping[ObjectType, Count] | None,
    traits: SinkTraits,
    max_batch: int,
    max_requests_per_10s: int,
) -> LoadPlan:
    """Count on the server. ``objects``: all objects that are rendered. ``sent``: the objects that are sent; None: no
    objects.

    Raises SetupError, SourceDisconnectedError.
    """
    connection = connect(source)
    try:
        with mapped_errors(source):
            _limit_time(connection)
            estimated: list[str] = []
            of_tables = {
                spec.name: count
                for spec in tables
                if (count := _rows_of(connection, source, spec.name, estimated)) is not None
            }
            taken = {kind: one for kind, one in objects.items() if kind in traits.object_types}
            rendered = {kind: _objects_of(connection, kind, one, estimated, of_tables) for kind, one in taken.items()}
            if sent is objects:
                messages = dict(rendered)
            elif sent is None:
                messages = dict.fromkeys(rendered, 0)
            else:
                messages = {kind: _objects_of(connection, kind, sent[kind], estimated, of_tables) for kind in taken}
    finally:
        if connection.open:
            connection.close()
    calls, seconds = cost(messages, traits, max_batch, max_requests_per_10s)
    size = state_bytes(sum(of_tables.values()), sum(rendered.values()), sum(messages.values()))
    return LoadPlan(of_tables, rendered, messages, calls, seconds, tuple(estimated), math.ceil(size / 1e6))


def state_bytes(rows: int, objects: int, messages: int) -> int:
    """The state's largest size, which it has when every message of the load waits to be sent. Pure."""
    return rows * ROW_BYTES + objects * OBJECT_BYTES + messages * MESSAGE_BYTES


def cost(
    messages: Mapping[ObjectType, int], traits: SinkTraits, max_batch: int, max_requests_per_10s: int
) -> tuple[int | None, float | None]:
    """Calls, and seconds at the quota; None, None for a sink without quota. Pure.

    The batches are taken for full, and the objects for new to the receiver, as most are in a first load.
    """
    if not traits.families:
        return None, None
    batch = min(traits.max_batch, max_batch)
    calls = traits.start_calls
    for kind, count in messages.items():
        calls += math.ceil(count / batch) * traits.calls_per_batch.get(kind, 1)
    # Calls for new objects are of the first family; the other families' quotas are not used up by them.
    per_10s = min(next(iter(traits.families.values())).per_10s, max_requests_per_10s)
    seconds = calls / per_10s * 10
    if traits.poll_s:
        calls += math.ceil(seconds / traits.poll_s)
    return calls, calls / per_10s * 10


def _limit_time(connection: Connection) -> None:
    """Limit the time of each count: a count that keeps the server busy for minutes is not worth it.

    MariaDB ignores the comment for MySQL.
    """
    rows(
        connection,
        f"SET time_zone = '+00:00' /*M!100101 , max_statement_time = {COUNT_TIMEOUT_S} */"
        f" /*!50708 , max_execution_time = {COUNT_TIMEOUT_S * 1000} */",
    )


def _rows_of(connection: Connection, source: SourceSettings, table: str, estimated: list[str]) -> int | None:
    """The table's rows; None for a table that the shop does not have."""
    name = source.table_prefix + table
    try:
        return int(scalar(connection, f"SELECT COUNT(*) FROM {quoted(name)}") or 0)
    except pymysql.err.Error as error:
        if is_connection_lost(error) or error.args[0] not in _MISSING | _TIMED_OUT:
            raise
        if error.args[0] in _MISSING:
            return None
    estimated.append(table)
    asked = "SELECT table_rows FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    return int(scalar(connection, asked, (source.database, name)) or 0)


def _objects_of(
    connection: Connection, kind: ObjectType, count: Count, estimated: list[str], of_tables: Mapping[str, int]
) -> int:
    try:
        return int(scalar(connection, count.sql, count.arguments) or 0)
    except pymysql.err.Error as error:
        if is_connection_lost(error) or error.args[0] not in _MISSING | _TIMED_OUT:
            raise
    estimated.append(kind.value)
    return of_tables.get(_MAIN_TABLE[kind], 0)


_MAIN_TABLE: Final = {
    ObjectType.CONTACT: "customer_entity",
    ObjectType.PRODUCT: "catalog_product_entity",
    ObjectType.DEAL: "sales_order",
    ObjectType.LINE_ITEM: "sales_order_item",
}
"""The table whose rows count as a type's objects where these cannot be counted."""
