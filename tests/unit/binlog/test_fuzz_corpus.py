"""What fuzzing found worth keeping still holds: the corpus, without the fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.binlog.schema.query import Kind, read_statement
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
MOST_BYTES = 300_000


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_holds(name: str) -> None:
    """Each ends with a result or a typed error; where two ways of reading exist, they agree."""
    inputs = sorted((CORPUS / name).iterdir())
    assert inputs
    for path in inputs:
        TARGETS[name](path.read_bytes())


def test_the_corpus_stays_small() -> None:
    """It is downloaded with every clone."""
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MOST_BYTES


@pytest.mark.parametrize("repeated", ["EXCHANGE TABLE ", "RENAME a ", "'\\", '"\\', "/* ", "`", "' \" ` "])
def test_a_statement_that_repeats_itself_is_read_in_time(repeated: str) -> None:
    """60 KB of what opens and never closes are looked at once, not once per opening (that took a minute)."""
    kind = read_statement("shop", b"ALTER TABLE things " + repeated.encode() * 10_000).kind
    assert kind in (Kind.DEFINITION, Kind.UNCLEAR)
