"""The bridge's settings: every default property has a decision, and what an account already maps is respected."""

from __future__ import annotations

import pytest

from cdc.model import ObjectType
from cdc.settings.mapping import CustomProperties
from cdc.settings.mapping_columns import PropertyType
from sinks.bridge.mapping import MAPPED, UNMAPPED, Target, default_settings, merged_settings, rows
from sinks.sandbox.wire_v1 import read_settings

ADDRESS = "phone company address city state zip country"
DEFAULT_PROPERTIES = {
    ObjectType.CONTACT: f"email firstname lastname {ADDRESS} customer_group website created_at date_of_birth "
    "newsletter",
    ObjectType.PRODUCT: "name sku price description image_url url_key status type created_at",
    ObjectType.DEAL: "name amount currency stage order_number created_at closed_at tax_amount discount_amount "
    "shipping_amount coupon_code payment_method shipping_method tracking_numbers store state status on_hold "
    "partially_shipped replaced_by replaces",
    ObjectType.LINE_ITEM: "name sku quantity price amount discount_amount tax_amount currency",
}


@pytest.mark.parametrize("object_type", list(MAPPED))
def test_every_default_property_is_mapped_or_left_out_with_a_reason(object_type: ObjectType) -> None:
    """None is forgotten and none is in both lists."""
    mapped, unmapped = set(MAPPED[object_type]), set(UNMAPPED[object_type])
    assert mapped | unmapped == set(DEFAULT_PROPERTIES[object_type].split())
    assert not mapped & unmapped
    assert all(UNMAPPED[object_type].values())


@pytest.mark.parametrize("object_type", list(MAPPED))
def test_no_two_names_feed_one_target(object_type: ObjectType) -> None:
    """Else the last one of a message would win."""
    targets = [target.name for target in rows(object_type).values()]
    assert len(targets) == len(set(targets))


def test_only_one_image_and_only_for_products() -> None:
    """The bridge takes AVATAR_IMAGE once, under PRODUCT."""
    images = [kind for kind in MAPPED for target in rows(kind).values() if target.data_type == "AVATAR_IMAGE"]
    assert images == [ObjectType.PRODUCT]


def test_the_default_settings_have_the_bridges_form_and_differ_in_nothing() -> None:
    """Putting them once is enough."""
    body = default_settings()
    assert read_settings(body).enabled
    assert merged_settings(body) == (body, [])


def test_a_row_of_the_merchants_own_is_kept() -> None:
    """PUT replaces everything, so what others mapped is put again."""
    body = default_settings()
    own = {"propertyName": "customer_group", "targetHubspotProperty": "shop_group", "dataType": "STRING"}
    body["contactSyncSettings"]["properties"].append(own)
    body["importOnInstall"] = True
    assert merged_settings(body) == (body, [])


def test_each_difference_is_one_line() -> None:
    """Disabled, a changed row, a missing row, and a row that competes for a target."""
    body = default_settings()
    body["enabled"] = False
    properties = body["dealSyncSettings"]["properties"]
    properties[:] = [row for row in properties if row["propertyName"] != "name"]
    properties.append({"propertyName": "title", "targetHubspotProperty": "dealname", "dataType": "STRING"})
    next(row for row in properties if row["propertyName"] == "amount")["dataType"] = "STRING"
    merged, lines = merged_settings(body)
    assert lines == [
        "enabled: false → true",
        "DEAL: amount: amount (STRING) → amount (NUMBER)",
        "DEAL: title → dealname: removed, the target is fed by another name",
        "DEAL: name → dealname (STRING): new",
    ]
    assert merged == default_settings()


@pytest.mark.parametrize("theirs", [{}, {"contactSyncSettings": None}, {"contactSyncSettings": {"properties": ["x"]}}])
def test_an_answer_that_makes_no_sense_counts_as_no_settings(theirs: dict[str, object]) -> None:
    """A service that answers oddly is given ours."""
    assert merged_settings(theirs)[0] == default_settings()


OWN: CustomProperties = {
    ObjectType.DEAL: {
        "delivery_date": ("", PropertyType.DATE),
        "gift_wrap": ("shop_gift_wrap", PropertyType.MONEY),
        "ready_at": ("", PropertyType.DATETIME),
        "amount": ("", PropertyType.MONEY),
        "title": ("dealname", PropertyType.TEXT),
    }
}


def test_a_property_of_the_merchants_own_has_a_row() -> None:
    """Its target is its own name unless another is given; a default one from another column keeps its target."""
    found = rows(ObjectType.DEAL, OWN)

    assert found["delivery_date"] == Target("delivery_date", "STRING")
    assert found["gift_wrap"] == Target("shop_gift_wrap", "NUMBER")
    assert found["ready_at"] == Target("ready_at", "DATETIME")
    assert found["amount"] == MAPPED[ObjectType.DEAL]["amount"]
    assert rows(ObjectType.PRODUCT, OWN) == rows(ObjectType.PRODUCT)


def test_a_target_asked_for_is_no_longer_fed_by_the_default_property() -> None:
    """One target has one source."""
    found = rows(ObjectType.DEAL, OWN)

    assert found["title"].name == "dealname"
    assert "name" not in found


def test_properties_of_the_merchants_own_are_pushed_once() -> None:
    """A new one is a difference; put, it is none any more."""
    body, lines = merged_settings(default_settings(), OWN)

    assert "DEAL: delivery_date → delivery_date (STRING): new" in lines
    assert merged_settings(body, OWN) == (body, [])
