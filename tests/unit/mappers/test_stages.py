"""Deal stages."""

from __future__ import annotations

import pytest

from cdc.model import Value
from mappers.stages import stage


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("new", "checkout_completed"),
        ("pending_payment", "checkout_pending"),
        ("payment_review", "checkout_pending"),
        ("processing", "processed"),
        ("complete", "shipped"),
        ("canceled", "cancelled"),
        ("closed", "cancelled"),
    ],
)
def test_each_state_has_its_stage(state: str, expected: str) -> None:
    """States map to stages without a warning, whatever the status is called."""
    assert stage({"state": state, "status": "anything"}, {}) == (expected, "")


@pytest.mark.parametrize(
    ("before", "expected"),
    [("processing", "processed"), ("new", "checkout_completed"), ("payment_review", "checkout_pending")],
)
def test_a_held_order_stays_in_its_stage(before: str, expected: str) -> None:
    """A hold is a pause: the stage is that of hold_before_state."""
    order: dict[str, Value] = {"state": "holded", "status": "holded", "hold_before_state": before}

    assert stage(order, {}) == (expected, "")


@pytest.mark.parametrize(
    ("order", "overrides", "expected"),
    [
        pytest.param({"state": "closed", "status": "closed"}, {"closed": "shipped"}, "shipped", id="by state"),
        pytest.param(
            {"state": "processing", "status": "picking"},
            {"picking": "shipped", "processing": "checkout_pending"},
            "shipped",
            id="status wins over state",
        ),
        pytest.param(
            {"state": "made_up", "status": "x"}, {"made_up": "processed"}, "processed", id="a state of a module"
        ),
        pytest.param(
            {"state": "holded", "status": "holded", "hold_before_state": "processing", "hold_before_status": "picking"},
            {"picking": "shipped"},
            "shipped",
            id="held: the status before the hold",
        ),
        pytest.param(
            {"state": "holded", "status": "holded", "hold_before_state": "processing"},
            {"holded": "checkout_pending"},
            "checkout_pending",
            id="holded itself overridden",
        ),
    ],
)
def test_overrides_by_state_or_status(order: dict[str, Value], overrides: dict[str, str], expected: str) -> None:
    """mapping.stages goes over the defaults."""
    assert stage(order, overrides) == (expected, "")


@pytest.mark.parametrize(
    "order",
    [
        pytest.param({"state": "made_up", "status": "made_up"}, id="unknown"),
        pytest.param({"state": None, "status": None}, id="null (imported orders)"),
        pytest.param({"state": "holded", "status": "holded", "hold_before_state": None}, id="held from nowhere"),
        pytest.param({"state": "holded", "hold_before_state": "holded"}, id="held from held"),
    ],
)
def test_an_unknown_state_is_checkout_completed_with_a_warning(order: dict[str, Value]) -> None:
    """An unknown state is not an error; the warning names the state and the setting."""
    found, warning = stage(order, {})

    assert found == "checkout_completed"
    assert "mapping.stages" in warning


@pytest.mark.parametrize(
    ("state", "chosen"),
    [
        ("new", "checkout_completed"), ("pending_payment", "checkout_completed"), ("holded", "checkout_completed"),
        ("payment_review", "checkout_completed"), ("processing", "checkout_completed"), ("complete", "shipped"),
        ("closed", "shipped"), ("canceled", "cancelled"),
    ],
)  # fmt: skip
def test_the_coarse_preset(state: str, chosen: str) -> None:
    """What other connectors use; a hold is a stage of its own there, so that what was before it does not count."""
    row = {"state": state, "hold_before_state": "complete"}

    assert stage(row, {}, "coarse") == (chosen, "")
    assert stage({**row, "status": "my_status"}, {"my_status": "processed"}, "coarse") == ("processed", "")
