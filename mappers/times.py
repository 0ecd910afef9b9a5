"""Times and dates in properties: epoch milliseconds as text, and ``YYYY-MM-DD``; zero dates are empty.

Pure. The input is the text that SELECT shows. TIMESTAMP columns come in UTC (cdc.model.Value), and Magento's own
DATETIME columns are in UTC as well (its connections run in +00:00).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from cdc.model import Value

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # compared only with times that are UTC without saying so
_MILLISECOND: Final = timedelta(milliseconds=1)


def epoch_ms(value: Value) -> str:
    """Epoch milliseconds of ``YYYY-MM-DD[ HH:MM:SS[.ffffff]]`` in UTC; "" for NULL and (partly) zero dates."""
    # NULL, or a column that somebody made a number.
    if not isinstance(value, str):
        return ""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # 0000-00-00, 2024-00-10: Magento runs without strict mode, so they can be stored
        return ""
    # A module's text may name a zone; the shop's own columns are UTC, whatever they name.
    if moment.tzinfo is not None:
        moment = moment.replace(tzinfo=None)
    return str((moment - _EPOCH) // _MILLISECOND)


def day(value: Value) -> str:
    """``YYYY-MM-DD`` of a DATE or DATETIME; "" for NULL and (partly) zero dates."""
    if not isinstance(value, str):
        return ""
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        return ""
