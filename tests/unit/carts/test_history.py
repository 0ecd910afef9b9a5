"""Carts in the history: a cart's place in time is when it was begun."""

from __future__ import annotations

from cdc.engine.import_job import Selection, refs_of
from cdc.messages.trace import RowTrail
from cdc.model import Kind, ObjectRef
from tests.unit.carts.shop import cart_shop

BEGUN_MS = 1_699_999_200_000


def test_an_import_by_time_takes_carts_that_were_begun_since() -> None:
    """An older cart stays out, as an older order does."""
    with cart_shop() as shop:
        shop.fill()
        parts = shop.engine.parts
        assert parts.mapper.placed_ms(ObjectRef(Kind.CART, 17), parts.rows) == BEGUN_MS
        for since_ms, found in ((BEGUN_MS, [ObjectRef(Kind.CART, 17)]), (BEGUN_MS + 1, [])):
            assert [*refs_of(parts, Selection(("DEAL",), since_ms), "magento")] == found


def test_trace_renders_a_cart_as_the_daemon_does() -> None:
    """What decides whether it exists stands in the state, beside the shop's rows."""
    with cart_shop() as shop:
        shop.fill()
        shop.wait(61)
        trail = RowTrail(shop.engine.rows)
        made = shop.engine.mapper.render(ObjectRef(Kind.CART, 17), trail)

        assert made is not None
        assert made.properties["stage"] == "checkout_abandoned"
        assert {table for table, _ in trail.seen} >= {"quote", "quote_item"}
