"""Says what the image is made of: ``python deploy/sbom.py sbom`` (CycloneDX, JSON) or ``licences`` (a table).

Reads the lock file and the metadata of the packages that are installed in this Python. Ends with 1 if a locked package
that is needed here is not installed, has another version, or names no licence.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.markers import Marker

LOCK = Path(__file__).with_name("requirements.lock")
PROJECT = "magento-cdc"


class Package(NamedTuple):
    """One locked package. ``hashes``: SHA-256 of its files, in hex."""

    name: str
    version: str
    hashes: tuple[str, ...]
    licence: str


def locked(text: str) -> Iterator[Package]:
    """The packages of a lock file that this Python needs. Raises LookupError for what does not fit."""
    for entry in re.split(r"(?m)^(?=\w)", text):
        match = re.match(r"([\w.-]+)==([^\s;\\]+)(?:\s*;\s*([^\\\n]+))?", entry)
        if match is None or (match[3] and not Marker(match[3].strip()).evaluate()):
            continue
        name, version = match[1], match[2]
        try:
            held = distribution(name)
        except PackageNotFoundError:
            raise LookupError(f"{name} {version} is locked and not installed") from None
        if held.version != version:
            raise LookupError(f"{name} {version} is locked, and {held.version} is installed")
        yield Package(name, version, tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)), licence_of(name))


def licence_of(name: str) -> str:
    """The licence as the package names it; LookupError if it names none."""
    held = distribution(name).metadata
    if "License-Expression" in held:
        return held["License-Expression"]
    classifiers = [text.rpartition(" :: ")[2] for text in held.get_all("Classifier") or () if "License" in text]
    named = [text for text in classifiers if text != "OSI Approved"]
    text = held["License"].strip().splitlines() if "License" in held else []
    if named:
        return " AND ".join(named)
    if text:
        return text[0]
    raise LookupError(f"{name} names no licence")


def sbom(packages: list[Package]) -> dict[str, Any]:
    """The list as CycloneDX 1.5."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": PROJECT,
                "version": distribution(PROJECT).version,
                "licenses": [{"expression": licence_of(PROJECT)}],
            }
        },
        "components": [
            {
                "type": "library",
                "name": package.name,
                "version": package.version,
                "purl": f"pkg:pypi/{package.name.lower()}@{package.version}",
                "licenses": [{"license": {"name": package.licence}}],
                "hashes": [{"alg": "SHA-256", "content": one} for one in package.hashes],
            }
            for package in packages
        ],
    }


def main(words: list[str]) -> int:
    """Print what was asked for; the exit code."""
    if words not in (["sbom"], ["licences"]):
        sys.stderr.write("write: python deploy/sbom.py sbom, or: python deploy/sbom.py licences\n")
        return 2
    try:
        packages = [*locked(LOCK.read_text(encoding="utf-8"))]
    except LookupError as error:
        sys.stderr.write(f"{error.args[0]}; install with: pip install --require-hashes -r {LOCK}\n")
        return 1
    if words == ["sbom"]:
        sys.stdout.write(json.dumps(sbom(packages), indent=2) + "\n")
        return 0
    for package in packages:
        sys.stdout.write(f"{package.name} {package.version}\t{package.licence}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
