"""CONTACT from a customer account: ``customer_entity`` and its default billing address, else the newest order.

An order may name a customer whose row we do not hold (a deleted one on a server that cascades nothing, a log without
history): the contact then stands on what that order says, so that a deal's link always holds.
"""

from __future__ import annotations

from cdc.model import Rendered, Row, Value
from cdc.protocols import RowReader
from mappers import times
from mappers.attributes import Attributes
from mappers.forms import filled
from mappers.objects import contact
from mappers.plan import Plan
from mappers.scope import customer_is_in, newest_orders
from mappers.shop import shop
from mappers.text import clean


def render(customer_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``customer-N``: exists while its row or an order with that ``customer_id`` exists and is in."""
    row = rows.get("customer_entity", customer_id)
    if row is not None and not customer_is_in(row, rows, plan) and _newest(customer_id, rows, plan) is None:
        return None
    properties = _from_row(row, rows, plan) if row is not None else _stand_in(customer_id, rows, plan)
    if properties is None:
        return None
    properties["newsletter"] = contact.newsletter(rows.find("newsletter_subscriber", "customer_id", customer_id))
    own, warnings = _own(customer_id, row, rows, plan)
    properties = own | properties if row is None else properties | own
    if plan.forms.names:
        said, stale_tables = plan.forms.of_customer(customer_id, rows)
        properties, warnings = filled(properties, plan.forms.names, said), (*warnings, *stale_tables)
    return Rendered(properties, warnings=warnings)


def _own(customer_id: int, row: Row | None, rows: RowReader, plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the settings add: further columns and attributes; all empty without an account's row."""
    if row is None:
        attributes = (*plan.customer_attributes, *plan.address_attributes)
        return plan.contact.empty() | plan.contact_address.empty() | dict.fromkeys(attributes, ""), ()
    own, warnings = plan.contact.of(row, rows)
    if plan.customer_attributes:
        known = shop(rows, plan).customers
        further, stale_tables = known.properties(plan.customer_attributes, _values(customer_id, rows, known))
        own, warnings = own | further, (*warnings, *stale_tables)
    if plan.address_attributes or plan.contact_address.names:
        further, stale_tables = _of_address(default_billing(row, rows), rows, plan)
        own, warnings = own | further, (*warnings, *stale_tables)
    return own, warnings


def _of_address(address: Row | None, rows: RowReader, plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the settings add of the default billing address; all empty without one."""
    own, warnings = plan.contact_address.of(address, rows) if address else (plan.contact_address.empty(), ())
    if not plan.address_attributes:
        return own, warnings
    known = shop(rows, plan).addresses
    values = _values(address["entity_id"], rows, known) if address else {}
    further, stale_tables = known.properties(plan.address_attributes, values)
    return own | further, (*warnings, *stale_tables)


def _values(entity_id: Value, rows: RowReader, known: Attributes) -> dict[str, Value]:
    """Attribute code → value, of the attributes that have a row."""
    values: dict[str, Value] = {}
    for table, codes in known.by_table.items():
        for row in rows.find(table, "entity_id", entity_id):
            code = codes.get(row.get("attribute_id"))
            if code is not None:
                values[code] = row.get("value")
    return values


def _from_row(row: Row, rows: RowReader, plan: Plan) -> dict[str, str]:
    known = shop(rows, plan)
    return {
        "email": contact.email(row.get("email")),
        "firstname": clean(row.get("firstname")),
        "lastname": clean(row.get("lastname")),
        **contact.address(default_billing(row, rows)),
        "customer_group": known.group_code(row.get("group_id")),
        "website": known.website_code(row.get("website_id")),
        "created_at": times.epoch_ms(row.get("created_at")),
        "date_of_birth": times.day(row.get("dob")),
    }


def default_billing(row: Row, rows: RowReader) -> Row | None:
    """The customer's default billing address. The column has no foreign key: it may name an address that is gone."""
    chosen = row.get("default_billing")
    address = rows.get("customer_address_entity", chosen) if chosen else None
    return address if address is not None and address.get("parent_id") == row.get("entity_id") else None


def _newest(customer_id: int, rows: RowReader, plan: Plan) -> Row | None:
    return next(newest_orders("customer_id", customer_id, rows, plan), None)


def _stand_in(customer_id: int, rows: RowReader, plan: Plan) -> dict[str, str] | None:
    order = _newest(customer_id, rows, plan)
    if order is None:
        return None
    known = contact.from_order(order, rows, shop(rows, plan))
    return {**known, "created_at": "", "date_of_birth": ""}
