"""The settings of ``[mapping]``: what is sent for each object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from cdc.model import ObjectType
from cdc.settings.carts import CartMapping
from cdc.settings.customer_value import CustomerValue
from cdc.settings.mapping_columns import (
    AttributeProperty,
    Attributes,
    ColumnProperty,
    Columns,
    Lookup,
    PropertyType,
    refused,
)
from cdc.settings.mapping_rules import Filter, Privacy
from cdc.settings.mapping_switches import (
    CARTS,
    CARTS_OF_CONTACTS,
    CATEGORIES,
    LIFECYCLE_STAGE,
    LIFECYCLE_TARGET,
)
from cdc.settings.mapping_tables import ContactForm, ExtensionTable
from cdc.settings.section import SettingsSection

CustomProperties = Mapping[ObjectType, Mapping[str, tuple[str, PropertyType]]]
"""The merchant's own properties: name → the receiver's name ("": not given) and type."""

_TYPES: Final = {"deal": ObjectType.DEAL, "contact": ObjectType.CONTACT, "product": ObjectType.PRODUCT}


class DealMapping(SettingsSection):
    """Further properties of deals."""

    properties: Columns = Field(default_factory=dict, description="property → column of sales_order")
    billing_address: Columns = Field(
        default_factory=dict, description="property → column of sales_order_address, of the billing address"
    )
    shipping_address: Columns = Field(default_factory=dict, description="the same, of the shipping address")

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        refused("sales_order", value)
        return value

    @field_validator("billing_address", "shipping_address")
    @classmethod
    def _addresses_allowed(cls, value: Columns) -> Columns:
        refused("sales_order_address", value)
        return value


class ContactMapping(SettingsSection):
    """Further properties of contacts that have an account."""

    properties: Columns = Field(default_factory=dict, description="property → column of customer_entity")
    billing_address: Columns = Field(
        default_factory=dict,
        description="property → column of customer_address_entity, of the account's default billing address",
    )
    lifecycle_stage: bool = Field(
        False, description="whether a contact's lifecycle stage becomes customer with the first paid order; never back"
    )

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        refused("customer_entity", value)
        return value

    @field_validator("billing_address")
    @classmethod
    def _address_allowed(cls, value: Columns) -> Columns:
        refused("customer_address_entity", value)
        return value


class ProductMapping(SettingsSection):
    """Further properties of products."""

    properties: Columns = Field(default_factory=dict, description="property → column of catalog_product_entity")
    attributes: Attributes = Field(default_factory=dict, description="property → code of a product attribute")
    categories: bool = Field(False, description="whether products have the names and paths of their categories")

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        refused("catalog_product_entity", value)
        return value


class CustomerMapping(SettingsSection):
    """Attributes of customers and their addresses, as further properties of their contacts."""

    attributes: Attributes = Field(default_factory=dict, description="property → code of a customer attribute")
    address_attributes: Attributes = Field(
        default_factory=dict, description="property → code of an address attribute, of the default billing address"
    )


class LineItemMapping(SettingsSection):
    """Further properties of line items."""

    properties: Columns = Field(default_factory=dict, description="property → column of sales_order_item")

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        refused("sales_order_item", value)
        return value


PRODUCTS: Final = "catalog_product_entity"
"""The table whose primary key differs in Adobe Commerce (row_id) and Open Source (entity_id)."""

Own = TypeVar("Own", ExtensionTable, ContactForm)


def _keyed(one: Own, found: Mapping[str, tuple[str, ...]]) -> Own:
    primary = () if one.primary else found.get(one.table, ())
    return one.model_copy(update={"primary": primary}) if primary else one


class MappingSettings(SettingsSection):
    """What is sent for each object."""

    namespace: str = Field("magento", description="prefix of every external id", pattern=r"^[A-Za-z0-9_]{1,40}$")
    store_view: str = Field("", description="code of the store view for product values; empty: default scope")
    media_base_url: str = Field("", description="put before image paths, e.g. https://shop.example.com/media/product")
    stages: dict[str, str] = Field(default_factory=dict, description="state or status → deal stage, over the defaults")
    stage_preset: Literal["default", "coarse"] = Field(
        "default", description="stages by state; coarse: completed until the order is complete, closed or canceled"
    )
    currency: Literal["order", "base"] = Field(
        "order", description="amounts in the order's currency or in the website's base currency"
    )
    product_key: Literal["auto", "entity_id", "row_id"] = Field(
        "auto",
        description="the column that products' values refer to: row_id in Adobe Commerce; auto: as the server has it",
    )
    deleted_customers: Literal["drop", "guest"] = Field(
        "drop", description="orders of deleted customers: drop the contact or make it a guest's"
    )
    contact: ContactMapping = ContactMapping()
    customer: CustomerMapping = CustomerMapping()
    product: ProductMapping = ProductMapping()
    deal: DealMapping = DealMapping()
    line_item: LineItemMapping = LineItemMapping()
    carts: CartMapping = CartMapping()
    satellites: tuple[ExtensionTable, ...] = Field(
        (), description="modules' own tables, each as [[mapping.satellites]]"
    )
    contact_forms: tuple[ContactForm, ...] = Field(
        (), description="tables of stored contact forms, each as [[mapping.contact_forms]]"
    )
    subscribers: bool = Field(False, description="whether newsletter subscribers without order or account are contacts")
    customer_value: CustomerValue = CustomerValue()
    filter: Filter = Filter()
    privacy: Privacy = Privacy()

    @field_validator("media_base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        # HubSpot takes whatever text stands there, and shows no image.
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("write an address with http:// or https://, e.g. https://shop.example.com/media/product")
        return value

    @model_validator(mode="after")
    def _named_once(self) -> MappingSettings:
        held: dict[tuple[ObjectType, str], str] = {}
        for kind, source, properties in self.sources():
            for name in properties:
                # Two values for one property: whichever is rendered last would win.
                if (kind, name) in held:
                    first = held[kind, name]
                    raise ValueError(f"property {name} of a {kind} is made twice: from {first} and from {source}")
                held[kind, name] = source
        tables = [satellite.table for satellite in self.satellites]
        # The two kinds of tables are read by different rules.
        if twice := sorted({form.table for form in self.contact_forms} & set(tables)):
            raise ValueError(f"table {twice[0]} is a satellite and a contact form; keep one")
        # The second entry would replace the first.
        if twice := [table for table in tables if tables.count(table) > 1]:
            raise ValueError(f"table {twice[0]} is there twice; put all its properties into one")
        return self

    def sources(self) -> list[tuple[ObjectType, str, Mapping[str, ColumnProperty | AttributeProperty]]]:
        """The merchant's own properties: object type, their source, property → column or attribute."""
        return [
            (ObjectType.CONTACT, "customer_entity", self.contact.properties),
            (ObjectType.CONTACT, "customer_address_entity", self.contact.billing_address),
            (ObjectType.CONTACT, "attributes of the customer", self.customer.attributes),
            (ObjectType.CONTACT, "attributes of the billing address", self.customer.address_attributes),
            (ObjectType.PRODUCT, "catalog_product_entity", self.product.properties),
            (ObjectType.PRODUCT, "attributes of the product", self.product.attributes),
            (ObjectType.DEAL, "sales_order", self.deal.properties),
            (ObjectType.DEAL, "the order's billing address", self.deal.billing_address),
            (ObjectType.DEAL, "the order's shipping address", self.deal.shipping_address),
            (ObjectType.LINE_ITEM, "sales_order_item", self.line_item.properties),
            *((_TYPES[one.object], one.table, one.properties) for one in self.satellites),
        ]

    def lookups(self) -> list[Lookup]:
        """The tables of labels that properties name."""
        columns = [made for _, _, properties in self.sources() for made in properties.values()]
        columns += [made for form in self.contact_forms for made in form.properties.values()]
        return [made.lookup for made in columns if isinstance(made, ColumnProperty) and made.lookup is not None]

    def custom_properties(self) -> CustomProperties:
        """Object type → the merchant's own property → its HubSpot name ("": the same) and type.

        Among them are the properties that switches add; a property of the same name in the settings takes their place.
        """
        found: dict[ObjectType, dict[str, tuple[str, PropertyType]]] = {kind: {} for kind in ObjectType}
        if self.product.categories:
            found[ObjectType.PRODUCT] |= {name: ("", kind) for name, kind in CATEGORIES.items()}
        found[ObjectType.CONTACT] |= self.contact_switches()
        if self.carts.enabled:
            found[ObjectType.CONTACT] |= {name: ("", kind) for name, kind in CARTS_OF_CONTACTS.items()}
        for as_what, is_asked in (
            (ObjectType.DEAL, self.carts.as_deals),
            (ObjectType.CART, self.carts.as_objects),
        ):
            if is_asked:
                found[as_what] |= {name: ("", kind) for name, kind in CARTS.items()}
        for kind, _, properties in self.sources():
            found[kind] |= {name: (made.target, made.type or PropertyType.TEXT) for name, made in properties.items()}
        for form in self.contact_forms:  # they add to what is there, under the same names or others
            for name, made in form.properties.items():
                found[ObjectType.CONTACT].setdefault(name, (made.target, made.type))
        return found

    def contact_switches(self) -> Mapping[str, tuple[str, PropertyType]]:
        """The properties of contacts that switches add, all made from all of a contact's orders: name → HubSpot's name
        ("": the same) and type.
        """
        worth = self.customer_value.properties(with_categories=self.product.categories)
        found = {name: ("", kind) for name, kind in worth.items()}
        if self.contact.lifecycle_stage:
            found[LIFECYCLE_STAGE] = (LIFECYCLE_TARGET, PropertyType.TEXT)
        return found

    def with_primary_keys(self, found: Mapping[str, tuple[str, ...]]) -> MappingSettings:
        """The settings with the primary keys of these tables filled in, where they are not given."""
        found_key = "row_id" if found.get(PRODUCTS) == ("row_id",) else "entity_id"
        return self.model_copy(
            update={
                "product_key": found_key if self.product_key == "auto" else self.product_key,
                "satellites": tuple(_keyed(one, found) for one in self.satellites),
                "contact_forms": tuple(_keyed(one, found) for one in self.contact_forms),
            }
        )

    def without_primary_key(self) -> list[str]:
        """The extension tables whose primary key is not given. ``PRODUCTS`` is to be looked up as well."""
        own: tuple[ExtensionTable | ContactForm, ...] = (*self.satellites, *self.contact_forms)
        return [one.table for one in own if not one.primary]
