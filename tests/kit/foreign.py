"""Row changes as Debezium and Maxwell write them, made from their documentation and not from our readers.

A row is a mapping of column to the text or number that SELECT shows; ``types`` maps columns to their SQL types.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]
Types = Mapping[str, str]

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # DATETIME has no zone


@dataclass(frozen=True)
class Connector:
    """How a Debezium connector is set up, in its own words."""

    schemas: bool = True
    decimal: str = "precise"
    time: str = "adaptive_time_microseconds"
    bigint: str = "long"
    binary: str = "bytes"
    name: str = "mysql"
    flatten: tuple[str, ...] | None = None
    """None: envelopes; else ``add.fields`` of ExtractNewRecordState, with delete.handling.mode=rewrite."""


@dataclass
class Debezium:
    """Writes messages of one connector."""

    connector: Connector
    database: str = "magento"
    types: Mapping[str, Types] = field(default_factory=dict)

    def topic(self, table: str) -> str:
        return f"shop.{self.database}.{table}"

    def key(self, table: str, keys: tuple[str, ...], row: Row) -> bytes:
        types = {name: self.types.get(table, {}).get(name, "int") for name in keys}
        return self._message({name: row[name] for name in keys}, types)

    def value(
        self,
        table: str,
        op: str,
        before: Row | None,
        after: Row | None,
        position: tuple[str, int],
        ts_ms: int = 0,
        **told: Any,
    ) -> bytes:
        """One change's value; ``position``: file and position of its event. ``told``: other fields of ``source``."""
        source = {
            "version": "3.3.0.Final", "connector": self.connector.name, "name": "shop", "ts_ms": ts_ms,
            "snapshot": "true" if op == "r" else "false", "db": self.database, "table": table, "server_id": 4201,
            "gtid": None, "file": position[0], "pos": position[1], "row": 0, "thread": 7, **told,
        }  # fmt: skip
        if self.connector.flatten is not None:
            return self._flattened(table, op, before, after, source)
        types = self.types.get(table, {})
        body = {
            "before": self._row(before, types), "after": self._row(after, types), "source": source, "op": op,
            "ts_ms": ts_ms + 5, "transaction": None,
        }  # fmt: skip
        if not self.connector.schemas:
            return json.dumps(body).encode()
        struct = [self._field(name, kind) for name, kind in types.items()]
        schema = {
            "type": "struct", "name": f"{self.topic(table)}.Envelope", "optional": False,
            "fields": [
                {"type": "struct", "fields": struct, "optional": True, "field": "before"},
                {"type": "struct", "fields": struct, "optional": True, "field": "after"},
                {"type": "string", "optional": False, "field": "op"},
            ],
        }  # fmt: skip
        return json.dumps({"schema": schema, "payload": body}).encode()

    def _flattened(self, table: str, op: str, before: Row | None, after: Row | None, source: Row) -> bytes:
        added: dict[str, Any] = {}
        for name in self.connector.flatten or ():
            if name == "op":
                added["__op"] = op
            else:
                added["__" + name.replace(".", "_")] = source[name.removeprefix("source.")]
        row = after if after is not None else before
        body = self._message(row or {}, self.types.get(table, {}), added | {"__deleted": str(op == "d").lower()})
        return body

    def _message(self, row: Row, types: Types, added: Row | None = None) -> bytes:
        body = {**(self._row(row, types) or {}), **(added or {})}
        if not self.connector.schemas:
            return json.dumps(body).encode()
        fields = [self._field(name, kind) for name, kind in types.items() if name in body]
        fields += [{"type": "string", "optional": True, "field": name} for name in added or {}]
        schema = {"type": "struct", "fields": fields, "optional": False, "name": "shop.Value"}
        return json.dumps({"schema": schema, "payload": body}).encode()

    def _row(self, row: Row | None, types: Types) -> dict[str, Any] | None:
        if row is None:
            return None
        return {name: self.encode(value, types.get(name, "varchar(255)")) for name, value in row.items()}

    # ------------------------------------------------------------------------------------------------- values

    def encode(self, value: Any, kind: str) -> Any:
        """A value of this type as the connector's JSON has it."""
        if value is None:
            return None
        base, digits = split(kind)
        mode = self.connector
        if base == "decimal":
            if mode.decimal == "string":
                return value
            return float(value) if mode.decimal == "double" else unscaled(value)
        if base == "bigint unsigned":
            return unscaled(str(value)) if mode.bigint == "precise" else signed(value)
        if base in ("date", "datetime", "timestamp", "time"):
            return self._temporal(base, digits, value)
        if "blob" in base or "binary" in base:
            return value.hex() if mode.binary == "hex" else base64.b64encode(value).decode()
        if base == "bit":
            return bool(value) if digits == 1 else base64.b64encode(value.to_bytes(8, "little")).decode()
        return value

    def _temporal(self, base: str, digits: int, value: str) -> Any:
        mode = self.connector.time
        if base == "timestamp":
            return value.replace(" ", "T") + "Z"
        if mode == "isostring":
            return value.replace(" ", "T") + "Z"
        if base == "date":
            return (date.fromisoformat(value) - EPOCH.date()).days
        if base == "datetime":
            micro = (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)
            return micro // 1000 if mode == "connect" or digits <= 3 else micro
        micro = microseconds(value)
        return micro // 1000 if mode == "connect" else micro

    def _field(self, name: str, kind: str) -> dict[str, Any]:
        base, digits = split(kind)
        made: dict[str, Any] = {"type": "string", "optional": True, "field": name}
        mode = self.connector
        if base == "decimal" and mode.decimal != "string":
            if mode.decimal == "double":
                return made | {"type": "double"}
            return made | _logical("bytes", "org.apache.kafka.connect.data.Decimal", scale=digits)
        if base == "bigint unsigned" and mode.bigint == "precise":
            return made | _logical("bytes", "org.apache.kafka.connect.data.Decimal", scale=0)
        if base in ("date", "datetime", "timestamp", "time"):
            return made | self._temporal_field(base, digits)
        if ("blob" in base or "binary" in base) and mode.binary == "bytes":
            return made | {"type": "bytes"}
        if base == "bit":
            return made | ({"type": "boolean"} if digits == 1 else _logical("bytes", "io.debezium.data.Bits", length=8))
        if base in ("double", "float"):
            return made | {"type": base}
        if "int" in base:
            return made | {"type": "int64"}
        return made | ({"type": "int32", "name": "io.debezium.time.Year"} if base == "year" else {})

    def _temporal_field(self, base: str, digits: int) -> dict[str, Any]:
        mode, debezium, connect = self.connector.time, "io.debezium.time.", "org.apache.kafka.connect.data."
        if base == "timestamp":
            return {"type": "string", "name": f"{debezium}ZonedTimestamp"}
        if mode == "isostring":
            name = {"date": "IsoDate", "datetime": "IsoTimestamp", "time": "IsoTime"}[base]
            return {"type": "string", "name": debezium + name}
        if mode == "connect":
            name = {"date": "Date", "datetime": "Timestamp", "time": "Time"}[base]
            return {"type": "int64", "name": connect + name}
        if base == "date":
            return {"type": "int32", "name": f"{debezium}Date"}
        if base == "time":
            return {"type": "int64", "name": f"{debezium}MicroTime"}
        return {"type": "int64", "name": f"{debezium}{'Timestamp' if digits <= 3 else 'MicroTimestamp'}"}


