"""CONTACT from a customer account: ``customer_entity`` and its default billing address, else the newest order.

An order may name a customer whose row is not in the replica: the customer was deleted on a server without foreign keys,
or the log was read without a snapshot. Then the contact is made from that order, so that a deal's link always holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, RowsUsed, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers import customer_value, customer_value_changes, times
from mappers.attributes import Attributes
from mappers.custom_properties import ColumnGroup
from mappers.eav import EavEntity
from mappers.eav_changes import affected_by as affected_by_eav
from mappers.forms import filled
from mappers.guests import address_of, guest_id
from mappers.objects import address_contacts, contact, open_carts
from mappers.objects.descriptor import Name, ObjectDescriptor, Property
from mappers.plain_columns import PlainColumns
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange, named_in, refs
from mappers.scope import customer_in_scope, newest_orders
from mappers.shop import shop
from mappers.text import clean

OWN: Final = ColumnGroup(Kind.CUSTOMER, "customer_entity", "entity_id", lambda asked: asked.contact.properties)
_BILLING: Final = ColumnGroup(
    Kind.CUSTOMER, "customer_address_entity", "parent_id", lambda asked: asked.contact.billing_address
)
_ALL: Final = BulkInvalidation(Kind.CUSTOMER, "customer_entity", "entity_id")
_BACKENDS: Final = ("varchar", "int", "decimal", "text", "datetime")

EAV: Final = EavEntity(
    Kind.CUSTOMER,
    "customer",
    {backend: f"customer_entity_{backend}" for backend in _BACKENDS},
    everything=_ALL,
    asked=lambda settings: settings.customer.attributes,
)
ADDRESS_EAV: Final = EavEntity(
    Kind.CUSTOMER,
    "customer_address",
    {backend: f"customer_address_entity_{backend}" for backend in _BACKENDS},
    everything=_ALL,
    asked=lambda settings: settings.customer.address_attributes,
    names_object=lambda settings: False,  # an address's values hang on the address, not on its customer
)

_CUSTOMERS: Final = TableSpec(
    "customer_entity",
    ("entity_id",),
    ("entity_id", "website_id", "email", "group_id", "firstname", "lastname", "dob", "default_billing", "created_at"),
)
_ADDRESSES: Final = TableSpec(
    "customer_address_entity",
    ("entity_id",),
    ("entity_id", "parent_id", "company", "street", "city", "region", "postcode", "country_id", "telephone"),
)

_TEXT: Final = PropertyType.TEXT
_PROPERTIES: Final = {
    "email": Property(_TEXT, "customer_entity.email, else sales_order.customer_email"),
    "firstname": Property(_TEXT, "customer_entity.firstname, else sales_order.customer_firstname"),
    "lastname": Property(_TEXT, "customer_entity.lastname, else sales_order.customer_lastname"),
    **{
        name: Property(_TEXT, f"customer_address_entity.{column}, else sales_order_address.{column}")
        for name, column in contact.ADDRESS_COLUMNS.items()
    },
    **contact.SHARED,
    "created_at": Property(PropertyType.DATETIME, "customer_entity.created_at"),
    "date_of_birth": Property(PropertyType.DATE, "customer_entity.dob"),
}

PLAIN: Final = PlainColumns(
    {
        "email": ("email", address_of),
        "firstname": ("firstname", clean),
        "lastname": ("lastname", clean),
        "created_at": ("created_at", times.epoch_ms),
        "date_of_birth": ("dob", times.day),
    }
)
"""Properties that are columns of the account's own row."""


