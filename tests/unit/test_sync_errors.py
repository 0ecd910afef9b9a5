"""Every error type that HubSpot documents has its advice, and the engine waits for parents exactly where it says so."""

from __future__ import annotations

import pytest

from cdc.delivery.sync_error_poller import ASSOCIATION_KINDS
from cdc.sync_errors import ACCOUNT_WIDE, ADVICE, NO_RECORD, advice_for

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
    """No type of either version is missing, and none is invented."""
    assert set(ADVICE) == {*V1, *V2}


@pytest.mark.parametrize("kind", V1)
def test_each_advice_names_a_step(kind: str) -> None:
    """It says what to do, and the waiting kinds are the engine's."""
    words = ("retry", "push", "sends it again", "sent again", "drop")
    assert any(word in ADVICE[kind] for word in words)
    assert ("sent again by itself once" in ADVICE[kind]) == (kind in ASSOCIATION_KINDS)


def test_the_kinds_that_are_treated_otherwise_are_documented() -> None:
    """Each stands in the table, and the advice for the account's own does not ask to retry dead letters."""
    assert set(ADVICE) > ACCOUNT_WIDE | NO_RECORD | ASSOCIATION_KINDS
    assert all("by itself" in ADVICE[kind] and "deadletter" not in ADVICE[kind] for kind in ACCOUNT_WIDE)


def test_an_undocumented_type_has_advice_only_if_the_bridge_gave_it() -> None:
    """Reasons of our own are explained where they arise."""
    assert "retry or drop" in advice_for("SOMETHING_NEW", judged_later=True)
    assert advice_for("render", judged_later=False) == ""
