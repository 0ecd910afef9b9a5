"""The tables of the documents that are made from the sources."""

from __future__ import annotations

from pathlib import Path

from cdc.web import catalogue
from cdc.web.catalogue import Meaning

BEGIN = "<!-- written by: python -m tests.write_docs -->\n"
END = "<!-- end -->"


def metrics_table() -> str:
    """Every metric as a row: name with its labels, kind, meaning."""
    kinds: dict[str, list[tuple[str, Meaning]]] = {
        "counter": [*catalogue.COUNTERS.items()],
        "gauge": [*catalogue.GAUGES.items()],
        "histogram": [*catalogue.HISTOGRAMS.items()],
    }
    lines = ["| metric | kind | meaning |", "|---|---|---|"]
    for kind, metrics in kinds.items():
        for name, meaning in metrics:
            labels = f" ({', '.join(meaning.labels)})" if meaning.labels else ""
            lines.append(f"| `{catalogue.PREFIX}{name}`{labels} | {kind} | {meaning.text} |")
    return "\n".join(lines) + "\n"


def with_tables(document: Path) -> str:
    """The document's text with its table written anew. ValueError if it has no place for the table."""
    text = document.read_text(encoding="utf-8")
    start = text.index(BEGIN) + len(BEGIN)
    return f"{text[:start]}{metrics_table()}{text[text.index(END, start) :]}"
