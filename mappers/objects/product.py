"""PRODUCT: ``catalog_product_entity`` and its EAV values of the chosen store view over the default scope.

``sales_order_item.product_id`` has no foreign key, so lines may name a product that was deleted. Then the product is
made from the newest of those lines, so that a line's link always holds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, RowsUsed, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers import categories, money, times
from mappers.attributes import ADMIN, Attributes
from mappers.custom_properties import ColumnGroup
from mappers.eav import EavEntity
from mappers.eav_changes import affected_by as affected_by_eav
from mappers.objects import line_item
from mappers.objects.descriptor import Name, ObjectDescriptor, Property
from mappers.plain_columns import PlainColumns
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, RowChange, named_in, refs
from mappers.scope import order_in_scope
from mappers.shop import Shop, shop
from mappers.text import clean, from_html
from mappers.versions import VERSIONS, is_staging, live_row, version_in

STATUS: Final = {1: "enabled", 2: "disabled"}
VISIBILITY: Final = {1: "not_visible", 2: "catalog", 3: "search", 4: "both"}
NO_IMAGE: Final = "no_selection"  # what Magento stores for "no image chosen"
_STAND_IN_EMPTY: Final = ("description", "image_url", "url_key", "status", "type", "created_at")

OWN: Final = ColumnGroup(Kind.PRODUCT, "catalog_product_entity", "entity_id", lambda asked: asked.product.properties)
_ALL: Final = BulkInvalidation(Kind.PRODUCT, "catalog_product_entity", "entity_id")


def _needed_codes(settings: MappingSettings) -> frozenset[str]:
    return frozenset({"visibility"}) if settings.filter.product_visibility else frozenset()


EAV: Final = EavEntity(
    Kind.PRODUCT,
    "catalog_product",
    {backend: f"catalog_product_entity_{backend}" for backend in ("varchar", "int", "decimal", "text", "datetime")},
    everything=_ALL,
    asked=lambda settings: settings.product.attributes,
    default_codes=frozenset({"name", "url_key", "image", "price", "description", "short_description", "status"}),
    default_backends=frozenset({"varchar", "int", "decimal", "text"}),  # no default property is a date
    needed=_needed_codes,
    names_object=lambda settings: settings.product_key != "row_id",  # in Adobe Commerce values hang on versions
)

_PRODUCTS: Final = TableSpec("catalog_product_entity", ("entity_id",), ("entity_id", "sku", "type_id", "created_at"))
_WEBSITES: Final = TableSpec(
    "catalog_product_website", ("product_id", "website_id"), ("product_id", "website_id"), indexes=(("product_id",),)
)
"""Where products are sold; needed only for a filter by website."""

_SEQUENCE: Final = TableSpec(
    "sequence_product", ("sequence_value",), ("sequence_value",), required=False, keys_only=True
)
"""The table whose row Adobe Commerce deletes with a product; the cascade deletes its other rows without events."""

_TEXT: Final = PropertyType.TEXT
_VALUES: Final = "catalog_product_entity_*"
_PROPERTIES: Final = {
    "name": Property(_TEXT, f"{_VALUES}: name"),
    "sku": Property(_TEXT, "catalog_product_entity.sku"),
    "price": Property(PropertyType.MONEY, f"{_VALUES}: price"),
    "description": Property(_TEXT, f"{_VALUES}: description, else short_description"),
    "image_url": Property(_TEXT, f"{_VALUES}: image"),
    "url_key": Property(_TEXT, f"{_VALUES}: url_key"),
    "status": Property(_TEXT, f"{_VALUES}: status", tuple(STATUS.values())),
    "type": Property(_TEXT, "catalog_product_entity.type_id"),
    "created_at": Property(PropertyType.DATETIME, "catalog_product_entity.created_at"),
}

PLAIN: Final = PlainColumns(
    {"sku": ("sku", clean), "type": ("type_id", clean), "created_at": ("created_at", times.epoch_ms)}
)
"""Properties that are columns of the product's own row."""


