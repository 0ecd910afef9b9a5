"""``import --where`` over the kinds of objects whose tables are read by a setting alone."""

from __future__ import annotations

import pytest

from cdc.cli.imports import EVERYTHING, _require_columns
from cdc.engine.import_job import Selection, types_of
from cdc.errors import ConfigError
from cdc.settings.config import Settings


@pytest.mark.parametrize("types", [("DEAL",), ("DEAL", "LINE_ITEM")])
def test_carts_that_are_not_sent_stand_in_no_way(types: tuple[str, ...]) -> None:
    """A deal is an order's or a cart's, and without the setting there is no table of carts."""
    _require_columns(Settings(), types, ["store_id"])
    with pytest.raises(ConfigError, match="is no mapped column of sales_order"):
        _require_columns(Settings(), types, ["no_such_column"])


def test_carts_are_chosen_by_columns_of_their_quote() -> None:
    """With the setting."""
    settings = Settings.model_validate({"mapping": {"carts": {"enabled": True, "as": "cart"}}})
    _require_columns(settings, ("CART",), ["coupon_code", "is_active"])
    with pytest.raises(ConfigError, match="is no mapped column of quote"):
        _require_columns(settings, ("CART",), ["no_such_column"])


def test_an_import_of_all_words_leaves_nothing_out() -> None:
    """Only such an import goes on with a first load that was stopped."""
    assert Selection(types_of(EVERYTHING.split(","))).is_everything
    assert not Selection(types_of(["contacts", "products", "deals"])).is_everything