def render(customer_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``customer-N``: exists while its row, or an order with that ``customer_id``, exists and is in scope.

    With contacts by email it exists with its row, if it is the contact of its address.
    """
    row = rows.get("customer_entity", customer_id)
    if row is None and plan.contacts_by_email:
        return None  # its orders are a guest's of their own address
    # Another customer stands for the address, or a filter leaves this one out.
    if row is not None and not address_contacts.is_contact_of_address(row, rows, plan):
        return None
    properties = _from_row(row, rows, plan) if row is not None else _stand_in(customer_id, rows, plan)
    # Neither row nor order: the customer does not exist.
    if properties is None:
        return None
    properties["newsletter"] = contact.newsletter(rows.find("newsletter_subscriber", "customer_id", customer_id))
    worth, doubts = customer_value.of_contact(ObjectRef(Kind.CUSTOMER, customer_id), rows, plan)
    properties |= worth
    own, warnings = _own(customer_id, row, rows, plan)
    warnings = (*doubts, *warnings)
    properties = own | properties if row is None else properties | own
    # Forms fill what the account leaves empty.
    if plan.forms.names:
        said, more = plan.forms.of_customer(customer_id, rows)
        properties, warnings = filled(properties, plan.forms.names, said), (*warnings, *more)
    properties |= open_carts.of_contact(ObjectRef(Kind.CUSTOMER, customer_id), rows, plan)
    address = address_of(row.get("email")) if row is not None and plan.contacts_by_email else ""
    return Rendered(properties, warnings=warnings, address=address)


def _own(customer_id: int, row: Row | None, rows: RowReader, plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    """The properties that the settings add: further columns and attributes; all empty without an account's row."""
    attributes, of_address = plan.attributes[EAV], plan.attributes[ADDRESS_EAV]
    # Without the account's row everything that comes from it is empty.
    if row is None:
        empty = plan.custom[OWN].empty() | plan.custom[_BILLING].empty()
        return empty | dict.fromkeys((*attributes, *of_address), ""), ()
    own, warnings = plan.custom[OWN].of(row, rows)
    if attributes:
        known = shop(rows, plan).attributes[EAV]
        further, more = known.properties(attributes, _values(customer_id, rows, known))
        own, warnings = own | further, (*warnings, *more)
    # The address is looked up only if something of it is mapped.
    if of_address or plan.custom[_BILLING].names:
        further, more = _of_address(default_billing(row, rows), rows, plan)
        own, warnings = own | further, (*warnings, *more)
    return own, warnings


def _of_address(address: Row | None, rows: RowReader, plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    """The properties of the default billing address that the settings add; all empty without an address."""
    custom, attributes = plan.custom[_BILLING], plan.attributes[ADDRESS_EAV]
    own, warnings = custom.of(address, rows) if address else (custom.empty(), ())
    if not attributes:
        return own, warnings
    known = shop(rows, plan).attributes[ADDRESS_EAV]
    values = _values(address["entity_id"], rows, known) if address else {}
    further, more = known.properties(attributes, values)
    return own | further, (*warnings, *more)


def _values(entity_id: Value, rows: RowReader, known: Attributes) -> dict[str, Value]:
    """Attribute code → value, for the attributes that have a row."""
    values: dict[str, Value] = {}
    for table, codes in known.by_table.items():
        for row in rows.find(table, "entity_id", entity_id):
            code = codes.get(row.get("attribute_id"))
            # A value of an attribute that nobody mapped.
            if code is not None:
                values[code] = row.get("value")
    return values


def _from_row(row: Row, rows: RowReader, plan: Plan) -> dict[str, str]:
    known = shop(rows, plan)
    return {
        **PLAIN.of(row),
        **contact.address(default_billing(row, rows)),
        "customer_group": known.group_code(row.get("group_id")),
        "website": known.website_code(row.get("website_id")),
    }


def default_billing(row: Row, rows: RowReader) -> Row | None:
    """The customer's default billing address. The column has no foreign key, so it may name an address that does not
    exist.
    """
    chosen = row.get("default_billing")
    address = rows.get("customer_address_entity", chosen) if chosen else None
    return address if address is not None and address.get("parent_id") == row.get("entity_id") else None


def _newest_order(customer_id: int, rows: RowReader, plan: Plan) -> Row | None:
    return next(newest_orders("customer_id", customer_id, rows, plan), None)


def _stand_in(customer_id: int, rows: RowReader, plan: Plan) -> dict[str, str] | None:
    order = _newest_order(customer_id, rows, plan)
    # No order in scope names the customer.
    if order is None:
        return None
    known = contact.from_order(order, rows, shop(rows, plan))
    return {**known, "created_at": "", "date_of_birth": ""}


# ------------------------------------------------------------------------------------------- affected objects


def _without_row(ids: Collection[Value], rows: RowReader, plan: Plan) -> AffectedObjects:
    """The customer of an order; an order affects its customer only if the customer's row is missing or out of scope."""
    held = [(value, rows.get("customer_entity", value)) for value in ids if value]
    return refs(Kind.CUSTOMER, [value for value, row in held if row is None or not customer_in_scope(row, rows, plan)])


def _affected_by_order(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    if not contact.order_bears_on_contact(change, plan):
        return ()
    return _without_row(change.values("customer_id"), rows, plan)


def _affected_by_order_address(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    orders = change.once(contact.orders_of_billing_address, rows, plan)
    return _without_row([order.get("customer_id") for order in orders], rows, plan)


def _affected_by_address(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The customer of an address; an address affects its customer only while it is the default billing address."""
    addresses = change.values("entity_id")
    for customer_id in change.values("parent_id"):
        held = rows.get("customer_entity", customer_id)
        # Only the default billing address shows.
        if held is not None and held.get("default_billing") in addresses:
            yield from refs(Kind.CUSTOMER, [customer_id])


def _affected_by_address_value(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The customer of an address's value. A value without its address affects nothing: a deletion of the address is
    seen by the address's own row.
    """
    for address_id in change.values("entity_id"):
        address = rows.get("customer_address_entity", address_id)
        if address is not None:
            yield from _affected_by_address(RowChange(None, address), rows, plan)


def _affected_by_group(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    group = change.now().get("customer_group_id")  # 0 is the group of those not logged in
    yield BulkInvalidation(Kind.CUSTOMER, "customer_entity", "entity_id", "group_id", group)
    yield contact.of_orders(Kind.CUSTOMER, "customer_id", "customer_group_id", group)


def _affected_by_store(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """Customers without a row: their website is that of their newest order, so a store view affects them."""
    yield contact.of_orders(Kind.CUSTOMER, "customer_id", "store_id", change.now().get("store_id"))


def _affected_by_website(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    row = change.now()
    yield BulkInvalidation(Kind.CUSTOMER, "customer_entity", "entity_id", "website_id", row.get("website_id"))
    for store_id in contact.stores_of(row, rows):
        yield contact.of_orders(Kind.CUSTOMER, "customer_id", "store_id", store_id)


# -------------------------------------------------------------------------------------------------- descriptor


def _tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    columns = ("value_id", "entity_id", "attribute_id", "value")
    return (_CUSTOMERS, *EAV.specs(settings, columns), _ADDRESSES, *ADDRESS_EAV.specs(settings, columns))


def _fetches(customer_id: int, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """The customer's rows. Its orders only if its own row is missing or out of scope, and then the newest
    order's address.
    """
    own = (
        FetchByKey("customer_entity", "entity_id", customer_id),
        FetchByKey("customer_address_entity", "parent_id", customer_id),
        FetchByKey("newsletter_subscriber", "customer_id", customer_id),
        *(FetchByKey(table, "entity_id", customer_id) for table in plan.value_tables[EAV].values()),
    )
    row = rows.get("customer_entity", customer_id)
    if row is not None and (billing := row.get("default_billing")):
        tables = plan.value_tables[ADDRESS_EAV].values()
        own = (*own, *(FetchByKey(table, "entity_id", billing) for table in tables))
    # Who stands for the address may be another customer.
    if row is not None:
        own = (*own, *address_contacts.fetches_by_email(row.get("email"), rows, plan))
        if customer_in_scope(row, rows, plan):
            return own
    return (
        *own,
        FetchByKey("sales_order", "customer_id", customer_id),
        *contact.fetch_address_of(_newest_order(customer_id, rows, plan)),
    )


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    """First the customers with a row, then the customers that only orders name."""
    stand_ins = BulkInvalidation(Kind.CUSTOMER, "sales_order", "customer_id", unless=("customer_entity", "entity_id"))
    return (_ALL, stand_ins)


def _affected_if(settings: MappingSettings) -> tuple[tuple[str, Affects], ...]:
    carts = open_carts.contacts_affected_by(Kind.CUSTOMER) if settings.carts.enabled else ()
    return (*customer_value_changes.affected_by(Kind.CUSTOMER, _everything, settings), *carts)


def _switched_on(settings: MappingSettings) -> Mapping[str, Property]:
    return {**customer_value.properties(settings), **open_carts.properties(settings)}


def _derive(row: Row, plan: Plan) -> Mapping[str, Value]:
    return {"email_hash": guest_id(row.get("email"))} if plan.contacts_by_email else {}


def _rows_used(plan: Plan) -> tuple[RowsUsed, ...]:
    return (
        RowsUsed("customer_entity", "entity_id"),
        RowsUsed("newsletter_subscriber", "customer_id"),
        *(RowsUsed(table, "entity_id") for table in plan.value_tables[EAV].values()),
        RowsUsed("customer_address_entity", "entity_id", named_in=("customer_entity", "default_billing")),
    )


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.CUSTOMER,
    properties=_PROPERTIES,
    tables=_tables,
    render=render,
    affected_by=(
        ("sales_order", _affected_by_order),
        ("sales_order_address", _affected_by_order_address),
        ("customer_entity", named_in(Kind.CUSTOMER, "entity_id")),
        ("customer_address_entity", _affected_by_address),
        ("newsletter_subscriber", named_in(Kind.CUSTOMER, "customer_id")),
        *((table, named_in(Kind.CUSTOMER, "entity_id")) for table in EAV.tables.values()),
        *((table, _affected_by_address_value) for table in ADDRESS_EAV.tables.values()),
        ("customer_group", _affected_by_group),
        ("store", _affected_by_store),
        ("store_website", _affected_by_website),
        *affected_by_eav(EAV),
        *affected_by_eav(ADDRESS_EAV),
        *address_contacts.affected_by(Kind.CUSTOMER),
    ),
    fetches=_fetches,
    everything=_everything,
    column_groups=(OWN, _BILLING),
    eav_entities=(EAV, ADDRESS_EAV),
    derive={"customer_entity": _derive},
    rows_used=_rows_used,
    name=Name("customer_entity", "email", "entity_id"),
    switched_on=_switched_on,
    affected_if=_affected_if,
)
