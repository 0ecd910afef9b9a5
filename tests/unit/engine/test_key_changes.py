"""Foreign keys that change: which tables are read again for it, and what holds from then on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.errors import StateError
from cdc.model import DeleteRule, ForeignKey, Position, StaleTable, Transaction
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.kit.toy import FixedClock

CORE = core_foreign_keys()
TO_CUSTOMER = next(key for key in CORE if (key.child, key.parent) == ("sales_order", "customer_entity"))
CASCADING = tuple(replace(key, rule=DeleteRule.CASCADE) if key == TO_CUSTOMER else key for key in CORE)
AT = Position("binlog.000001", 500)
BELOW = {"sales_order", "sales_order_item", "sales_order_address", "sales_order_payment", "sales_invoice",
         "sales_shipment_track"}  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with_keys = opened(tmp_path, CORE)
    yield with_keys
    with_keys.close()


def opened(folder: Path, keys: Sequence[ForeignKey]) -> Engine:
    """A complete state whose server has these keys now."""
    made = Engine(folder, MagentoMapping(MappingSettings()), keys, FixedClock(0))
    with made.store.transaction():
        if made.positions.position is None:
            made.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
    return made


def reopened(engine: Engine) -> set[str]:
    """The tables that a start makes stale."""
    with engine.store.transaction():
        return {stale.table for stale in engine.key_changes.reopen()}


def apply(engine: Engine, transaction: Transaction) -> set[str]:
    """The tables that are stale behind this transaction."""
    with engine.store.transaction():
        engine.apply_group([transaction])
    return set(engine.table_loads.required_positions)


def rule(engine: Engine) -> DeleteRule:
    """What happens to an order when its customer goes."""
    keys = engine._parts.cascades.of_parent["customer_entity"]
    return next(key.rule for key in keys if key.child == "sales_order")


def test_a_changed_key_holds_from_its_transaction_on_and_makes_its_children_stale(engine: Engine) -> None:
    """The child and all below it are read again; a key that is the same costs nothing."""
    assert apply(engine, Transaction((), AT, 0, foreign_keys=CORE)) == set()
    assert rule(engine) is DeleteRule.SET_NULL

    assert apply(engine, Transaction((), replace(AT, offset=600), 0, foreign_keys=CASCADING)) >= BELOW
    assert rule(engine) is DeleteRule.CASCADE


def test_a_definition_of_keys_makes_its_table_stale_though_the_server_shows_no_change(engine: Engine) -> None:
    """The server's answer is of later: keys may have changed and changed back while the log was read."""
    assert apply(engine, Transaction((), AT, 0, keys_of=("sales_order",), foreign_keys=CORE)) >= BELOW


def test_a_table_that_is_read_again_for_another_reason_is_not_looked_at_twice(engine: Engine) -> None:
    """A copy renamed into place is stale by itself; what is below it is not, if its keys are the same."""
    stale = (StaleTable("sales_order", "RENAME TABLE"),)

    assert apply(engine, Transaction((), AT, 0, stale=stale, keys_of=("sales_order",), foreign_keys=CORE)) == {
        "sales_order"
    }


def test_a_start_compares_the_keys_with_those_it_was_left_with(tmp_path: Path) -> None:
    """The first start has nothing to compare, a later one finds what changed meanwhile."""
    first = opened(tmp_path, CORE)
    assert reopened(first) == set()
    assert reopened(first) == set()
    first.close()
    later = opened(tmp_path, CASCADING)

    assert reopened(later) >= BELOW
    assert reopened(later) == set()
    later.close()


def test_a_change_that_is_rolled_back_did_not_happen(engine: Engine) -> None:
    """The keys are those of before, as all that memory holds."""
    reopened(engine)
    with contextlib.suppress(ZeroDivisionError), engine.store.transaction():
        engine.apply_group([Transaction((), AT, 0, foreign_keys=CASCADING)])
        raise ZeroDivisionError
    engine.reread()

    assert rule(engine) is DeleteRule.SET_NULL


def test_a_key_on_a_column_that_is_not_kept_stops_with_advice(engine: Engine) -> None:
    """Only a start can make the state keep another column."""
    new = ForeignKey("sales_order", "coupon_rule_name", "customer_entity", "entity_id", DeleteRule.CASCADE)

    with pytest.raises(StateError, match=r"sales_order\.coupon_rule_name.*start magento-cdc again"):
        apply(engine, Transaction((), AT, 0, foreign_keys=(*CORE, new)))
