"""What the sandbox's later step makes of a message: HubSpot's documented error types, one rule each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdc.model import ObjectType
from sinks.bridge.mapping import default_settings
from sinks.sandbox.validation import Verdict, validate
from sinks.sandbox.wire import Accepted, SyncSettings
from sinks.sandbox.wire_v1 import read_settings

SETTINGS = read_settings(default_settings())
GOOD: dict[ObjectType, dict[str, str]] = {
    ObjectType.CONTACT: {"email": "ann@example.com"},
    ObjectType.PRODUCT: {"name": "Yoga mat"},
    ObjectType.DEAL: {"name": "#1", "stage": "processed", "hs_assoc__contact_ids": "c"},
    ObjectType.LINE_ITEM: {"hs_assoc__deal_id": "d", "hs_assoc__product_id": "p"},
}


def verdict(
    object_type: ObjectType,
    properties: dict[str, str],
    *,
    action: str = "UPSERT",
    settings: SyncSettings | None = SETTINGS,
    installed: bool = True,
    held: dict[str, str] | None = None,
    is_there: Callable[[ObjectType, str], bool] = lambda kind, external_id: True,
) -> Verdict:
    """SyncErrorPoller one message with everything else in order."""
    message = Accepted(1, object_type, "x-1", action, 1_700_000_000_000, properties, 0)
    return validate(message, settings, installed=installed, held=held or {}, is_there=is_there)


@pytest.mark.parametrize("object_type", list(GOOD))
def test_a_message_with_all_that_is_required_is_good(object_type: ObjectType) -> None:
    """The required properties are enough."""
    assert verdict(object_type, GOOD[object_type]).error == ""


@pytest.mark.parametrize(
    ("object_type", "change", "error"),
    [
        (ObjectType.CONTACT, {"email": ""}, "MISSING_REQUIRED_PROPERTY"),
        (ObjectType.CONTACT, {"email": "ann"}, "INVALID_EMAIL_ADDRESS"),
        (ObjectType.CONTACT, {"email": "ann@example"}, "INVALID_EMAIL_ADDRESS"),
        (ObjectType.CONTACT, {"email": "a nn@example.com"}, "INVALID_EMAIL_ADDRESS"),
        (ObjectType.PRODUCT, {"name": ""}, "MISSING_REQUIRED_PROPERTY"),
        (ObjectType.PRODUCT, {"price": "12,5"}, "UNKNOWN_ERROR"),
        (ObjectType.PRODUCT, {"created_at": "2024-01-01"}, "ERROR_INVALID_DATE_PROPERTY"),
        (ObjectType.DEAL, {"name": ""}, "MISSING_REQUIRED_PROPERTY"),
        (ObjectType.DEAL, {"stage": ""}, "MISSING_REQUIRED_PROPERTY"),
        (ObjectType.DEAL, {"stage": "complete"}, "INVALID_DEAL_STAGE"),
        (ObjectType.LINE_ITEM, {"hs_assoc__deal_id": ""}, "MISSING_REQUIRED_PROPERTY"),
        (ObjectType.LINE_ITEM, {"hs_assoc__product_id": ""}, "MISSING_REQUIRED_PROPERTY"),
    ],
)
def test_bad_content_gets_its_error_type(object_type: ObjectType, change: dict[str, str], error: str) -> None:
    """One bad value makes the whole message fail with its type."""
    assert verdict(object_type, GOOD[object_type] | change).error == error


@pytest.mark.parametrize(
    ("object_type", "text"),
    [
        (ObjectType.DEAL, "Invalid associations [hs_assoc__contact_ids: c]. Do those objects exist?"),
        (
            ObjectType.LINE_ITEM,
            "Invalid associations [hs_assoc__deal_id: d, hs_assoc__product_id: p]. Do those objects exist?",
        ),
    ],
)
def test_an_association_with_nothing_fails(object_type: ObjectType, text: str) -> None:
    """What a message points at must have been synced, and not deleted since."""
    found = verdict(object_type, GOOD[object_type], is_there=lambda kind, external_id: False)
    assert (found.error, found.details) == ("INVALID_ASSOCIATION_PROPERTY", text)


def test_an_emptied_contact_association_is_no_fault() -> None:
    """A deal may lose its contact."""
    assert verdict(ObjectType.DEAL, GOOD[ObjectType.DEAL] | {"hs_assoc__contact_ids": ""}).links == {
        ObjectType.CONTACT: ()
    }


def test_an_absent_required_property_is_taken_from_the_record() -> None:
    """A later message may leave out what the record has; an absent property leaves it alone."""
    assert verdict(ObjectType.DEAL, {"amount": "5"}, held={"dealname": "#1", "dealstage": "shipped"}).error == ""


def test_an_empty_value_clears_whatever_its_type() -> None:
    """ "" is no bad number and no bad date."""
    deal = GOOD[ObjectType.DEAL] | {"amount": "", "closed_at": ""}
    assert verdict(ObjectType.DEAL, deal).values["closedate"] == ""


def test_unmapped_names_are_passed_over() -> None:
    """Settings decide what maps; the rest is tolerated."""
    found = verdict(ObjectType.CONTACT, GOOD[ObjectType.CONTACT] | {"customer_group": "General", "anything": "x"})
    assert found.values == {"email": "ann@example.com"}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"installed": False}, "PORTAL_NOT_SYNC_ENABLED"),
        ({"settings": None}, "NO_SYNC_SETTINGS"),
        ({"settings": read_settings(default_settings() | {"enabled": False})}, "SETTINGS_NOT_ENABLED"),
        (
            {"settings": read_settings(default_settings() | {"contactSyncSettings": {"properties": []}})},
            "NO_MAPPINGS_DEFINED",
        ),
    ],
)
def test_an_account_that_is_not_ready_fails_everything(more: dict[str, Any], error: str) -> None:
    """Without install and settings messages are taken, and then fail."""
    assert verdict(ObjectType.CONTACT, GOOD[ObjectType.CONTACT], **more).error == error


@pytest.mark.parametrize(
    ("properties", "error"), [({}, "NO_PROPERTIES_DEFINED"), ({"website": "base"}, "NO_DEFINED_PROPERTIES")]
)
def test_a_message_that_says_nothing_fails(properties: dict[str, str], error: str) -> None:
    """An UPSERT needs at least one mapped property."""
    assert verdict(ObjectType.CONTACT, properties).error == error


def test_a_deletion_needs_nothing() -> None:
    """DELETE is good without properties, also for an id never seen."""
    assert verdict(ObjectType.LINE_ITEM, {}, action="DELETE").error == ""
