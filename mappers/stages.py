"""The deal stage of an order: from its state, or as ``mapping.stages`` says for its state or its status.

Pure. Magento's state is code, its status is text that merchants edit, so the defaults go by
state; HubSpot's ecommerce pipeline has the six stages named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cdc.model import Row
from mappers.text import clean

DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "new": "checkout_completed",
        "pending_payment": "checkout_pending",
        "payment_review": "checkout_pending",
        "processing": "processed",
        "complete": "shipped",
        "closed": "cancelled",
        "canceled": "cancelled",
    }
)
COARSE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("new", "pending_payment", "payment_review", "processing", "holded"), "checkout_completed"),
        **dict.fromkeys(("complete", "closed"), "shipped"),
        "canceled": "cancelled",
    }
)
"""The stages that other connectors use: "completed" does not mean paid or sent, and returned goods stay shipped."""

PRESETS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({"default": DEFAULTS, "coarse": COARSE})
ABANDONED: Final = "checkout_abandoned"
PENDING: Final = "checkout_pending"
"""The stages of carts without an order."""

STAGES: Final = tuple(dict.fromkeys((*DEFAULTS.values(), *COARSE.values())))
"""The stages that HubSpot's ecommerce pipeline has; a merchant's own pipeline may have others."""

HELD: Final = "holded"  # Magento's spelling, as is "canceled"
UNKNOWN: Final = "checkout_completed"


def stage(order: Row, overrides: Mapping[str, str], preset: str = "default") -> tuple[str, str]:
    """The stage of a ``sales_order`` row, and a warning ("" if there is none).

    ``overrides``: status or state → stage; the status wins. A held order stays in the stage of the state (and status)
    in which it was held, unless "holded" itself is mapped: a hold is a pause, not a step.
    """
    table = PRESETS[preset]
    state, status = _code(order.get("state")), _code(order.get("status"))
    # The status is more exact than the state, so it wins.
    chosen = overrides.get(status) or overrides.get(state)
    # A held order keeps the stage that it was held in.
    if not chosen and state == HELD and HELD not in table:
        state, status = _code(order.get("hold_before_state")), _code(order.get("hold_before_status"))
        chosen = overrides.get(status) or overrides.get(state)
    chosen = chosen or table.get(state)
    # Known by state or by the merchant's own words.
    if chosen:
        return chosen, ""
    return UNKNOWN, f"order state {state!r} is not known; stage {UNKNOWN} is used; add it to mapping.stages"


def _code(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""
