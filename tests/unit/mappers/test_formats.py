"""The types of the shop's own columns: what each makes of good, empty and odd values."""

from __future__ import annotations

import pytest

from cdc.model import Value
from cdc.settings.mapping_columns import PropertyType
from mappers.formats import FORMATS

GOOD: list[tuple[str, Value, str, str]] = [
    ("text", "  a\tb ", "", "a b"),
    ("text", b"caf\xc3\xa9", "", "café"),
    ("text", 7, "", "7"),
    ("text", "0000-00-00 00:00:00", "", ""),
    ("text", "0000-00-00 is a note", "", "0000-00-00 is a note"),
    ("number", "2.5000", "", "2.5"),
    ("number", " 3 ", "", "3"),
    ("number", 12.5, "", "12.5"),
    ("money", "59.9000", "", "59.90"),
    ("date", "2026-03-01", "", "2026-03-01"),
    ("date", "2026-03-01 23:30:00", "", "2026-03-01"),
    ("date", "2026-03-01T23:30:00.000Z", "", "2026-03-01"),
    ("date", "01/03/2026", "%d/%m/%Y", "2026-03-01"),
    ("date", "0000-00-00", "", ""),
    ("date", "0000-00-00 00:00:00", "%d/%m/%Y", ""),
    ("date", "2026-00-10", "", ""),
    ("date", "2026-03-00 10:00:00", "", ""),
    ("datetime", "2026-03-01 00:00:01", "", "1772323201000"),
    ("datetime", "2026-03-01 00:00:01.25", "", "1772323201250"),
    ("datetime", "2026-03-01T01:00:01+01:00", "", "1772323201000"),
    ("datetime", "2026-03-01", "", "1772323200000"),
    ("datetime", "1 Mar 2026", "%d %b %Y", "1772323200000"),
    ("datetime", "0000-00-00 00:00:00", "", ""),
    ("bool", 1, "", "true"),
    ("bool", 0, "", "false"),
    ("bool", "Yes", "", "true"),
    ("bool", "off", "", "false"),
    ("minutes", 0, "", "00:00"),
    ("minutes", 570, "", "09:30"),
    ("minutes", "1080", "", "18:00"),
    ("minutes", 1440, "", "24:00"),
]
ODD: list[tuple[str, Value, str]] = [
    ("number", "3 pieces", ""),
    ("money", "NaN", ""),
    ("money", b"\xff", ""),
    ("date", "tomorrow", ""),
    ("date", "2026-02-30", ""),
    ("date", "2026-03-01x", ""),
    ("date", "2026-03-01", "%d/%m/%Y"),
    ("datetime", "25:00", ""),
    ("datetime", "2026-03-01 10:00", "%d/%m/%Y"),
    ("bool", "maybe", ""),
    ("bool", 2, ""),
    ("minutes", 1441, ""),
    ("minutes", -1, ""),
    ("minutes", "09:30", ""),
]


@pytest.mark.parametrize(("kind", "value", "form", "expected"), GOOD)
def test_a_value_of_its_type(kind: str, value: Value, form: str, expected: str) -> None:
    """Each type makes the text that HubSpot takes; zero dates, also partly zero ones, are empty."""
    assert FORMATS[PropertyType(kind)](value, form) == expected


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_is_empty(kind: PropertyType, value: Value) -> None:
    """NULL and blank text have no value, whatever the type."""
    assert FORMATS[kind](value, "") == ""


@pytest.mark.parametrize(("kind", "value", "form"), ODD)
def test_a_value_that_does_not_fit_is_told_without_showing_it(kind: str, value: Value, form: str) -> None:
    """The fault says what is wrong; it goes into the log, so the value is not in it."""
    with pytest.raises(ValueError, match=r"^is n") as fault:
        FORMATS[PropertyType(kind)](value, form)
    assert str(value) not in str(fault.value)
