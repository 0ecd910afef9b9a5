"""Who an order belongs to."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.model import Kind, ObjectRef, Value, parse_external_id
from mappers.guests import address_of, contact_of, guest_id

ANN = hashlib.sha256(b"ann@example.com").hexdigest()[:24]


@pytest.mark.parametrize("email", ["ann@example.com", " Ann@Example.COM ", "ANN@EXAMPLE.COM\n"])
def test_guest_id_ignores_case_and_spaces(email: str) -> None:
    """A guest's id is the first 24 hex digits of SHA-256 of the lower-cased, trimmed email."""
    assert guest_id(email) == ANN == "71d4f55f72fa128dfb468a1a"


@pytest.mark.parametrize("email", [None, "", "  "])
def test_no_email_is_no_guest(email: Value) -> None:
    """Without an email there is nobody to know a guest by."""
    assert guest_id(email) is None


@given(st.text())
def test_guest_id_is_an_external_id(email: str) -> None:
    """Whatever is stored as email gives an id that external ids take, or none."""
    identity = guest_id(email)
    if identity is None:
        assert not address_of(email)
        return

    assert re.fullmatch("[0-9a-f]{24}", identity)
    ref = ObjectRef(Kind.GUEST, identity)
    assert parse_external_id(ref.external_id("magento"), "magento") == ref
    assert guest_id(email.strip()) == identity


@pytest.mark.parametrize(
    ("columns", "deleted_are_guests", "contact"),
    [
        pytest.param({"customer_id": 7, "customer_is_guest": 0}, False, ObjectRef(Kind.CUSTOMER, 7), id="customer"),
        pytest.param({"customer_id": 7, "customer_is_guest": 1}, False, ObjectRef(Kind.CUSTOMER, 7), id="adopted"),
        pytest.param({"customer_id": None, "customer_is_guest": 1}, False, ObjectRef(Kind.GUEST, ANN), id="guest"),
        pytest.param({"customer_id": 0, "customer_is_guest": 1}, False, ObjectRef(Kind.GUEST, ANN), id="zero is none"),
        pytest.param({"customer_id": None, "customer_is_guest": 0}, False, None, id="deleted customer, drop"),
        pytest.param({"customer_is_guest": 0}, True, ObjectRef(Kind.GUEST, ANN), id="deleted customer, guest"),
        pytest.param({"customer_is_guest": 1, "customer_email": None}, False, None, id="no email"),
    ],
)
def test_contact_of_an_order(columns: dict[str, Value], deleted_are_guests: bool, contact: ObjectRef | None) -> None:
    """A customer's by id, a guest's by email, a deleted customer's as the setting says, nobody's without an email."""
    order: dict[str, Value] = {"customer_email": "Ann@example.com", **columns}

    assert contact_of(order, deleted_are_guests=deleted_are_guests) == contact
