"""Adobe Commerce's scheduled versions: which of a product's rows is live.

Pure. In Adobe Commerce a product has a row (``row_id``) for each version. A version's number is the epoch second at
which the version begins; 1 is the version without a beginning. A row is live from version ``created_in`` until before
version ``updated_in``. Every minute the shop's cron (``staging_apply_version``) looks for a version that is due, and
writes its number into the flag ``staging``, key ``current_version``. Shop pages choose rows by that number, and so does
this module. So the result depends only on the present rows, and changes at the moment at which the shop changes.
"""

from __future__ import annotations

import re
from typing import Final

from cdc.model import Row, TableSpec, Value
from cdc.protocols import RowReader

FIRST_VERSION: Final = 1

VERSIONS: Final = TableSpec(
    "flag",
    ("flag_id",),
    ("flag_id", "flag_code", "flag_data"),
    indexes=(("flag_code",),),
    reference=True,
    required=False,
    selection="staging",
    kept_by=frozenset({"flag_code"}),
)
"""Adobe Commerce's cron writes into this flag which version of the catalogue is live. Only this flag is kept."""

_FLAG: Final = "staging"
_NUMBER: Final = re.compile(r"\bcurrent_version\W+(?:[is]:)?(?:\d+:)?\W?(\d+)")
"""``"current_version":"1496739600"`` in JSON; ``s:15:"current_version";i:1496739600`` as PHP wrote it before 2.2."""


def is_staging(flag: Row) -> bool:
    """Whether this row of ``flag`` names the live version."""
    return flag.get("flag_code") == _FLAG


def version_in(flag: Row | None) -> int:
    """The live version in a row of ``flag``; 1 if it names none."""
    data = flag.get("flag_data") if flag is not None else None
    found = _NUMBER.search(data) if isinstance(data, str) else None
    return int(found[1]) if found else FIRST_VERSION


def live_version(rows: RowReader) -> int:
    """The version that is live now."""
    flags = rows.find("flag", "flag_code", _FLAG)
    return version_in(flags[-1]) if flags else FIRST_VERSION


def live_row(versions: list[Row], version: int) -> Row | None:
    """The row of a product that is live at this version; None if it only begins later or has ended."""
    live = [row for row in versions if _number(row.get("created_in")) <= version < _number(row.get("updated_in"))]
    return max(live, key=lambda row: (_number(row.get("created_in")), _number(row.get("row_id"))), default=None)


def _number(value: Value) -> int:
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0
