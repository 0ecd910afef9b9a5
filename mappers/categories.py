"""A product's categories as names and paths (``mapping.product.categories``).

Pure. A category is a row of a tree: ``parent_id`` leads up to the tree's root, whose ``parent_id`` is 0. Below it are
the roots of the stores ("Default Category"), which no shop page shows, so neither of the two is part of a path. Names
are EAV values by store view. In Adobe Commerce a category has a row for each scheduled version, as a product has
(``mappers/versions.py``).

A category that is renamed or moved changes the paths of all categories below it. Then all products of these categories
are affected, as bulk invalidations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, Row, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from cdc.settings.mapping_switches import CATEGORY_NAMES, CATEGORY_PATHS
from mappers.attributes import ADMIN, JOINT
from mappers.eav import EavEntity
from mappers.objects.descriptor import Property
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange, named_in
from mappers.shop import shop
from mappers.text import clean
from mappers.versions import live_row

STEP: Final = " > "
"""Between the names of a path; a slash may be a part of a name."""
DEEPEST: Final = 50
"""More steps than any tree of categories has: rows that lead in a circle must end."""
FEW: Final = 20
"""Products of more changed categories than that are one bulk invalidation, as each reads the whole table of links."""

_TABLE: Final = "catalog_category_entity"
_NAMES: Final = f"{_TABLE}_varchar"
LINKS: Final = TableSpec(
    "catalog_category_product",
    ("entity_id", "category_id", "product_id"),
    ("entity_id", "category_id", "product_id"),
    indexes=(("product_id",), ("category_id",)),
)
"""Which products a category has. Their order in the category is not read, so sorting a category costs nothing."""
_TREE: Final = TableSpec(_TABLE, ("entity_id",), ("entity_id", "parent_id"), indexes=(("parent_id",),), reference=True)
_SEQUENCE: Final = TableSpec(
    "sequence_catalog_category", ("sequence_value",), ("sequence_value",), required=False, keys_only=True
)
"""The table whose row Adobe Commerce deletes with a category; the cascade deletes its other rows without events."""
_ALL: Final = BulkInvalidation(Kind.PRODUCT, LINKS.name, "product_id")


def _needed(settings: MappingSettings) -> frozenset[str]:
    return frozenset({"name"}) if settings.product.categories else frozenset()


EAV: Final = EavEntity(
    Kind.PRODUCT,
    "catalog_category",
    {"varchar": _NAMES},
    everything=_ALL,
    asked=lambda settings: {},
    needed=_needed,
    names_object=lambda settings: False,
)


def tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    """The tables of categories; none if the settings do not ask for categories."""
    if not settings.product.categories:
        return ()
    if settings.product_key != "row_id":
        names = EAV.specs(settings, ("value_id", "entity_id", "attribute_id", "store_id", "value"))
        return (_TREE, *(replace(spec, reference=True) for spec in names), LINKS)
    tree = replace(
        _TREE,
        key=("row_id",),
        columns=("row_id", "entity_id", "parent_id", "created_in", "updated_in"),
        indexes=(("entity_id",), ("parent_id",)),
    )
    names = EAV.specs(settings, ("value_id", "row_id", "attribute_id", "store_id", "value"))
    return (_SEQUENCE, tree, *(replace(spec, reference=True) for spec in names), LINKS)


def properties(settings: MappingSettings) -> dict[str, Property]:
    """The properties that the settings ask for, with their sources."""
    if not settings.product.categories:
        return {}
    return {
        CATEGORY_NAMES: Property(PropertyType.TEXT, f"{_NAMES}: name"),
        CATEGORY_PATHS: Property(PropertyType.TEXT, f"{_NAMES}: name"),
    }


def fetches(product_id: int, plan: Plan) -> tuple[FetchByKey, ...]:
    """The product's links to categories. The categories themselves are reference rows, which are always there."""
    return (FetchByKey(LINKS.name, "product_id", product_id),) if plan.settings.product.categories else ()


def of_product(product_id: int, rows: RowReader, plan: Plan) -> dict[str, str]:
    """The names and the paths of the product's categories, each joined by ``;`` in the order of the paths."""
    if not plan.settings.product.categories:
        return {}
    paths = paths_of(product_id, rows, plan)
    return {
        CATEGORY_NAMES: clean(JOINT.join(dict.fromkeys(path[-1] for path in paths))),
        CATEGORY_PATHS: clean(JOINT.join(dict.fromkeys(STEP.join(path) for path in paths))),
    }


