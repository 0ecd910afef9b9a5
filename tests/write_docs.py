"""Writes the tables of the documents that are made from the sources: ``python -m tests.write_docs``."""

from __future__ import annotations

from pathlib import Path

from tests.kit.doc_tables import with_tables

OPERATE = Path(__file__).resolve().parents[1] / "docs" / "operate.md"


def main() -> None:
    """Write the table of metrics."""
    OPERATE.write_text(with_tables(OPERATE), encoding="utf-8")


if __name__ == "__main__":
    main()
