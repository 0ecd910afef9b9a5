"""Requests for tests that call a sink without delivery: nothing waits, and what the answers said is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cdc.errors import SendingStoppedError
from cdc.model import Quota, SyncError
from cdc.protocols import LaterVerdicts, Permit


class FreeRequests:
    """``Requests`` without a quota. ``families``: of each call, in order; ``quotas``: what answers said."""

    def __init__(self) -> None:
        self.families: list[str] = []
        self.quotas: list[Quota] = []

    def answered(self, quota: Quota) -> None:
        """Keep what the headers said."""
        self.quotas.append(quota)

    @asynccontextmanager
    async def permit(self, family: str) -> AsyncIterator[Permit]:
        """At once."""
        self.families.append(family)
        yield self


class RefusedRequests:
    """``Requests`` of a process that may not send."""

    @asynccontextmanager
    async def permit(self, family: str) -> AsyncIterator[Permit]:
        """Never."""
        raise SendingStoppedError("another member leads")
        yield


async def sync_errors_of(sink: LaterVerdicts, progress: str = "") -> tuple[list[SyncError], str]:
    """All verdicts of one poll, each once, and where the next poll goes on."""
    found: dict[tuple[str, int], SyncError] = {}
    while True:
        page = await sink.sync_errors(progress, FreeRequests())
        found.update({(error.external_id, error.errored_at): error for error in page.errors})
        progress = page.progress
        if page.is_last:
            return sorted(found.values(), key=lambda error: error.errored_at), progress
