"""To whom a record belongs, and what an object may do with a record that it meets. Pure.

HubSpot has one contact per address and one product per SKU. A record found by address or SKU may belong to the object
itself, to no object of ours (then it is adopted), or to another object of ours. The mapper names one contact per
address, so an object that has an address has the right to it. The only question is whether the record's present object
has let go of the address already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cdc.model import Kind, ObjectType
from cdc.settings.crm import EmailConflict
from sinks.crm.answers import Record
from sinks.crm.properties import PropertyTable

_EXTERNAL_ID = re.compile(r"(?P<namespace>[A-Za-z0-9_]{1,40})-(?P<kind>[a-z_]+)-(?P<id>[0-9a-f]{1,40})")

EMAIL: Final = "email"
MORE_EMAILS: Final = "hs_additional_emails"
SKU: Final = "hs_sku"

WAITS_FOR_HIGHER: Final = 1
"""Tries to wait for an address of a customer with a lower id: that customer cannot be the contact of the
address any more.
"""

WAITS_FOR_LOWER: Final = 4
"""The same for a customer with a higher id, who may also have become part of the asking contact."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A record that was read. ``key``: "" for a record of no object of ours. ``is_deleted``: its object is deleted in
    Magento.

    ``address``: the address that its object has in Magento, "" if it was never written. ``is_stand_in``: a product
    without type and status, which exists in order lines only.
    """

    id: str
    key: str = ""
    email: str = ""
    more_emails: frozenset[str] = frozenset()
    sku: str = ""
    is_deleted: bool = False
    address: str = ""
    is_stand_in: bool = False

    def has(self, address: str) -> bool:
        """Whether the record has this address, as its primary or as an additional address."""
        return bool(address) and (address == self.email or address in self.more_emails)


class Claim(Enum):
    """What an object may do with a record that it met."""

    OWN = "own"  # it is the object's record: write everything
    ADOPT = "adopt"  # it has no object of ours: write the key and all values
    TAKE_OVER = "take_over"  # another object of ours let go of it: write key and everything
    JOIN = "join"  # people merged two of ours, and the other one's values stay: write nothing
    WAIT = "wait"  # the other object's own message may be on its way
    STAY_OUT = "stay_out"  # go on without the address or SKU


def is_cart(key: str) -> bool:
    """Whether this is the key of a cart."""
    held = _EXTERNAL_ID.fullmatch(key)
    return held is not None and held["kind"] == Kind.CART.value


def reads(table: PropertyTable, kind: ObjectType) -> list[str]:
    """The properties that ``holder_of`` needs."""
    common = [table.key, table.deleted_at]
    if kind is ObjectType.CONTACT:
        return [*common, EMAIL, MORE_EMAILS, table.own(EMAIL)]
    if kind is ObjectType.PRODUCT:
        return [*common, SKU, *_stand_in_marks(table)]
    return common


def _stand_in_marks(table: PropertyTable) -> list[str]:
    targets = (table.target(ObjectType.PRODUCT, name) for name in ("type", "status"))
    return [target.name for target in targets if target is not None]


def holder_of(record: Record, table: PropertyTable, kind: ObjectType) -> Holder:
    """The record as a ``Holder``."""
    held = record.properties
    more = frozenset(text.strip().lower() for text in held.get(MORE_EMAILS, "").split(";") if text.strip())
    return Holder(
        record.id,
        held.get(table.key, ""),
        held.get(EMAIL, "").lower(),
        more,
        held.get(SKU, ""),
        bool(held.get(table.deleted_at)),
        held.get(table.own(EMAIL), "").lower() if kind is ObjectType.CONTACT else "",
        kind is ObjectType.PRODUCT and not any(held.get(name) for name in _stand_in_marks(table)),
    )


def rank_of(key: str, like: str) -> tuple[int, int] | None:
    """The order in which customers and guests become the contact of an address: customers first, the lowest id first.

    None for a key of another kind, or of another namespace than that of ``like``: such a key is not ours.
    """
    held, own = _EXTERNAL_ID.fullmatch(key), _EXTERNAL_ID.fullmatch(like)
    if held is None or own is None or held["namespace"] != own["namespace"]:
        return None
    if held["kind"] == Kind.CUSTOMER.value and held["id"].isdecimal():
        return 0, int(held["id"])
    return (1, 0) if held["kind"] == Kind.GUEST.value else None


def claim_by_address(key: str, address: str, holder: Holder, waits: int) -> Claim:
    """A contact without a record of its own meets the record with its address.

    ``waits``: how often it was put off for this record before.
    """
    # The key settles it, whatever else the record shows.
    if holder.key == key:
        return Claim.OWN
    if holder.is_deleted:  # ours even without a key: who comes with its address takes it
        return Claim.TAKE_OVER
    # No object of ours has it: people or another tool made it.
    if not holder.key:
        return Claim.ADOPT
    theirs, ours = rank_of(holder.key, key), rank_of(key, key)
    # A key of another shop, or of another kind of object.
    if theirs is None or ours is None:
        return Claim.STAY_OUT
    if address != holder.email or (holder.address != address and holder.has(holder.address)):
        # people merged two of ours: the record stands for both, under the key of the lowest customer
        return Claim.TAKE_OVER if ours < theirs else Claim.JOIN
    if theirs[0] == 1:  # a guest is its address: the customer who has it now is the same person
        return Claim.TAKE_OVER
    if holder.address and holder.address != address:
        return Claim.STAY_OUT  # a living customer's record shows an address that Magento gave up
    return Claim.WAIT if waits < WAITS_FOR_HIGHER else Claim.TAKE_OVER


class Conflict(Enum):
    """What to do when a contact with a record of its own gets an address that another record has."""

    OMIT = "omit"  # the address is on its own record already: people chose which one is first
    KEEP = "keep"  # the old address stays
    MOVE = "move"  # the object goes to the record that has the address, its old record gives way
    MERGE = "merge"
    WAIT = "wait"
    AGAIN = "again"  # the record let go of the address meanwhile


def resolve_conflict(
    key: str, address: str, own_id: str, holder: Holder, policy: EmailConflict, waits: int
) -> Conflict:
    """See ``Conflict``. ``waits``: how often the object was put off for this record before."""
    # People chose the first address of a record, and it stays.
    if holder.id == own_id or holder.key == key:
        return Conflict.OMIT
    if not holder.has(address):
        return Conflict.AGAIN
    # The former owner is deleted, so the record is free.
    if holder.is_deleted:
        return Conflict.MOVE
    # A record of people's own: the settings say whether it is merged, moved to, or left.
    if not holder.key:
        return Conflict(policy.value)
    theirs, ours = rank_of(holder.key, key), rank_of(key, key)
    if theirs is None or ours is None:
        return Conflict.KEEP
    gave_up = (holder.address and holder.address != address) or address != holder.email
    # A guest is its address, so its record goes to the customer who has that address now.
    if theirs[0] == 1 and not gave_up:
        return Conflict.MOVE
    if not gave_up and waits < (WAITS_FOR_HIGHER if theirs < ours else WAITS_FOR_LOWER):
        return Conflict.WAIT
    # The lower id stands for the address, so the other object will move on.
    if not gave_up and ours < theirs:
        return Conflict.MOVE
    # a living person's record: to move there would mix two people's deals, so only a merge may join them
    return Conflict.MERGE if policy is EmailConflict.MERGE else Conflict.KEEP


def claim_by_sku(key: str, *, is_stand_in: bool, holder: Holder) -> Claim:
    """A product without a record of its own meets the record with its SKU.

    ``is_stand_in``: the product itself exists in order lines only.
    """
    if holder.key == key:
        return Claim.OWN
    # No object of ours has it yet.
    if not holder.key:
        return Claim.ADOPT
    if holder.is_deleted:
        return Claim.TAKE_OVER
    if is_stand_in:  # the lines of both name one record
        return Claim.JOIN
    # A product that is gone gives its record to the living one.
    return Claim.TAKE_OVER if holder.is_stand_in else Claim.STAY_OUT


def claim_by_key(key: str, holder: Holder, predecessor: str = "") -> Claim:
    """An object meets a record that HubSpot or the state named: its own record, its predecessor's, or one whose key
    people removed.
    """
    if holder.key == key:
        return Claim.OWN
    # A cart's deal becomes the deal of its order, deleted or not.
    if predecessor and holder.key == predecessor:
        return Claim.TAKE_OVER
    # A key that people removed is put back; a key of another object stays.
    return Claim.STAY_OUT if holder.key or holder.is_deleted else Claim.OWN
