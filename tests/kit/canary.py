"""Marks of invented people and of secrets, and where they must never be seen: logs, errors, metrics, status, pages.

Every shopper of the kit has a surname, an address and a telephone number from closed lists (tests/kit/shop/people.py),
and every key and password of the rigs is one of ``SECRETS``. So whatever a run wrote can be searched for all of them.
"""

from __future__ import annotations

import re
from typing import Final

from tests.kit.shop.people import LAST_NAMES, STREETS

API_KEY: Final = "canary-key-5e7d19"
PASSWORD: Final = "a secret of the tests"
SECRETS: Final = (API_KEY, PASSWORD)

_MARKS: Final = {
    "email": re.compile(r"[\w.+-]+@example\.(?:com|net|org)"),
    "telephone": re.compile(r"\+00 555 \d{4}"),
    "surname": re.compile("|".join(map(re.escape, LAST_NAMES))),
    "street": re.compile(rf"(?:{'|'.join(map(re.escape, STREETS))}) \d"),
    "secret": re.compile("|".join(map(re.escape, SECRETS))),
}
CONTEXT: Final = 60
"""Characters around a mark that are shown, so that the line is found."""


def leaks(text: str) -> list[str]:
    """Each mark found in ``text`` as ``kind: … context …``; empty if there is none."""
    text = text.encode().decode("unicode_escape") if "\\u00" in text else text  # JSON that escapes letters
    found = []
    for kind, pattern in _MARKS.items():
        for match in pattern.finditer(text):
            around = text[max(0, match.start() - CONTEXT) : match.end() + CONTEXT].replace("\n", " ")
            found.append(f"{kind}: … {around} …")
    return found


def assert_no_leak(text: str, where: str) -> None:
    """AssertionError with the first marks, if ``text`` (of ``where``) holds any."""
    found = leaks(text)
    assert not found, f"{where} shows {len(found)} values of people or secrets:\n" + "\n".join(found[:5])
