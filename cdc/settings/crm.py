"""``[crm]``: how objects are written to HubSpot's CRM. Every setting has a default that works. A leaf of
the import graph.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

from cdc.settings.section import SettingsSection

PropertyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class DeletePolicy(StrEnum):
    """What a record becomes when its object is deleted in Magento."""

    KEEP = "keep"  # the record stays and gets magento_deleted_at
    ARCHIVE = "archive"  # the record goes to HubSpot's recycle bin
    CANCEL = "cancel"  # deals: the record stays, in the stage "cancelled"
    GDPR_DELETE = "gdpr_delete"  # contacts: HubSpot deletes the person for good


class EmailConflict(StrEnum):
    """What happens when a customer's new address belongs to a record that is another person's."""

    KEEP = "keep"
    MOVE = "move"
    MERGE = "merge"


class OnDelete(SettingsSection):
    """What a record becomes when its object is deleted in Magento."""

    contact: Literal[DeletePolicy.KEEP, DeletePolicy.ARCHIVE, DeletePolicy.GDPR_DELETE] = Field(
        DeletePolicy.KEEP, description="a deleted customer's record: keep it, archive it, or have HubSpot erase it"
    )
    product: Literal[DeletePolicy.KEEP, DeletePolicy.ARCHIVE] = Field(
        DeletePolicy.ARCHIVE, description="a deleted product's record"
    )
    deal: Literal[DeletePolicy.KEEP, DeletePolicy.ARCHIVE, DeletePolicy.CANCEL] = Field(
        DeletePolicy.CANCEL, description="a deleted order's record; cancel: it stays, in the stage cancelled"
    )
    line_item: Literal[DeletePolicy.KEEP, DeletePolicy.ARCHIVE] = Field(
        DeletePolicy.ARCHIVE, description="a deleted order line's record"
    )
    cart: Literal[DeletePolicy.KEEP, DeletePolicy.ARCHIVE, DeletePolicy.CANCEL] = Field(
        DeletePolicy.ARCHIVE,
        description="the record of a cart that ended without an order: emptied, merged, cleaned up",
    )


class OwnedByHubspot(SettingsSection):
    """Properties that are written when a record is created and never again, by our neutral names."""

    contact: tuple[str, ...] = Field((), description="of contacts, e.g. firstname: written once, then people's own")
    deal: tuple[str, ...] = Field((), description="of deals, e.g. stage: written once, then people's own")


class CrmSettings(SettingsSection):
    """HubSpot's CRM, for sink.kind = "crm"."""

    api_version: str = Field(
        "2026-09",
        description="date version of HubSpot's API, in every path",
        pattern=r"^\d{4}-(0[1-9]|1[0-2])(-beta)?$",
    )
    account_id: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="the account (portal) that the token must belong to; 0: the first account seen is kept"
    )
    key_property: PropertyName = Field(
        "magento_key", description="unique text property on every type of record; its value is the external id"
    )
    property_prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")] = Field(
        "magento_", description="prefix of the properties that `mapping push` makes"
    )
    pipeline: Annotated[str, Field(max_length=100)] = Field(
        "", description="of deals: label or id; empty: the old Ecommerce Pipeline where there is one, else Magento"
    )
    on_delete: OnDelete = OnDelete()
    on_email_conflict: EmailConflict = Field(
        EmailConflict.KEEP,
        description="a customer's new address belongs to another person's record. keep: the old address stays; move:"
        " the customer gets that record; merge: HubSpot merges the two",
    )
    on_deleted_by_people: Literal["recreate", "leave"] = Field(
        "recreate", description="a record that people deleted in HubSpot: create it again, or leave it deleted"
    )
    owned_by_hubspot: OwnedByHubspot = OwnedByHubspot()

    @field_validator("pipeline")
    @classmethod
    def _trimmed(cls, value: str) -> str:
        return value.strip()
