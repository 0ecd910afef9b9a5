"""What is read of product_options."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.model import Value
from mappers.options import modes

HOSTILE = json.dumps({"info_buyRequest": {"note": '"product_calculations":0,"shipment_type":1'}})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(None, (None, None), id="null"),
        pytest.param("[]", (None, None), id="empty list"),
        pytest.param('{"info_buyRequest":{"qty":1}}', (None, None), id="simple product"),
        pytest.param('{"product_calculations":1,"shipment_type":0}', (1, 0), id="numbers"),
        pytest.param('{"product_calculations":"0","shipment_type":"1"}', (0, 1), id="numbers as text"),
        pytest.param('{"product_calculations":null,"shipment_type":"x"}', (None, None), id="no numbers"),
        pytest.param('["product_calculations","shipment_type"]', (None, None), id="a list"),
        pytest.param(HOSTILE, (None, None), id="what the shopper typed does not count"),
        pytest.param('{"product_calculations":0,"shipment', (None, None), id="cut off by the column"),
        pytest.param(
            'a:3:{s:15:"info_buyRequest";a:0:{}s:20:"product_calculations";i:0;s:13:"shipment_type";s:1:"1";}',
            (0, 1),
            id="PHP's form, before 2.2",
        ),
        pytest.param('a:1:{s:20:"product_calculations";', (None, None), id="PHP's form, cut off"),
    ],
)
def test_price_and_shipment_modes(options: Value, expected: tuple[int | None, int | None]) -> None:
    """product_calculations and shipment_type are read from JSON and from PHP's serialisation; nothing raises."""
    assert modes(options) == expected


@given(st.text(alphabet='{}[]":;,01sia product_calculations shipment_type', max_size=120) | st.binary(max_size=40))
def test_no_text_raises(options: Value) -> None:
    """Whatever a module stored there, a row is applied."""
    price, ship = modes(options)

    assert price is None or isinstance(price, int)
    assert ship is None or isinstance(ship, int)
