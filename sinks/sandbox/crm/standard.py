"""The content of a new account: HubSpot's own properties (those that a shop uses), pipeline and groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.model import ObjectType

GROUPS: Final[Mapping[ObjectType, tuple[str, str]]] = {
    ObjectType.CONTACT: ("contactinformation", "Contact information"),
    ObjectType.DEAL: ("dealinformation", "Deal information"),
    ObjectType.PRODUCT: ("productinformation", "Product information"),
    ObjectType.LINE_ITEM: ("lineiteminformation", "Line item information"),
    ObjectType.CART: ("cartinformation", "Cart information"),
}

CURRENCIES: Final = ("EUR", "USD", "GBP")
"""The company's own currency first, then the additional ones."""

LIFECYCLE: Final = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)
"""Stages in their order: a write never moves a contact backwards."""

READ_ONLY: Final = "read_only"
UNIQUE: Final = "unique"

TEXT: Final = ("string", "text")
AREA: Final = ("string", "textarea")
NUMBER: Final = ("number", "number")
SELECT: Final = ("enumeration", "select")
DATE: Final = ("date", "date")
TIME: Final = ("datetime", "date")

Definition = tuple[str, str, tuple[str, str], str]
"""Name, label, (type, field type), and READ_ONLY, UNIQUE or nothing."""

