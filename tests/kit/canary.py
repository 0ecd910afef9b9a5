"""Marks of invented people and of secrets, and where they must never be seen: logs, errors, metrics, status, pages,
answers of commands, whatever a run leaves in its folder, and the state once a person is deleted.

Every shopper of the kit has a surname, an address and a telephone number from closed lists (tests/kit/shop/people.py),
and every key and password of the rigs is one of ``SECRETS``. So whatever a run wrote can be searched for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
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
_ESCAPED: Final = re.compile(r"\\u(00[0-9a-f]{2})")
"""A letter in JSON that escapes letters."""

_PEOPLE_LIVE_IN: Final = re.compile(r"(?:^|/)state(?:/|$)|\.sqlite3(?:-\w+)?$|\.jsonl$|\.\d{6}$")
"""Paths of a run's folder that hold people's values by their nature: states, messages in a file, copied log files."""

_SHOPPER: Final = re.compile(rb"shopper\d+\.[0-9a-f]{8}@example\.com")
"""An address that ``invent`` made: no two people of a shop have the same."""

_AT_ONCE: Final = 16 << 20
"""Bytes of a file that are searched at once."""

TRACEBACK: Final = "Traceback (most recent call last)"

CONTEXT: Final = 60
"""Characters around a mark that are shown, so that the line is found."""


def leaks(text: str) -> list[str]:
    """Each mark found in ``text`` as ``kind: … context …``; empty if there is none."""
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
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


def assert_no_secret(text: str, where: str) -> None:
    """AssertionError if ``text``, which may name people, holds a key or a password."""
    found = [one for one in leaks(text) if one.startswith("secret:")]
    assert not found, f"{where} shows {len(found)} secrets:\n" + "\n".join(found[:5])


def assert_folder_tells_nothing(folder: Path) -> None:
    """AssertionError if a file of a run's folder shows what it must not.

    Settings files are not looked at: the rig wrote the keys into them. States and files of messages hold people, and
    no secret. Everything else (logs, reports, core files, copies) holds neither.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or path.suffix == ".toml":
            continue
        search = assert_no_secret if _PEOPLE_LIVE_IN.search(name) else assert_no_leak
        for part in _parts(path):
            search(part.decode("utf-8", "replace"), name)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_AT_ONCE):
            yield part


def assert_forgotten(state: Path, living: Collection[str]) -> None:
    """AssertionError if a file of the state holds the address of a person whom the shop does not have any more.

    ``living``: all addresses of the shop. To be asked of a state that was closed behind the last deletion.
    """
    known = {address.encode() for address in living}
    for path in sorted(state.iterdir()):
        held = {found for part in _parts(path) for found in _SHOPPER.findall(part)} if path.is_file() else set()
        assert held <= known, f"{path.name} holds {len(held - known)} addresses of deleted people"