def maxwell(
    table: str, op: str, before: Row | None, after: Row | None, position: tuple[str, int] | None, ts: int,
    types: Types, database: str = "magento",
) -> bytes:  # fmt: skip
    """One change as Maxwell writes it: ``old`` holds what an update changed."""
    data = after if after is not None else before
    assert data is not None
    body: dict[str, Any] = {"database": database, "table": table, "type": op, "ts": ts, "xid": 1, "commit": True}
    if position is not None:
        body |= {"position": f"{position[0]}:{position[1]}", "server_id": 4201}
    body["data"] = {name: _maxwell(value, types.get(name, "varchar(255)")) for name, value in data.items()}
    if op == "update" and before is not None:
        changed = {name: value for name, value in before.items() if data[name] != value}
        body["old"] = {name: _maxwell(value, types.get(name, "varchar(255)")) for name, value in changed.items()}
    text = json.dumps(body)
    return re.sub(r'"\u0001number:([^"]*)"', r"\1", text.replace("\\u0001", "\u0001")).encode()


def _maxwell(value: Any, kind: str) -> Any:
    base, _ = split(kind)
    if value is None:
        return None
    if base == "decimal":
        return f"\u0001number:{value}"  # a JSON number with all its digits, which json.dumps cannot write
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.split(",") if base == "set" else value


def split(kind: str) -> tuple[str, int]:
    """``decimal(20,4)`` → decimal and 4; ``datetime(3)`` → datetime and 3."""
    base = kind.split("(")[0].split(" ")[0] + (" unsigned" if kind == "bigint unsigned" else "")
    found = re.search(r"\((?:\d+,\s*)?(\d+)\)", kind)
    if base == "decimal" and "," not in kind:
        return base, 0
    return base, int(found[1]) if found else 0


def unscaled(text: str) -> str:
    number = int(text.replace(".", ""))
    return base64.b64encode(number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)).decode()


def signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def microseconds(text: str) -> int:
    hours, minutes, seconds = text.lstrip("-").split(":")
    whole, _, fraction = seconds.partition(".")
    total = (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * 1_000_000 + int(fraction.ljust(6, "0") or 0)
    return -total if text.startswith("-") else total


def _logical(form: str, name: str, **parameters: int) -> dict[str, Any]:
    return {"type": form, "name": name, "parameters": {key: str(value) for key, value in parameters.items()}}