PROPERTIES: Final[Mapping[ObjectType, tuple[Definition, ...]]] = {
    ObjectType.CONTACT: (
        ("email", "Email", TEXT, UNIQUE),
        ("firstname", "First Name", TEXT, ""),
        ("lastname", "Last Name", TEXT, ""),
        ("phone", "Phone Number", ("string", "phonenumber"), ""),
        ("mobilephone", "Mobile Phone Number", ("string", "phonenumber"), ""),
        ("company", "Company Name", TEXT, ""),
        ("address", "Street Address", TEXT, ""),
        ("city", "City", TEXT, ""),
        ("state", "State/Region", TEXT, ""),
        ("zip", "Postal Code", TEXT, ""),
        ("country", "Country/Region", TEXT, ""),
        ("date_of_birth", "Date of birth", TEXT, ""),
        ("website", "Website URL", TEXT, ""),
        ("jobtitle", "Job Title", TEXT, ""),
        ("lifecyclestage", "Lifecycle Stage", ("enumeration", "radio"), ""),
        ("createdate", "Create Date", TIME, READ_ONLY),
        ("lastmodifieddate", "Last Modified Date", TIME, READ_ONLY),
        ("hs_object_id", "Record ID", NUMBER, READ_ONLY),
        ("hs_additional_emails", "Additional email addresses", ("enumeration", "checkbox"), READ_ONLY),
        ("hs_merged_object_ids", "Merged record IDs", ("enumeration", "checkbox"), READ_ONLY),
        ("hs_calculated_merged_vids", "Merged vids with timestamps", ("enumeration", "checkbox"), READ_ONLY),
        ("hs_email_domain", "Email Domain", TEXT, READ_ONLY),
        ("hs_full_name_or_email", "Full name or email", TEXT, READ_ONLY),
        ("hs_marketable_status", "Marketing contact status", ("enumeration", "radio"), READ_ONLY),
    ),
    ObjectType.DEAL: (
        ("dealname", "Deal Name", TEXT, ""),
        ("dealstage", "Deal Stage", ("enumeration", "radio"), ""),
        ("pipeline", "Pipeline", SELECT, ""),
        ("amount", "Amount", NUMBER, ""),
        ("deal_currency_code", "Currency", SELECT, ""),
        ("closedate", "Close Date", TIME, ""),
        ("description", "Deal Description", AREA, ""),
        ("createdate", "Create Date", TIME, ""),
        ("hs_lastmodifieddate", "Last Modified Date", TIME, READ_ONLY),
        ("hs_object_id", "Record ID", NUMBER, READ_ONLY),
        ("hs_is_closed", "Is Deal Closed?", ("bool", "booleancheckbox"), READ_ONLY),
        ("hs_is_closed_won", "Is Closed Won", ("bool", "booleancheckbox"), READ_ONLY),
        ("hs_deal_stage_probability", "Deal probability", NUMBER, READ_ONLY),
        ("hs_merged_object_ids", "Merged record IDs", ("enumeration", "checkbox"), READ_ONLY),
    ),
    ObjectType.PRODUCT: (
        ("name", "Name", TEXT, ""),
        ("hs_sku", "SKU", TEXT, UNIQUE),
        ("price", "Unit price", NUMBER, ""),
        ("description", "Product description", AREA, ""),
        ("hs_images", "Image URL", TEXT, ""),
        ("hs_url", "URL", TEXT, ""),
        ("hs_cost_of_goods_sold", "Unit cost", NUMBER, ""),
        ("createdate", "Create Date", TIME, READ_ONLY),
        ("hs_lastmodifieddate", "Last Modified Date", TIME, READ_ONLY),
        ("hs_object_id", "Record ID", NUMBER, READ_ONLY),
    ),
    ObjectType.LINE_ITEM: (
        ("name", "Name", TEXT, ""),
        ("hs_sku", "SKU", TEXT, ""),
        ("quantity", "Quantity", NUMBER, ""),
        ("price", "Unit price", NUMBER, ""),
        ("amount", "Net price", NUMBER, ""),
        ("discount", "Unit discount", NUMBER, ""),
        ("tax", "Tax", NUMBER, ""),
        ("hs_line_item_currency_code", "Currency", SELECT, ""),
        ("hs_product_id", "Product ID", NUMBER, ""),
        ("description", "Description", AREA, ""),
        ("hs_url", "URL", TEXT, ""),
        ("createdate", "Create Date", TIME, READ_ONLY),
        ("hs_lastmodifieddate", "Last Modified Date", TIME, READ_ONLY),
        ("hs_object_id", "Record ID", NUMBER, READ_ONLY),
    ),
    ObjectType.CART: (
        ("hs_cart_name", "Name", TEXT, ""),
        ("hs_external_cart_id", "Cart ID", TEXT, ""),
        ("hs_external_status", "Status", TEXT, ""),
        ("hs_source_store", "Source Store", TEXT, ""),
        ("hs_cart_url", "Cart Url", TEXT, ""),
        ("hs_total_price", "Total Price", NUMBER, ""),
        ("hs_currency_code", "Currency Code", SELECT, ""),
        ("hs_cart_discount", "Cart Discount", NUMBER, ""),
        ("hs_tax", "Tax", NUMBER, ""),
        ("hs_shipping_cost", "Shipping Cost", NUMBER, ""),
        ("hs_tags", "Tags", TEXT, ""),
        ("hs_exchange_rate", "Exchange Rate", NUMBER, READ_ONLY),
        ("hs_homecurrency_amount", "Amount in company currency", NUMBER, READ_ONLY),
        ("hs_createdate", "Create Date", TIME, READ_ONLY),
        ("hs_lastmodifieddate", "Last Modified Date", TIME, READ_ONLY),
        ("hs_object_id", "Record ID", NUMBER, READ_ONLY),
    ),
}

OPTIONS: Final[Mapping[tuple[ObjectType, str], tuple[str, ...]]] = {
    (ObjectType.CONTACT, "lifecyclestage"): LIFECYCLE,
    (ObjectType.CONTACT, "hs_marketable_status"): ("true", "false"),
    (ObjectType.DEAL, "hs_is_closed"): ("true", "false"),
    (ObjectType.DEAL, "hs_is_closed_won"): ("true", "false"),
}
"""Options of HubSpot's own properties that do not depend on the account's stages, pipelines and currencies."""

DEFAULT_PIPELINE: Final = "default"
DEFAULT_STAGES: Final = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"),
    ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
    ("contractsent", "Contract Sent", "0.9"),
    ("closedwon", "Closed Won", "1.0"),
    ("closedlost", "Closed Lost", "0.0"),
)
"""Id, label and probability of each stage of the default deal pipeline."""


def moves_forward(before: str, after: str) -> bool:
    """Whether a lifecycle stage may follow another: the stage never moves backwards unless it was cleared."""
    if not before or not after or before not in LIFECYCLE or after not in LIFECYCLE:
        return True
    return LIFECYCLE.index(after) >= LIFECYCLE.index(before)
