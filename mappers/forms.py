"""Stored contact forms (``[[mapping.contact_forms]]``): their entries make contacts, or add to existing contacts.

Pure. A table of forms has a column for each field, or one column with all fields as JSON. The members of such JSON
depend on the form, so the form's id is part of the mapping (``where``). A row belongs to the account that it names,
else to the guest with the row's email. Anybody can fill in a form, so a form is not trusted. It fills properties that
an account or an order leaves empty, and never replaces a value. A text that is not an email address makes no contact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cdc.errors import ConfigError
from cdc.model import BulkInvalidation, Kind, ObjectRef, Row, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.json_path import parse_path
from cdc.settings.mapping_columns import ColumnProperty
from cdc.settings.mapping_tables import ContactForm
from mappers.custom_properties import CustomProperties, member
from mappers.guests import guest_id
from mappers.lookups import Use, uses
from mappers.newest_row import newest_row
from mappers.text import clean

_ADDRESS: Final = re.compile(r"[^@\s<>()\[\],;:\\\"]{1,64}@[^@\s<>()\[\],;:\\\"]{1,180}\.[^@\s.<>()\[\],;:\\\"]{2,60}")
"""Roughly the form of an address that HubSpot accepts. Any other text would make HubSpot refuse the whole message."""

Found = tuple[dict[str, str], tuple[str, ...]]
"""Properties with a value, and warnings."""


class _Form:
    """One form: how its rows differ from other rows of the same table, and its fields."""

    def __init__(self, asked: ContactForm) -> None:
        self.asked: Final = asked
        self.table: Final = asked.table
        self.key: Final = asked.primary or (
            asked.email.column,
        )  # only a run needs the real key, and asks the server for it
        self.custom: Final = CustomProperties(asked.table, asked.properties, (*self.key, *asked.columns))
        self._path: Final = parse_path(asked.email.json_path) if asked.email.json_path else ()

    @property
    def columns(self) -> frozenset[str]:
        return self.custom.columns | {*self.asked.columns}

    def has(self, row: Row) -> bool:
        """Whether the row belongs to this form."""
        return all(clean(row.get(column)) in values for column, values in self.asked.where.items())

    def customer_of(self, row: Row) -> int | None:
        """The account that the row names."""
        held = row.get(self.asked.customer) if self.asked.customer else None
        # JSON and text columns hold the account's id as text.
        if isinstance(held, str) and held.isascii() and held.isdecimal():
            held = int(held)
        return held if isinstance(held, int) and held > 0 else None

    def email_of(self, row: Row) -> str:
        """The sender's address in lower case; "" if the text is not an address."""
        column = self.asked.email.column
        try:
            text = clean(member(row.get(column), self._path, column, {}) if self._path else row.get(column)).lower()
        except ValueError:
            return ""
        # HubSpot would refuse the whole contact because of a wrong address.
        return text if len(text) <= 254 and _ADDRESS.fullmatch(text) else ""


