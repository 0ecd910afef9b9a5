"""What logs and /status show of a receiver's texts."""

from __future__ import annotations

import pytest

from cdc.delivery.public_text import MAX_PUBLIC, public_error, public_text
from cdc.errors import BatchRefusedError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"Aurelia Quill" is no name for the property "firstname"', '<value> is no name for the property "firstname"'),
        ("Contact aurelia@example.com exists", "Contact <email> exists"),
        ("phone +49 30 5550 1234 is too long", "phone <number> is too long"),
        ("400: 2024-13-01x was not a valid date for birth", "400: <value> was not a valid date for birth"),
        ("400: Aurelia Quill was not one of the allowed options: [a]", "400: <value> was not one of the allowed"
         " options: [a]"),
        ('INVALID_EMAIL in "email", "PROPERTY_LOST"', 'INVALID_EMAIL in "email", "PROPERTY_LOST"'),
        ('missing scope "crm.objects.contacts.write"', 'missing scope "crm.objects.contacts.write"'),
        ('cut short: "Aurelia Qu', "cut short: <value>"),
        ("'Elm Road 7' is unknown", "<value> is unknown"),
        ("HubSpot doesn't take it, and won't", "HubSpot doesn't take it, and won't"),
        ("127.0.0.1:8080 answered 503 to the batch", "127.0.0.1:8080 answered 503 to the batch"),
    ],
)  # fmt: skip
def test_values_of_people_are_blanked_and_names_of_properties_stay(text: str, shown: str) -> None:
    """Quoted values, addresses and long numbers go; what tells an operator where to look stays."""
    assert public_text(text) == shown


def test_long_texts_are_cut_and_advice_is_not() -> None:
    """A receiver may write a page; what we advise is always whole."""
    error = BatchRefusedError("x" * 5000, status=400, hint="mend it")
    assert len(public_text(error.message)) == MAX_PUBLIC
    assert public_error(error).endswith("; mend it")
