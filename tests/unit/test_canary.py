"""The search for values of people and for secrets can find them."""

from __future__ import annotations

import json
import random

import pytest

from tests.kit.canary import API_KEY, assert_no_leak, leaks
from tests.kit.shop.people import invent


@pytest.mark.parametrize("field", ["email", "telephone", "lastname", "street"])
def test_each_mark_of_a_person_is_found(field: str) -> None:
    """Whatever the kit invents of a shopper is recognised in a log line, escaped letters included."""
    for number in range(200):
        value = getattr(invent(random.Random(number), number), field)
        assert leaks(json.dumps({"event": "x", "text": value})), value


def test_a_secret_is_found() -> None:
    """A key in a text is an assertion that says where."""
    with pytest.raises(AssertionError, match="the log shows 1 values"):
        assert_no_leak(f"GET /x?hapikey={API_KEY}", "the log")


def test_ordinary_lines_are_no_leak() -> None:
    """Ids, times and words of ours are nobody's values."""
    assert_no_leak('{"event": "dead_letter", "object": "customer-7", "reason": "refused"}', "the log")
