"""The paths of HubSpot's date-versioned API: one builder per family of paths. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.model import ObjectType

SEGMENT: Final[Mapping[ObjectType, str]] = {
    ObjectType.CONTACT: "contacts",
    ObjectType.PRODUCT: "products",
    ObjectType.DEAL: "deals",
    ObjectType.LINE_ITEM: "line_items",
    ObjectType.CART: "carts",
}
"""The name of each type in paths. A type without a name here is never sent."""

TYPE_ID: Final = {
    ObjectType.CONTACT: "0-1",
    ObjectType.PRODUCT: "0-7",
    ObjectType.DEAL: "0-3",
    ObjectType.LINE_ITEM: "0-8",
    ObjectType.CART: "0-142",
}
"""HubSpot's number of each type, as its web pages use it."""


class Paths:
    """Paths of one date version, e.g. ``2026-09``."""

    def __init__(self, api_version: str) -> None:
        self._version = api_version

    def objects(self, object_type: ObjectType, rest: str = "") -> str:
        """``/crm/objects/2026-09/contacts[/rest]``."""
        return _joined(f"/crm/objects/{self._version}/{SEGMENT[object_type]}", rest)

    def associations(self, from_type: ObjectType, to_type: ObjectType, rest: str) -> str:
        """``/crm/associations/2026-09/deals/contacts/rest``."""
        return f"/crm/associations/{self._version}/{SEGMENT[from_type]}/{SEGMENT[to_type]}/{rest}"

    def properties(self, object_type: ObjectType, rest: str = "") -> str:
        """``/crm/properties/2026-09/contacts[/rest]``."""
        return _joined(f"/crm/properties/{self._version}/{SEGMENT[object_type]}", rest)

    def pipelines(self, object_type: ObjectType, rest: str = "") -> str:
        """``/crm/pipelines/2026-09/deals[/rest]``."""
        return _joined(f"/crm/pipelines/{self._version}/{SEGMENT[object_type]}", rest)

    def value_rules(self, object_type: ObjectType) -> str:
        """``/crm/property-validations/2026-09/0-1``: an admin's rules on the values of properties."""
        return f"/crm/property-validations/{self._version}/{TYPE_ID[object_type]}"

    def association_limits(self, from_type: ObjectType, to_type: ObjectType) -> str:
        """``/crm/associations/2026-09/definitions/configurations/deals/contacts``: limits that an admin set."""
        pair = f"{SEGMENT[from_type]}/{SEGMENT[to_type]}"
        return f"/crm/associations/{self._version}/definitions/configurations/{pair}"

    def limits(self, what: str) -> str:
        """``/crm/limits/2026-09/records``."""
        return f"/crm/limits/{self._version}/{what}"

    def account(self, what: str) -> str:
        """``/account-info/2026-09/details``."""
        return f"/account-info/{self._version}/{what}"


def _joined(path: str, rest: str) -> str:
    return f"{path}/{rest}" if rest else path


def record_link(object_type: ObjectType, record_id: str, account_id: str) -> str:
    """The address of a record's page in HubSpot; "" without an account or a record."""
    if not account_id or not record_id:
        return ""
    return f"https://app.hubspot.com/contacts/{account_id}/record/{TYPE_ID[object_type]}/{record_id}"
