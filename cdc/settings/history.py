"""The settings of ``[history]``: what of the shop's history is read and sent, and how fast."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import Field

from cdc.settings.section import SettingsSection


class HistorySettings(SettingsSection):
    """The first load."""

    send: Literal["all", "none"] | date = Field(
        "all",
        description="what of the shop's history is sent. all; none; or a date: orders placed since (UTC), with the"
        " customers and products they refer to. What is withheld goes when it changes, or when an order that goes"
        " refers to it",
    )
    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = Field(2000, description="rows a chunk")

    @property
    def withheld_before_ms(self) -> float | None:
        """Orders placed before this moment are withheld, epoch milliseconds; infinite: all; None: nothing is."""
        if isinstance(self.send, date):
            return datetime(self.send.year, self.send.month, self.send.day, tzinfo=UTC).timestamp() * 1000
        return math.inf if self.send == "none" else None
