"""Checks before the start that the shop has the codes that the mapping names: websites, store views, groups, states,
types.

A code that no row has is a typing error. A filter with a typing error leaves out objects that it should keep.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import pymysql

from cdc.model import CheckResult
from cdc.settings.shop_codes import NamedCodes
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, is_connection_lost, quoted, rows

_SHOWN = 8


def missing_codes(
    connection: Connection, settings: SourceSettings, named: Sequence[NamedCodes]
) -> Iterator[CheckResult]:
    """One finding per code that the shop does not have; one finding that says so when the shop has all of them."""
    faults = 0
    for one in named:
        held: set[str] = set(one.built_in)
        unread = ""
        for table, column in one.places:
            codes = _codes(connection, settings, table, column)
            if codes is None:
                unread = settings.table_prefix + table
            else:
                held |= codes
        for code in one.values:
            if code in held:
                continue
            faults += 1
            yield _unreadable(one, code, unread) if unread else _missing(one, code, held)
    if named and not faults:
        yield CheckResult("codes", True, f"the shop has all that {', '.join(one.setting for one in named)} name")


def _codes(connection: Connection, settings: SourceSettings, table: str, column: str) -> set[str] | None:
    """The codes in a column, in the form that renderers see; None where the table is missing or may not be read."""
    place = f"{quoted(settings.database)}.{quoted(settings.table_prefix + table)}"
    try:
        found = rows(connection, f"SELECT DISTINCT {quoted(column)} FROM {place}")
    except pymysql.err.Error as error:
        if is_connection_lost(error):
            raise
        return None
    return {str(code).strip() for (code,) in found if code is not None}


def _missing(one: NamedCodes, code: str, held: set[str]) -> CheckResult:
    text = f"{one.setting} names {code!r}, and the shop has no {one.what} of that code"
    lower = {known.lower(): known for known in held}
    close = difflib.get_close_matches(code.lower(), lower, n=1)
    shown = ", ".join(sorted(held)[:_SHOWN]) + (" ..." if len(held) > _SHOWN else "")
    fix = f"did you mean {lower[close[0]]!r}?" if close else f"the shop has {shown or 'none'}"
    return CheckResult(
        "codes", False, text, f"{fix} correct {one.setting}" if close else f"{fix}; correct {one.setting}"
    )


def _unreadable(one: NamedCodes, code: str, table: str) -> CheckResult:
    text = f"{one.setting} names {code!r}, and table {table!r}, which lists the codes, cannot be read"
    return CheckResult("codes", True, text, f"let the user read {table}, and check again", warning=True)