def paths_of(product_id: int, rows: RowReader, plan: Plan) -> list[tuple[str, ...]]:
    """The paths of the product's categories, sorted: the order of links changes whenever a category is saved."""
    known: Categories = rows.reference("categories", lambda reader: Categories(reader, plan))
    found = (known.path(link.get("category_id")) for link in rows.find(LINKS.name, "product_id", product_id))
    return sorted(path for path in found if path)


class Categories:
    """The paths of categories. Answers are remembered, so make a new object when a reference row changes."""

    def __init__(self, rows: RowReader, plan: Plan) -> None:
        self._rows = rows
        self._plan = plan
        known = shop(rows, plan)
        self._view, self._version = known.view, known.version
        self._codes = known.attributes[EAV].by_table.get(_NAMES, {})
        self._paths: dict[Value, tuple[str, ...]] = {}

    def path(self, category_id: Value) -> tuple[str, ...]:
        """The names from the store's root (left out) down to the category; empty for a root or a category without name.

        A category above that has no name is left out of the path.
        """
        # A shop has few categories and many products.
        if category_id not in self._paths:
            self._paths[category_id] = self._read(category_id)
        return self._paths[category_id]

    def _read(self, category_id: Value) -> tuple[str, ...]:
        chain: list[Row] = []
        row = self._row(category_id)
        while row is not None and row.get("parent_id") and len(chain) < DEEPEST:
            chain.append(row)
            row = self._row(row.get("parent_id"))
        # The last one in the chain is the store's root; a category whose parents are missing hangs nowhere.
        if row is None or row.get("parent_id") or len(chain) < 2:
            return ()
        names = [self._name(one) for one in chain[:-1]]
        return tuple(name for name in reversed(names) if name) if names[0] else ()

    def _row(self, category_id: Value) -> Row | None:
        if not self._plan.row_ids:
            return self._rows.get(_TABLE, category_id)
        return live_row([*self._rows.find(_TABLE, "entity_id", category_id)], self._version)

    def _name(self, category: Row) -> str:
        key = self._plan.product_key
        held = {
            row.get("store_id"): row.get("value")
            for row in self._rows.find(_NAMES, key, category[key])
            if row.get("attribute_id") in self._codes
        }
        return clean(held.get(self._view)) or clean(held.get(ADMIN))


# ------------------------------------------------------------------------------------------- affected objects


def affected_by() -> tuple[tuple[str, Affects], ...]:
    """Table → the products that a row of that table affects."""
    return (
        (LINKS.name, named_in(Kind.PRODUCT, "product_id")),
        (_TABLE, _affected_by_category),
        (_NAMES, _affected_by_name),
    )


def _affected_by_category(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _products_below(change.values("entity_id"), rows, plan)


def _affected_by_name(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    known = shop(rows, plan)
    # A view that is not shown, or an attribute that nobody asked for.
    if not any(row.get("store_id") in (ADMIN, known.view) for row in change.rows()):
        return ()
    if not any(row.get("attribute_id") in known.attributes[EAV].by_table.get(_NAMES, {}) for row in change.rows()):
        return ()
    if not plan.row_ids:
        return _products_below(change.values("entity_id"), rows, plan)
    versions = (rows.get(_TABLE, row_id) for row_id in change.values("row_id"))
    return _products_below([version["entity_id"] for version in versions if version is not None], rows, plan)


def _products_below(categories: list[Value], rows: RowReader, plan: Plan) -> Iterator[BulkInvalidation]:
    """The products of these categories and of all categories below them."""
    found = dict.fromkeys(categories)
    todo = [*found]
    while todo and len(found) <= FEW:
        for row in rows.find(_TABLE, "parent_id", todo.pop()):
            below = row["entity_id"]
            # A circle of parents must not lead round for ever.
            if below not in found:
                found[below] = None
                todo.append(below)
    if len(found) > FEW:
        yield _ALL
        return
    for category_id in found:
        # A new category has no products yet: nothing is to be looked through for it.
        if rows.find(LINKS.name, "category_id", category_id):
            yield replace(_ALL, column="category_id", value=category_id)