class Forms:
    """All contact forms of a mapping. ConfigError for a table that has another use already."""

    def __init__(self, asked: Sequence[ContactForm], held: Sequence[TableSpec]) -> None:
        self._all: Final = tuple(map(_Form, asked))
        taken = {spec.name for spec in held}
        # Two readings of one table would decide about its rows differently.
        if faults := [f"mapping.contact_forms: {one.table} is read anyway" for one in asked if one.table in taken]:
            raise ConfigError(faults)
        self._by_table: Final[dict[str, list[_Form]]] = {}
        for form in self._all:
            self._by_table.setdefault(form.table, []).append(form)
        self.tables: Final = tuple(_spec(forms) for forms in self._by_table.values())
        self.names: Final = tuple(dict.fromkeys(name for form in self._all for name in form.custom.names))

    def is_one(self, table: str) -> bool:
        """Whether the table holds rows of a form."""
        return table in self._by_table

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        """``guest_id``: the guest to whom the row belongs, if it does not belong to an account."""
        form = self._form_of(table, row)
        return {"guest_id": guest_id(form.email_of(row)) if form and form.customer_of(row) is None else None}

    def keep(self, table: str, row: Row) -> bool:
        """Whether to keep the row: it belongs to a mapped form, and to a known account or address."""
        form = self._form_of(table, row)
        return form is not None and bool(form.customer_of(row) or form.email_of(row))

    def _form_of(self, table: str, row: Row) -> _Form | None:
        return next((form for form in self._by_table[table] if form.has(row)), None)

    def of_guest(self, guest: str, rows: RowReader) -> Found | None:
        """The properties of a guest from the newest row of each form; the first form has priority. None:
        there is no row.
        """
        found = [
            (form, [row for row in rows.find(form.table, "guest_id", guest) if self._form_of(form.table, row) is form])
            for form in self._all
        ]
        # No form names this guest.
        if not any(held for _, held in found):
            return None
        email = next(form.email_of(row) for form, held in found for row in held)
        properties, warnings = self._said(found, rows)
        return {"email": email, **properties}, warnings

    def of_customer(self, customer_id: int, rows: RowReader) -> Found:
        """Like ``of_guest``, for an account."""
        found = [(form, self._rows_of_customer(form, customer_id, rows)) for form in self._all if form.asked.customer]
        return self._said(found, rows)

    def _rows_of_customer(self, form: _Form, customer_id: int, rows: RowReader) -> list[Row]:
        column = str(form.asked.customer)
        held = (*rows.find(form.table, column, customer_id), *rows.find(form.table, column, str(customer_id)))
        return [row for row in held if self._form_of(form.table, row) is form]

    def _said(self, found: Sequence[tuple[_Form, Sequence[Row]]], rows: RowReader) -> Found:
        properties: dict[str, str] = {}
        warnings: tuple[str, ...] = ()
        for form, held in found:
            row = newest_row(held, form.key)
            # The customer never used this form.
            if row is None:
                continue
            said, further = form.custom.of(row, rows)
            properties = {**{name: value for name, value in said.items() if value}, **properties}
            warnings += further
        return properties, warnings

    def affected(self, table: str, before: Row | None, after: Row | None) -> Iterator[ObjectRef]:
        """The contacts to which the row belongs before and after."""
        for row in (before, after):
            form = self._form_of(table, row) if row is not None and table in self._by_table else None
            # The row went from or to no form that is mapped.
            if form is None or row is None:
                continue
            customer = form.customer_of(row)
            guest = guest_id(form.email_of(row))
            # The account counts before the address that was typed in.
            if customer is not None:
                yield ObjectRef(Kind.CUSTOMER, customer)
            elif guest is not None:
                yield ObjectRef(Kind.GUEST, guest)

    def everything(self) -> tuple[BulkInvalidation, ...]:
        """The bulk invalidations of the guests that forms may make."""
        return tuple(
            BulkInvalidation(Kind.GUEST, table, "guest_id", unless=("sales_order", "guest_id"))
            for table in self._by_table
        )

    def uses(self) -> Iterator[Use]:
        """The look-ups of all forms."""
        for form in self._all:
            yield from uses(Kind.GUEST, form.table, "guest_id", form.asked.properties)
            if form.asked.customer:
                yield from uses(Kind.CUSTOMER, form.table, form.asked.customer, form.asked.properties)


def filled(properties: dict[str, str], names: Sequence[str], said: Mapping[str, str]) -> dict[str, str]:
    """The properties, with the forms' values where they are empty. ``names``: all properties that forms may have."""
    empty = dict.fromkeys(names, "")
    return {**empty, **properties, **{name: text for name, text in said.items() if not properties.get(name)}}


def _spec(forms: Sequence[_Form]) -> TableSpec:
    key = forms[0].key
    columns = frozenset().union(*(form.columns for form in forms))
    customers = sorted({form.asked.customer for form in forms if form.asked.customer})
    rules = ";".join(f"{form.asked.where}{_place(form.asked.email)}" for form in forms)
    return TableSpec(
        forms[0].table,
        key,
        (*key, *sorted(columns - {*key})),
        indexes=(("guest_id",), *((column,) for column in customers)),
        derived=("guest_id",),
        integer_key=False,
        selection=rules,
    )


def _place(email: ColumnProperty) -> str:
    return f"{email.column}{email.json_path}"
