"""CONTACT from guest orders: one contact per email, all of it from the newest order placed with that email."""

from __future__ import annotations

from cdc.model import Rendered, Row
from cdc.protocols import RowReader
from mappers import contact
from mappers.guests import counts
from mappers.plan import Plan
from mappers.shop import shop


def render(guest_id: str, rows: RowReader, plan: Plan) -> Rendered | None:
    """``guest-H``: exists while an order of that guest exists; the newest one tells everything."""
    order = newest(guest_id, rows, plan)
    if order is None:
        return None
    properties = contact.from_order(order, rows, shop(rows, plan))
    properties["newsletter"] = contact.newsletter(rows.find("newsletter_subscriber", "guest_id", guest_id))
    return Rendered(properties)


def newest(guest_id: str, rows: RowReader, plan: Plan) -> Row | None:
    """The newest order (created_at, then entity_id) that counts as this guest's."""
    deleted = plan.settings.deleted_customers == "guest"
    orders = contact.newest_orders("guest_id", guest_id, rows)
    return next((order for order in orders if counts(order, deleted_are_guests=deleted)), None)
