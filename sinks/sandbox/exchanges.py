"""Bodies of requests and answers as the request log keeps them."""

from __future__ import annotations

from typing import Final

KEPT_BYTES: Final = 40_000
"""Bytes of a body that are kept for the page; the rest is left out."""


def shortened(body: bytes) -> str:
    """A body for the page."""
    text = body[:KEPT_BYTES].decode("utf-8", "replace")
    return text if len(body) <= KEPT_BYTES else f"{text}\n… {len(body) - KEPT_BYTES:,} more bytes"
