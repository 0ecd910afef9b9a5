"""Whose record a record is: pure decisions over a record read back."""

from __future__ import annotations

import pytest

from cdc.settings.crm import EmailConflict
from sinks.crm.identity import (
    WAITS_FOR_LOWER,
    Claim,
    Conflict,
    Holder,
    claim_by_address,
    claim_by_key,
    claim_by_sku,
    rank_of,
    resolve_conflict,
)

ONE, TWO, GUEST = "magento-customer-1", "magento-customer-2", "magento-guest-" + "ab" * 12
A, B = "a@example.com", "b@example.com"


def test_customers_stand_before_guests_and_low_ids_before_high_ones() -> None:
    """The order in which they stand for one address; other namespaces and kinds have no place in it."""
    ranks = [rank_of(key, ONE) for key in (ONE, TWO, GUEST)]
    assert None not in ranks
    assert ranks == sorted(ranks)  # type: ignore[type-var]
    assert rank_of("shop2-customer-1", ONE) is None
    assert rank_of("magento-order-1", ONE) is None
    assert rank_of("by hand", ONE) is None


@pytest.mark.parametrize(
    ("key", "holder", "waits", "expected"),
    [
        pytest.param(ONE, Holder("7", ONE, A), 0, Claim.OWN, id="its own"),
        pytest.param(ONE, Holder("7", "", A), 0, Claim.ADOPT, id="nobody's"),
        pytest.param(ONE, Holder("7", "", A, is_deleted=True), 0, Claim.TAKE_OVER, id="gave way"),
        pytest.param(ONE, Holder("7", TWO, A, is_deleted=True), 0, Claim.TAKE_OVER, id="kept after a deletion"),
        pytest.param(ONE, Holder("7", GUEST, A, address=A), 0, Claim.TAKE_OVER, id="the guest registers"),
        pytest.param(ONE, Holder("7", TWO, A, address=A), 0, Claim.WAIT, id="another customer may be leaving"),
        pytest.param(ONE, Holder("7", TWO, A, address=A), 1, Claim.TAKE_OVER, id="another customer let go"),
        pytest.param(ONE, Holder("7", TWO, A, address=B), 0, Claim.STAY_OUT, id="shows an address it gave up"),
        pytest.param(ONE, Holder("7", TWO, B, frozenset({A}), address=B), 0, Claim.TAKE_OVER, id="merged, lower"),
        pytest.param(TWO, Holder("7", ONE, B, frozenset({A}), address=B), 0, Claim.JOIN, id="merged, higher"),
        pytest.param(TWO, Holder("7", ONE, A, frozenset({B}), address=B), 0, Claim.JOIN, id="merged, first address"),
        pytest.param(ONE, Holder("7", "shop2-customer-1", A), 0, Claim.STAY_OUT, id="another shop's"),
    ],
)
def test_a_contact_meets_the_record_that_has_its_address(key: str, holder: Holder, waits: int, expected: Claim) -> None:
    """The object asks for address A and has no record of its own."""
    assert claim_by_address(key, A, holder, waits) is expected


@pytest.mark.parametrize(
    ("key", "holder", "waits", "expected"),
    [
        pytest.param(ONE, Holder("1", ONE, B, frozenset({A})), 0, Conflict.OMIT, id="on its own record"),
        pytest.param(ONE, Holder("7", "", B), 0, Conflict.AGAIN, id="free meanwhile"),
        pytest.param(ONE, Holder("7", "", A), 0, Conflict.KEEP, id="a foreign record: the setting"),
        pytest.param(ONE, Holder("7", "", A, is_deleted=True), 0, Conflict.MOVE, id="a record that gave way"),
        pytest.param(ONE, Holder("7", GUEST, A, address=A), 0, Conflict.MOVE, id="a guest's"),
        pytest.param(ONE, Holder("7", TWO, A, address=B), 0, Conflict.KEEP, id="shows an address it gave up"),
        pytest.param(TWO, Holder("7", ONE, A, address=A), 0, Conflict.WAIT, id="a lower customer may be leaving"),
        pytest.param(TWO, Holder("7", ONE, A, address=A), 1, Conflict.KEEP, id="a lower customer is stuck"),
        pytest.param(ONE, Holder("7", TWO, A, address=A), 1, Conflict.WAIT, id="a higher customer may be leaving"),
        pytest.param(ONE, Holder("7", TWO, A, address=A), WAITS_FOR_LOWER, Conflict.MOVE, id="a higher one is gone"),
        pytest.param(ONE, Holder("7", "shop2-customer-1", A), 0, Conflict.KEEP, id="another shop's"),
    ],
)
def test_a_contact_asks_for_the_address_of_another_record(
    key: str, holder: Holder, waits: int, expected: Conflict
) -> None:
    """The object has record 1 and asks for address A, with on_email_conflict = keep."""
    assert resolve_conflict(key, A, "1", holder, EmailConflict.KEEP, waits) is expected


def test_a_living_persons_record_is_never_moved_to() -> None:
    """To move there would mix the deals of two people: only a merge may join their records."""
    holder = Holder("7", TWO, A, address=B)
    assert resolve_conflict(ONE, A, "1", holder, EmailConflict.MOVE, 9) is Conflict.KEEP
    assert resolve_conflict(ONE, A, "1", holder, EmailConflict.MERGE, 9) is Conflict.MERGE


@pytest.mark.parametrize(
    ("is_stand_in", "holder", "expected"),
    [
        (False, Holder("7", "", sku="X"), Claim.ADOPT),
        (False, Holder("7", "magento-product-1", sku="X", is_stand_in=True), Claim.TAKE_OVER),
        (False, Holder("7", "magento-product-1", sku="X"), Claim.STAY_OUT),
        (True, Holder("7", "magento-product-1", sku="X"), Claim.JOIN),
        (False, Holder("7", "magento-product-1", sku="X", is_deleted=True), Claim.TAKE_OVER),
        (False, Holder("7", "magento-product-9", sku="X"), Claim.OWN),
    ],
)
def test_a_product_meets_the_record_that_has_its_sku(is_stand_in: bool, holder: Holder, expected: Claim) -> None:
    """Product 9 asks for a SKU."""
    assert claim_by_sku("magento-product-9", is_stand_in=is_stand_in, holder=holder) is expected


def test_a_record_of_another_key_is_nobody_elses_to_write() -> None:
    """What the state or HubSpot names is the object's only with its key, or with none that was taken by hand."""
    assert claim_by_key("k", Holder("7", "k")) is Claim.OWN
    assert claim_by_key("k", Holder("7", "")) is Claim.OWN
    assert claim_by_key("k", Holder("7", "", is_deleted=True)) is Claim.STAY_OUT
    assert claim_by_key("k", Holder("7", "other")) is Claim.STAY_OUT
