"""CONTACT of somebody without an account, known by email: one contact per email.

All of it is from the newest order placed with that email. Without one, a stored contact form makes the contact, or a
newsletter subscription (``mapping.subscribers``).
"""

from __future__ import annotations

from collections.abc import Sequence

from cdc.model import Rendered, Row
from cdc.protocols import RowReader
from mappers.forms import filled
from mappers.guests import counts
from mappers.objects import contact
from mappers.plan import Plan
from mappers.scope import newest_orders, subscriber_is_in
from mappers.shop import shop


def render(guest_id: str, rows: RowReader, plan: Plan) -> Rendered | None:
    """``guest-H``: exists while an order of that guest exists, or a row of a form or subscriber that makes contacts."""
    order = newest(guest_id, rows, plan)
    subscribers = rows.find("newsletter_subscriber", "guest_id", guest_id)
    said = plan.forms.of_guest(guest_id, rows)
    if order is not None:
        properties = contact.from_order(order, rows, shop(rows, plan))
    else:
        found = _from_subscriber(subscribers, rows, plan)
        if found is None and said is None:
            return None
        properties = found or contact.nobody()
    properties["newsletter"] = contact.newsletter(subscribers)
    if not plan.forms.names and said is None:
        return Rendered(properties)
    told, warnings = said or ({}, ())
    return Rendered(filled(properties, plan.forms.names, told), warnings=warnings)


def _from_subscriber(subscribers: Sequence[Row], rows: RowReader, plan: Plan) -> dict[str, str] | None:
    """Of the newest subscription without an account, if such make contacts."""
    if not plan.settings.subscribers:
        return None
    own = [row for row in subscribers if not row.get("customer_id") and subscriber_is_in(row, rows, plan)]
    if not own:
        return None
    website = shop(rows, plan).website_code_of(own[-1].get("store_id"))
    return {**contact.nobody(), "email": contact.email(own[-1].get("subscriber_email")), "website": website}


def newest(guest_id: str, rows: RowReader, plan: Plan) -> Row | None:
    """The newest order (created_at, then entity_id) that counts as this guest's."""
    deleted = plan.settings.deleted_customers == "guest"
    orders = newest_orders("guest_id", guest_id, rows, plan)
    return next((order for order in orders if counts(order, deleted_are_guests=deleted)), None)
