"""Properties that may not leave the shop as they are."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from cdc.errors import ConfigError
from cdc.model import Kind
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.unit.mappers.shops import customer, item, order, properties, shop_rows

KEY = "a key of the tests, long enough"


def contact(**privacy: Any) -> dict[str, str]:
    """Customer 7's properties."""
    rows = shop_rows({"customer_entity": [customer()]}, privacy={"key": KEY, **privacy})
    return properties(rows, Kind.CUSTOMER, 7)


def test_a_property_is_left_out() -> None:
    """It is empty: what was sent of it before is cleared."""
    found = contact(contact={"lastname": "leave_out", "email": "leave_out"})

    assert (found["lastname"], found["email"], found["firstname"]) == ("", "", "Bob")


def test_a_property_is_hashed_with_the_key() -> None:
    """HMAC-SHA256 in hex: equal values stay equal, and nobody without the key can try values out; empty stays empty."""
    found = contact(contact={"lastname": "hash", "company": "hash"})

    assert found["lastname"] == hmac.new(KEY.encode(), b"Ray", hashlib.sha256).hexdigest()
    assert found["company"] == ""


def test_a_property_is_cut() -> None:
    """To so many of its first characters: a year of a birthday, a region of a postcode."""
    found = contact(contact={"date_of_birth": 4, "lastname": 40})

    assert (found["date_of_birth"], found["lastname"]) == ("1980", "Ray")


def test_every_object_and_the_merchants_own_properties_are_treated() -> None:
    """By the name under which they are sent, whatever they are made from."""
    rows = shop_rows(
        {"sales_order": [order(gift_note="For my love")], "sales_order_item": [item()]},
        deal={"properties": {"note": "gift_note"}},
        privacy={"deal": {"note": "leave_out"}, "line_item": {"name": "leave_out"}, "product": {"sku": 1}},
    )

    assert properties(rows, Kind.ORDER, 1)["note"] == ""
    assert properties(rows, Kind.ITEM, 1)["name"] == ""
    assert properties(rows, Kind.PRODUCT, 10)["sku"] == "M"


def test_another_key_renders_everything_again() -> None:
    """The version of the mapping changes with it, and does not hold it."""
    privacies = ({"key": key, "contact": {"lastname": "hash"}} for key in (KEY, KEY + "!"))
    versions = {MagentoMapping(MappingSettings.model_validate({"privacy": one})).version for one in privacies}

    assert len(versions) == 2
    assert not any(KEY in version for version in versions)


@pytest.mark.parametrize(
    ("privacy", "said"),
    [
        ({"contact": {"lastnam": "leave_out"}}, "no such property; did you mean lastname?"),
        ({"contact": {"email": "hash"}}, "HubSpot would refuse a hashed or cut value; leave the property out instead"),
        ({"contact": {"email": 3}}, "leave the property out instead"),
        ({"deal": {"amount": "hash"}}, "leave the property out instead"),
        ({"deal": {"stage": "leave_out"}}, "a deal cannot be without its stage"),
    ],
)
def test_what_hubspot_would_refuse_is_refused_here(privacy: dict[str, Any], said: str) -> None:
    """A fault of the settings, by the property's name."""
    with pytest.raises(ConfigError, match=r"mapping\.privacy") as raised:
        contact(**privacy)
    assert said in str(raised.value)


@pytest.mark.parametrize("key", ["", "short"])
def test_a_hash_needs_a_key(key: str) -> None:
    """Without one, names and phone numbers could be tried out."""
    with pytest.raises(ValueError, match="hash needs key or key_file"):
        contact(key=key, contact={"lastname": "hash"})
