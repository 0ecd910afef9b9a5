"""Check what the sandbox recorded against HubSpot's published OpenAPI files.

``python -m tests.openapi FOLDER FILE…``: FOLDER has the files of HubSpot's repository of API specifications (at any
depth), each FILE is what ``magento-cdc sandbox --record FILE`` or a test run with ``SANDBOX_RECORD=FILE`` wrote. Ends
with 0 if everything fits or is a deviation on purpose, 1 if not, 2 if there is nothing to check.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.openapi.deviations import DEVIATIONS, Deviation
from tests.openapi.files import VERSION, Exchange, check, read_exchanges, read_files


def main(arguments: list[str]) -> int:
    """Check and print. The exit code."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        operations = read_files(Path(arguments[0]))
        exchanges = [item for name in arguments[1:] for item in read_exchanges(Path(name))]
    except (OSError, ValueError, KeyError) as error:
        print(f"openapi: {error}", file=sys.stderr)
        return 2
    dated = [item for item in exchanges if f"/{VERSION}/" in item.path]
    if not dated:
        print(f"openapi: {len(exchanges)} exchanges, none of {VERSION}", file=sys.stderr)
        return 2
    meant: Counter[Deviation] = Counter()
    wrong: Counter[str] = Counter()
    for item in dated:
        for problem in check(item, operations):
            known = next((one for one in DEVIATIONS if one.fits(problem, item.path, item.status)), None)
            if known is not None:
                meant[known] += 1
            else:
                wrong[f"{item.method} {_place(item)} {item.status}: {problem}"] += 1
    _report(len(dated), len(exchanges) - len(dated), meant, wrong)
    return 1 if wrong else 0


def _place(item: Exchange) -> str:
    """The path without ids, so that equal problems count together."""
    return "/".join("{id}" if part.isdecimal() else part for part in item.path.split("/"))


def _report(count: int, others: int, meant: Counter[Deviation], wrong: Counter[str]) -> None:
    print(f"{count} exchanges of {VERSION} checked, {others} of other versions left out")
    for one in DEVIATIONS:
        print(f"on purpose, {meant[one]} times: {one.pattern}\n    {one.reason}")
    for text, times in wrong.most_common():
        print(f"WRONG, {times} times: {text}")
    print(f"{sum(wrong.values())} problems" if wrong else "everything else fits")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
