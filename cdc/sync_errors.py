"""The bridge's later verdicts: every documented error type, and what to do about it. A leaf of the import graph.

Source of the types: HubSpot's OpenAPI file of version 1 (2019-07-08); version 2 documents a part of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PUSH: Final = "run `magento-cdc mapping push`, then `magento-cdc deadletter retry --all`"
_SWITCH: Final = "run `magento-cdc mapping push`; what was refused is sent again by itself afterwards"
_LOOK: Final = (
    "HubSpot gives no reason: retry it once; if it comes back, compare the object's values with its properties"
)
_PARENT: Final = (
    "it is sent again by itself once HubSpot knows what it refers to; retry that one first if it is set aside"
)
_EMPTY: Final = "map at least one of its properties (`magento-cdc mapping show`), push the mapping and retry"

ADVICE: Final[Mapping[str, str]] = {
    "UNKNOWN_ERROR": "read the detail: HubSpot names the property there; mend the value in the shop or its type in the"
    " mapping, then retry",
    "INACTIVE_PORTAL": "the HubSpot account is closed or suspended: ask its owner; what was refused is sent"
    " again by itself",
    "NO_SYNC_SETTINGS": f"the account has no settings: {_SWITCH}",
    "SETTINGS_NOT_ENABLED": f"the account's settings are switched off: {_SWITCH}",
    "BAD_SETTINGS": f"HubSpot cannot use the account's settings: see `magento-cdc mapping push --dry-run`; {_SWITCH}",
    "EMPTY_MESSAGE": _EMPTY,
    "NO_MAPPINGS_DEFINED": f"nothing is mapped for its type: {_SWITCH}",
    "MISSING_REQUIRED_PROPERTY": "fill the property that the detail names in the shop (an email, a name), then retry",
    "NO_PROPERTIES_DEFINED": _EMPTY,
    "NO_DEFINED_PROPERTIES": f"none of its properties is mapped: {_PUSH}",
    "INVALID_ASSOCIATION_PROPERTY": _PARENT,
    "MISSING_ASSOCIATED_OBJECT": _PARENT,
    "INVALID_DEAL_STAGE": "set mapping.stages so that each status has a stage of the Ecommerce Pipeline, then retry",
    "INVALID_EMAIL_ADDRESS": "correct the address in the shop: that sends it again by itself",
    "PORTAL_NOT_SYNC_ENABLED": f"the bridge is not installed in the account: {_SWITCH}",
    "CREATE_FAIL_NO_INFO": _LOOK,
    "UPDATE_FAIL_NO_INFO": _LOOK,
    "DELETE_FAIL_NO_INFO": "delete the record in HubSpot by hand if it should go, then drop the dead letter",
    "INVALID_ENUM_PROPERTY": "add the value to the property's options, or map it to a text property; then retry",
    "ERROR_INVALID_DATE_PROPERTY": "map the property with type date or datetime, as HubSpot's own has it, push the"
    " mapping and retry",
}
"""Error type → what to do. Closed: a type that is not in it gets ``OTHER``."""

ACCOUNT_WIDE: Final = frozenset(
    {
        "INACTIVE_PORTAL",
        "NO_SYNC_SETTINGS",
        "SETTINGS_NOT_ENABLED",
        "BAD_SETTINGS",
        "NO_MAPPINGS_DEFINED",
        "PORTAL_NOT_SYNC_ENABLED",
    }
)
"""Said of the account or its settings, whatever the message: none is at fault, and all wait."""

NO_RECORD: Final = frozenset({"INVALID_EMAIL_ADDRESS", "MISSING_REQUIRED_PROPERTY", "CREATE_FAIL_NO_INFO"})
"""Said of a contact: HubSpot holds none, so it has no email of it either."""

OTHER: Final = "HubSpot's documents do not name this error; read the detail, then retry or drop it"


def advice_for(reason: str, *, judged_later: bool) -> str:
    """What to do about a dead letter with this reason; "" if nobody documents it and the bridge did not say it."""
    return ADVICE.get(reason, OTHER if judged_later else "")