def render(product_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``product-N``: exists while its row, or a line item that refers to it, exists and is in scope."""
    row = product_row(product_id, rows, plan)
    # Out of scope, but a line still refers to it: then it stays, or the line's link would break.
    if row is not None and not product_in_scope(row, rows, plan) and _newest_line(product_id, rows, plan) is None:
        return None
    if row is None:
        return _stand_in(product_id, rows, plan)
    known = shop(rows, plan)
    values = _values(row, plan.product_key, rows, known.attributes[EAV], known.view)
    properties = {
        **PLAIN.of(row),
        **categories.of_product(product_id, rows, plan),
    }
    # An attribute that the shop does not have is left out of the message.
    for name, code in (("name", "name"), ("url_key", "url_key")):
        if code in values:
            properties[name] = clean(values[code])
    if "price" in values:
        properties["price"] = money.money(values["price"])
    if "status" in values:
        properties["status"] = STATUS.get(values["status"], "")  # type: ignore[arg-type]  # any value may come
    # The short description serves shops that leave the long one empty.
    if "description" in values or "short_description" in values:
        described = from_html(values.get("description")) or from_html(values.get("short_description"))
        properties["description"] = described
    if "image" in values:
        properties["image_url"] = image_url(clean(values["image"]), plan.settings.media_base_url)
    own, warnings = plan.custom[OWN].of(row, rows)
    further, more = known.attributes[EAV].properties(plan.attributes[EAV], values)
    view = (known.warning,) if known.warning else ()
    return Rendered(properties | own | further, warnings=(*view, *warnings, *more))


def _values(product: Row, key: str, rows: RowReader, known: Attributes, view: Value) -> dict[str, Value]:
    """Attribute code → effective value (None without a row); a code that the shop does not have is missing.

    ``key``: the column that joins values to their product. A view's own row counts even if its value is NULL. A view
    without a row has the default scope's value.
    """
    default: dict[str, Value] = dict.fromkeys(known.by_code)
    own: dict[str, Value] = {}
    for table, codes in known.by_table.items():
        for row in rows.find(table, key, product[key]):
            code = codes.get(row.get("attribute_id"))
            store = row.get("store_id")
            # A value of an attribute that nobody mapped.
            if code is None:
                continue
            # A view's own value wins even if it is empty.
            if store == view:
                own[code] = row.get("value")
            elif store == ADMIN:
                default[code] = row.get("value")
    return default | own


def image_url(path: str, base: str) -> str:
    """An image's address: its path behind ``base``; "" if no image is chosen."""
    # Magento writes a word for "no image".
    if not path or path == NO_IMAGE:
        return ""
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if base else path


def _stand_in(product_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    line = _newest_line(product_id, rows, plan)
    # Neither row nor line names the product.
    if line is None:
        return None
    without_value = (*categories.properties(plan.settings), *plan.attributes[EAV], *_STAND_IN_EMPTY)
    properties = plan.custom[OWN].empty() | dict.fromkeys(without_value, "")
    properties |= {
        "name": clean(line.get("name")),
        "sku": clean(line.get("sku")),
        "price": money.money(line.get(plan.paid("price"))),
    }
    return Rendered(properties)


def _newest_line(product_id: int, rows: RowReader, plan: Plan) -> Row | None:
    """The row of the line item with the highest item_id that refers to the product.

    Rows come with falling item_id. A line's own id is at most that of the row which names the product (a configurable's
    child comes after its parent). So the search ends when no later row can lead to a higher line.
    """
    best: Row | None = None
    best_id = -1
    for row in rows.descending("sales_order_item", "product_id", product_id, ("item_id",)):
        # Rows come with falling ids, so no later one can win.
        if _number(row.get("item_id")) <= best_id:
            break
        line = row if row.get("parent_item_id") is None else rows.get("sales_order_item", row["parent_item_id"])
        # A child's line is its parent; it may lead to another product, or be left out.
        if line is None or _number(line.get("item_id")) <= best_id or not _refers(line, product_id, rows, plan):
            continue
        best, best_id = line, _number(line["item_id"])
    return best


def _refers(line: Row, product_id: int, rows: RowReader, plan: Plan) -> bool:
    """Whether this row is a line item (of an existing order in scope) that is associated with the product."""
    if line.get("parent_item_id") is not None:
        return False
    target: ObjectRef | None = line_item.product_of(line, line_item.children_of(line, rows))
    if target is None or target.id != product_id:
        return False
    order = rows.get("sales_order", line.get("order_id"))
    return order is not None and order_in_scope(order, rows, plan)


def _number(value: Value) -> int:
    return value if isinstance(value, int) else -1


# ---------------------------------------------------------------------------------------------------- in scope


def product_row(product_id: int | str, rows: RowReader, plan: Plan) -> Row | None:
    """The product's row; in Adobe Commerce the row that is live now."""
    if not plan.row_ids:
        return rows.get("catalog_product_entity", product_id)
    return live_row([*rows.find("catalog_product_entity", "entity_id", product_id)], shop(rows, plan).version)


def product_in_scope(product: Row, rows: RowReader, plan: Plan) -> bool:
    """By its type, its visibility, and its websites: one website in scope is enough."""
    asked = plan.settings.filter
    # No filter, no look-up.
    if not plan.filters_products:
        return True
    if asked.product_types and not asked.product_types.allows(clean(product.get("type_id"))):
        return False
    known = shop(rows, plan)
    # One followed website is enough.
    if asked.websites:
        assigned = rows.find("catalog_product_website", "product_id", product.get("entity_id"))
        if not any(asked.websites.allows(known.website_code(row.get("website_id"))) for row in assigned):
            return False
    return not asked.product_visibility or asked.product_visibility.allows(_visibility(product, rows, known, plan))


def _visibility(product: Row, rows: RowReader, known: Shop, plan: Plan) -> str:
    """The visibility in the chosen store view, else in the default scope; "" if neither has a value."""
    # The shop has no such attribute.
    attribute = known.attributes[EAV].by_code.get("visibility")
    if attribute is None:
        return ""
    held = {
        row.get("store_id"): row.get("value")
        for row in rows.find(attribute.table, plan.product_key, product.get(plan.product_key))
        if row.get("attribute_id") == attribute.id
    }
    return VISIBILITY.get(held.get(known.view, held.get(ADMIN)), "")  # type: ignore[arg-type]  # any value may come


# ------------------------------------------------------------------------------------------- affected objects


def _without_row(ids: Collection[Value], rows: RowReader, plan: Plan) -> AffectedObjects:
    """The product of a line; a line affects its product only if the product's row is missing or out of scope."""
    held = [(value, product_row(value, rows, plan)) for value in ids if isinstance(value, int) and value]
    return refs(Kind.PRODUCT, [value for value, row in held if row is None or not product_in_scope(row, rows, plan)])


def _affected_by_order(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # A changed order bears on a product only through lines that stand for it.
    if not line_item.order_bears_on_lines(change, plan):
        return ()
    return _without_row(
        {item.get("product_id") for item in change.once(line_item.items_of_order, rows, plan)}, rows, plan
    )


def _affected_by_item(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _without_row({item.get("product_id") for item in change.once(line_item.family_of, rows, plan)}, rows, plan)


def _affected_by_value(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    views = (ADMIN, shop(rows, plan).view)
    if not any(row.get("store_id") in views for row in change.rows()):
        return  # a view that is not shown
    if not plan.row_ids:
        yield from refs(Kind.PRODUCT, change.values("entity_id"))
        return
    versions = (rows.get("catalog_product_entity", row_id) for row_id in change.values("row_id"))
    yield from refs(Kind.PRODUCT, [version["entity_id"] for version in versions if version is not None])


def _affected_by_flag(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """Another version of the catalogue is live: any product may have another row now."""
    # The flag table holds other flags as well.
    if change.before is None or change.after is None or version_in(change.before) != version_in(change.after):
        yield _ALL


# -------------------------------------------------------------------------------------------------- descriptor


def _tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    further = (*((_WEBSITES,) if settings.filter.websites else ()), *categories.tables(settings))
    if settings.product_key != "row_id":
        values = EAV.specs(settings, ("value_id", "entity_id", "attribute_id", "store_id", "value"))
        # In Adobe Commerce a product has one row per version.
        return (_PRODUCTS, *values, *further)
    columns = ("row_id", "entity_id", "created_in", "updated_in", *_PRODUCTS.columns[1:])
    products = replace(_PRODUCTS, key=("row_id",), columns=columns, indexes=(("entity_id",),))
    values = EAV.specs(settings, ("value_id", "row_id", "attribute_id", "store_id", "value"))
    return (VERSIONS, _SEQUENCE, products, *values, *further)


def _keep_version(row: Row, rows: RowReader, plan: Plan) -> bool:
    return is_staging(row)


def _fetches(product_id: int, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """Its row and its values; in Adobe Commerce the values of all its rows in the replica."""
    keys: list[Value] = [product_id]
    # Values hang on the version's row.
    if plan.row_ids:
        keys = [row["row_id"] for row in rows.find("catalog_product_entity", "entity_id", product_id)]
    tables = plan.value_tables[EAV].values()
    websites = (FetchByKey(_WEBSITES.name, "product_id", product_id),) if plan.settings.filter.websites else ()
    return (
        FetchByKey("catalog_product_entity", "entity_id", product_id),
        *(FetchByKey(table, plan.product_key, key) for key in keys for table in tables),
        *websites,
        *categories.fetches(product_id, plan),
    )


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    """First the products with a row, then the products that only lines name."""
    stand_ins = BulkInvalidation(
        Kind.PRODUCT, "sales_order_item", "product_id", unless=("catalog_product_entity", "entity_id")
    )
    return (_ALL, stand_ins)


def _rows_used(plan: Plan) -> tuple[RowsUsed, ...]:
    links = (RowsUsed(categories.LINKS.name, "product_id"),) if plan.settings.product.categories else ()
    tables = plan.value_tables[EAV].values()
    # In Adobe Commerce values hang on the versions of a product.
    if plan.row_ids:
        versions = ("catalog_product_entity", "row_id")
        values = [RowsUsed(table, "row_id", named_in=versions) for table in tables]
    else:
        values = [RowsUsed(table, "entity_id") for table in tables]
    return (RowsUsed("catalog_product_entity", "entity_id"), *values, *links)


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.PRODUCT,
    properties=_PROPERTIES,
    tables=_tables,
    render=render,
    affected_by=(
        ("sales_order", _affected_by_order),
        ("sales_order_item", _affected_by_item),
        ("catalog_product_entity", named_in(Kind.PRODUCT, "entity_id")),
        ("catalog_product_website", named_in(Kind.PRODUCT, "product_id")),
        *((table, _affected_by_value) for table in EAV.tables.values()),
        ("flag", _affected_by_flag),
        *affected_by_eav(EAV),
        *categories.affected_by(),
        *affected_by_eav(categories.EAV),
    ),
    fetches=_fetches,
    everything=_everything,
    column_groups=(OWN,),
    eav_entities=(EAV, categories.EAV),
    keep={VERSIONS.name: _keep_version},
    rows_used=_rows_used,
    name=Name("catalog_product_entity", "sku", "entity_id"),
    switched_on=categories.properties,
)
