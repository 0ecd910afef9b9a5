"""Whatever HubSpot, or a proxy in its place, answers: bounded values or a typed error, never an end of the daemon."""

from __future__ import annotations

import random

import orjson
import pytest

from tests.fuzz.answers import bridge_answer, crm_answer, http_answer
from tests.fuzz.seeds import ANSWERS
from tests.kit.example_count import example_count
from tests.unit.kafka.test_bad_shapes import mutated

TARGETS = {"http_answer": http_answer, "crm_answer": crm_answer, "bridge_answer": bridge_answer}
NUMBERS = ["9" * 400, "-1", "1e400", "\uff10", "²", str(1 << 63), "Mon, 01 Jan 0001 00:00:00 +2359", "", "\x00"]


@pytest.mark.parametrize("name", TARGETS)
def test_any_answer_is_read_within_bounds(name: str) -> None:
    """Real answers with something else anywhere in body or headers."""
    rng = random.Random(7)
    for _ in range(example_count(1500)):
        head, content = rng.choice(ANSWERS[name])
        body = content if isinstance(content, bytes) else mutated(orjson.dumps(content), rng)
        if rng.random() < 0.3:
            body = body[: rng.randrange(len(body) + 1)]
        lines = [
            f"{line.split(': ')[0]}: {rng.choice(NUMBERS)}" if ": " in line and rng.random() < 0.5 else line
            for line in head.split("\n")
        ]
        TARGETS[name]("\n".join(lines).encode() + b"\n\n" + body)
