"""The bridge's error types: the advice for each, its cause, and whether the contact exists after it. Pure.

Source of the types: HubSpot's OpenAPI file of version 1 (2019-07-08); version 2 documents a part of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.model import Scope
from sinks.hubspot.http_faults import ApiFaults

_PUSH: Final = "run `magento-cdc mapping push`, then `magento-cdc deadletter retry --all`"
_SWITCH: Final = "run `magento-cdc mapping push`; each refused message is then sent again by itself"
_LOOK: Final = (
    "HubSpot gives no reason: retry it once; if it comes back, compare the object's values with its properties"
)
_PARENT: Final = (
    "the message is sent again by itself once HubSpot has the object that it refers to; if that object is a dead"
    " letter, retry that dead letter first"
)
_EMPTY: Final = "map at least one of its properties (`magento-cdc mapping show`), push the mapping and retry"

UNDOCUMENTED: Final = "OTHER_ERROR"
"""Our name for every type that HubSpot's documents do not name. The list of types is closed, also for metrics."""

ADVICE: Final[Mapping[str, str]] = {
    "UNKNOWN_ERROR": "read the detail: HubSpot names the property there; mend the value in the shop or its type in the"
    " mapping, then retry",
    "INACTIVE_PORTAL": "the HubSpot account is closed or suspended: ask its owner; each refused message"
    " is then sent again by itself",
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
    UNDOCUMENTED: "HubSpot's documents do not name this error; read the detail, then retry or drop it",
}
"""Error type → what to do. The list is closed: any other type is read as ``UNDOCUMENTED``."""

_ACCOUNT: Final = frozenset(
    {
        "INACTIVE_PORTAL",
        "NO_SYNC_SETTINGS",
        "SETTINGS_NOT_ENABLED",
        "BAD_SETTINGS",
        "NO_MAPPINGS_DEFINED",
        "PORTAL_NOT_SYNC_ENABLED",
    }
)
_PARENTS: Final = frozenset({"INVALID_ASSOCIATION_PROPERTY", "MISSING_ASSOCIATED_OBJECT"})
_NO_RECORD: Final = frozenset({"INVALID_EMAIL_ADDRESS", "MISSING_REQUIRED_PROPERTY", "CREATE_FAIL_NO_INFO"})

FAULTS: Final = ApiFaults(
    absent="HubSpot removed the Ecommerce Bridge on 2023-02-28 in favour of its CRM API; set sink.base_url to a "
    'service that speaks the bridge (magento-cdc sandbox is one), or sink.kind = "jsonl"',
    account={kind: ADVICE[kind] for kind in sorted(_ACCOUNT)},
)
"""The meaning of the bridge's statuses and of its answers' messages."""


def scope_of(kind: str) -> Scope:
    """The cause of an error of this type: the account or its settings, an object referred to, or the message."""
    if kind in _ACCOUNT:
        return Scope.ACCOUNT
    return Scope.PARENT if kind in _PARENTS else Scope.MESSAGE


def says_no_record(kind: str) -> bool:
    """Whether an error of this type about a contact means that HubSpot has no record of it."""
    return kind in _NO_RECORD
