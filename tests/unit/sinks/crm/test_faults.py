"""HubSpot's error objects, in every form that was seen, become one of a closed list of kinds without any value."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.crm.faults import Fault, FaultKind, read_fault, record_id_of


def values_error(*items: dict[str, str]) -> dict[str, Any]:
    """A validation error whose details are JSON inside the text."""
    return {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": f"Property values were not valid: {orjson.dumps(list(items)).decode()}",
    }


TAKEN = "Cannot set PropertyValueCoordinates{portalId=1, objectTypeId=ObjectTypeId{0-7}, propertyName=hs_sku, "


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            {"category": "CONFLICT", "message": "Contact already exists.", "context": {"existingId": ["123"]}},
            Fault(FaultKind.CONFLICT, "CONFLICT", (), "123"),
            id="partial success: the id stands in the context",
        ),
        pytest.param(
            {"category": "CONFLICT", "message": "Contact already exists. Existing ID: 123"},
            Fault(FaultKind.CONFLICT, "CONFLICT", (), "123"),
            id="whole call: the id stands in the text",
        ),
        pytest.param(
            {"category": "CONFLICT", "message": "Contact already exists."},
            Fault(FaultKind.CONFLICT, "CONFLICT", (), ""),
            id="whole call without the id",
        ),
        pytest.param(
            {
                "error": "CONTACT_EXISTS",
                "category": "OBJECT_ALREADY_EXISTS",
                "identityProfile": {"vid": 123},
                "errors": [{"message": "Contact already exists", "in": "email"}],
            },
            Fault(FaultKind.CONFLICT, "CONTACT_EXISTS", ("email",), "123"),
            id="whole call with an identity profile",
        ),
        pytest.param(
            {"category": "VALIDATION_ERROR", "message": f"{TAKEN}value=[MUG]}} on 9. 123 already has that value."},
            Fault(FaultKind.CONFLICT, "VALIDATION_ERROR", ("hs_sku",), "123"),
            id="unique value, coordinates in the text",
        ),
        pytest.param(
            {"errorType": "UNIQUE_VALUE_CONFLICT", "errorTokens": {"existingObjectId": ["123"]}},
            Fault(FaultKind.CONFLICT, "UNIQUE_VALUE_CONFLICT", (), "123"),
            id="older unique value conflict",
        ),
        pytest.param(
            values_error({"isValid": "false", "error": "CONFLICTING_UNIQUE_VALUE", "name": "magento_key"}),
            Fault(FaultKind.CONFLICT, "CONFLICTING_UNIQUE_VALUE", ("magento_key",), ""),
            id="unique value inside the message's JSON",
        ),
        pytest.param(
            {"category": "OBJECT_NOT_FOUND", "message": "Could not get some CONTACT", "context": {"ids": ["1"]}},
            Fault(FaultKind.NOT_FOUND, "OBJECT_NOT_FOUND"),
            id="missing record",
        ),
        pytest.param(
            values_error({"error": "PROPERTY_DOESNT_EXIST", "name": "magento_stage"}),
            Fault(FaultKind.UNKNOWN_PROPERTY, "PROPERTY_DOESNT_EXIST", ("magento_stage",)),
            id="unknown property",
        ),
        pytest.param(
            {
                "category": "VALIDATION_ERROR",
                "errors": [{"code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["a", "b"]}}],
            },
            Fault(FaultKind.UNKNOWN_PROPERTY, "PROPERTY_DOESNT_EXIST", ("a", "b")),
            id="unknown properties in errors",
        ),
        pytest.param(
            {"category": "VALIDATION_ERROR", "errors": [{"code": "READ_ONLY_VALUE", "in": "hs_object_id"}]},
            Fault(FaultKind.READ_ONLY, "READ_ONLY_VALUE", ("hs_object_id",)),
            id="read only",
        ),
        pytest.param(
            {"category": "VALIDATION_ERROR", "errors": [{"code": "READ_ONLY_VALUE"}]},
            Fault(FaultKind.INVALID, "READ_ONLY_VALUE"),
            id="read only without a name: nothing to leave out",
        ),
        pytest.param(
            {"category": "VALIDATION_ERROR", "message": "Unable to perform update/upsert by non-unique 0-3 property x"},
            Fault(FaultKind.NOT_UNIQUE, "VALIDATION_ERROR"),
            id="id property that is not unique",
        ),
        pytest.param(
            values_error({"error": "INVALID_EMAIL", "name": "email", "message": "Email address x is invalid"}),
            Fault(FaultKind.INVALID, "INVALID_EMAIL", ("email",)),
            id="bad address",
        ),
        pytest.param(
            {
                "category": "VALIDATION_ERROR",
                "errors": [{"code": "MISSING_REQUIRED_PROPERTY", "context": {"propertyName": ["jobtitle"]}}],
            },
            Fault(FaultKind.INVALID, "MISSING_REQUIRED_PROPERTY", ("jobtitle",)),
            id="rule of the create form",
        ),
        pytest.param(
            {"category": "VALIDATION_ERROR", "subCategory": "crm.associations.INVALID_IDENTIFIER"},
            Fault(FaultKind.BAD_LINK, "INVALID_IDENTIFIER"),
            id="association with an unknown record",
        ),
        pytest.param({"category": "RATE_LIMITS"}, Fault(FaultKind.LATER, "RATE_LIMITS"), id="limit"),
        pytest.param({"category": "MISSING_SCOPES"}, Fault(FaultKind.SCOPES, "MISSING_SCOPES"), id="scope"),
        pytest.param({"category": "BRAND_NEW"}, Fault(FaultKind.UNCLEAR, "BRAND_NEW"), id="unheard of"),
        pytest.param({}, Fault(FaultKind.UNCLEAR), id="nothing at all"),
    ],
)
def test_each_form_that_was_seen_is_understood(error: dict[str, Any], expected: Fault) -> None:
    """Facts recorded by others on live accounts; every member of an error may be missing."""
    assert read_fault(error) == expected


def test_a_404_without_a_category_is_not_found() -> None:
    """HubSpot's second body of 404 has only a text."""
    assert read_fault({"message": "resource not found"}, 404).kind is FaultKind.NOT_FOUND


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "\uff11\uff12", "9" * 21, "a", None, True, [], 0])
def test_what_is_no_record_id_is_none(value: object) -> None:
    """Ids are digits of a bounded length; anything else is no id."""
    assert record_id_of(value) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)
MEMBERS = st.sampled_from(
    ["category", "subCategory", "message", "context", "errors", "identityProfile", "errorTokens", "error", "errorType"]
)


@given(st.dictionaries(MEMBERS, JSON))
def test_no_body_breaks_the_parser_or_gets_its_texts_through(error: dict[str, Any]) -> None:
    """Whatever comes from outside is read without an exception, and codes and names keep their form and bounds."""
    fault = read_fault(error)
    assert len(fault.text) < 3000
    assert all(letter.isascii() and letter.isprintable() for letter in fault.text)
    assert fault.existing_id == "" or fault.existing_id.isdecimal()
