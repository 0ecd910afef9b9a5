"""Every error type that HubSpot documents has its advice, and delivery does what the advice says."""

from __future__ import annotations

import pytest

from cdc.model import Scope
from sinks.bridge.error_types import ADVICE, UNDOCUMENTED, says_no_record, scope_of
from sinks.bridge.wire import FormV1, read_error

V1 = [
    "UNKNOWN_ERROR",
    "INACTIVE_PORTAL",
    "NO_SYNC_SETTINGS",
    "SETTINGS_NOT_ENABLED",
    "BAD_SETTINGS",
    "EMPTY_MESSAGE",
    "NO_MAPPINGS_DEFINED",
    "MISSING_REQUIRED_PROPERTY",
    "NO_PROPERTIES_DEFINED",
    "NO_DEFINED_PROPERTIES",
    "INVALID_ASSOCIATION_PROPERTY",
    "MISSING_ASSOCIATED_OBJECT",
    "INVALID_DEAL_STAGE",
    "INVALID_EMAIL_ADDRESS",
    "PORTAL_NOT_SYNC_ENABLED",
    "CREATE_FAIL_NO_INFO",
    "UPDATE_FAIL_NO_INFO",
    "DELETE_FAIL_NO_INFO",
    "INVALID_ENUM_PROPERTY",
    "ERROR_INVALID_DATE_PROPERTY",
]
V2 = [
    "INACTIVE_PORTAL",
    "NO_SYNC_SETTINGS",
    "SETTINGS_NOT_ENABLED",
    "NO_MAPPINGS_DEFINED",
    "MISSING_REQUIRED_PROPERTY",
    "NO_PROPERTIES_DEFINED",
    "INVALID_ASSOCIATION_PROPERTY",
    "INVALID_DEAL_STAGE",
    "INVALID_EMAIL_ADDRESS",
    "INVALID_ENUM_PROPERTY",
    "UNKNOWN_ERROR",
]


def test_the_table_is_the_documented_list() -> None:
    """No type of either version is missing, none is invented, and one entry stands for all that is not documented."""
    assert set(ADVICE) == {*V1, *V2, UNDOCUMENTED}


@pytest.mark.parametrize("kind", V1)
def test_each_advice_names_a_step_that_fits_what_delivery_does(kind: str) -> None:
    """What waits for a parent or the account is sent again by itself, and the advice says so; the rest names a step."""
    words = ("retry", "push", "sends it again", "sent again", "drop")
    assert any(word in ADVICE[kind] for word in words)
    scope = scope_of(kind)
    assert ("sent again by itself once" in ADVICE[kind]) == (scope is Scope.PARENT)
    if scope is Scope.ACCOUNT:
        assert "by itself" in ADVICE[kind]
        assert "deadletter" not in ADVICE[kind]


def test_what_is_treated_otherwise_is_documented() -> None:
    """Every type that blames a parent or the account, or says that there is no record, is HubSpot's own."""
    special = {kind for kind in (*V1, "SOMETHING_NEW") if scope_of(kind) is not Scope.MESSAGE or says_no_record(kind)}
    assert len(special) == 6 + 2 + 3
    assert special <= set(V1)


def test_an_undocumented_type_is_kept_in_the_detail_only() -> None:
    """Reasons and metrics know the closed list; the detail says what HubSpot said."""
    record = {"objectType": "CONTACT", "integratorObjectId": "a", "errorTimestamp": 1, "type": "NEW", "details": "why"}
    error = read_error(FormV1({}), record)
    assert error is not None
    assert (error.kind, error.detail) == (UNDOCUMENTED, "NEW: why")
    assert "retry or drop" in ADVICE[error.kind]
