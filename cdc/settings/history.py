"""The settings of ``[history]``: which part of the shop's history is read and sent, and how fast."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cdc.settings.read_from import ReadFromSettings
from cdc.settings.section import Port, SettingsSection


class HistorySettings(SettingsSection):
    """The first load."""

    send: Literal["all", "none"] | date = Field(
        "all",
        description="what of the shop's history is sent. all; none; or a date: orders placed since (UTC), with the"
        " customers and products they refer to. A withheld object is sent when it changes, or when an order that is"
        " sent refers to it",
    )
    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = Field(
        2000,
        description="rows of a table's first chunk; later chunks follow chunk_s, and have 2,000 rows or these at most",
    )
    chunk_s: Annotated[float, Field(ge=0)] = Field(
        0.5, description="time that reading a chunk is to take, seconds; 0: all chunks have chunk_rows"
    )
    statement_timeout_s: Annotated[float, Field(ge=0)] = Field(
        60.0,
        description="the server ends a SELECT of the load after this, and a smaller one follows, seconds; 0: never",
    )
    max_threads_running: Annotated[int, Field(ge=0)] = Field(
        0, description="read no chunk while the server has more running threads than this (Threads_running); 0: any"
    )
    max_replica_lag_s: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="read no chunk while the replica at replica_host is further behind than this, or does not"
        " replicate, seconds; 0: any",
    )
    replica_host: str = Field(
        "", description="a replica of the shop's server, asked with the login and tls of [source]"
    )
    replica_port: Port = Field(3306, description="its port")
    read_from: ReadFromSettings = ReadFromSettings()

    @model_validator(mode="after")
    def _lag_has_a_replica(self) -> HistorySettings:
        # Half of the pair would have no effect, and nothing would say so.
        if self.max_replica_lag_s and not self.replica_host:
            raise ValueError("max_replica_lag_s needs replica_host, the replica whose lag is asked for")
        if self.replica_host and not self.max_replica_lag_s:
            raise ValueError("replica_host needs max_replica_lag_s, the lag that is allowed")
        return self

    @property
    def withheld_before_ms(self) -> float | None:
        """Orders placed before this time are withheld, epoch milliseconds; infinite: all orders; None: no orders."""
        if isinstance(self.send, date):
            return datetime(self.send.year, self.send.month, self.send.day, tzinfo=UTC).timestamp() * 1000
        return math.inf if self.send == "none" else None
