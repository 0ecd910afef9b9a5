"""The foreign keys that the replica needs: a parent's deletion changes child rows, and the log has no events of that.

InnoDB runs ON DELETE CASCADE and SET NULL below the binlog, so we run them ourselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cdc.model import DeleteRule, ForeignKey, TableSpec

CORE_FILE = Path(__file__).with_name("core_foreign_keys.tsv")
_SEQUENCES = {
    "catalog_product_entity": "sequence_product",
    "catalog_category_entity": "sequence_catalog_category",
}
"""In Adobe Commerce: the tables with a row per version → the table with the ids of products or categories."""


def core_foreign_keys() -> tuple[ForeignKey, ...]:
    """Magento core's foreign keys among the tables we can map, for reading logs without a server."""
    lines = CORE_FILE.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return tuple(ForeignKey(c, cc, p, pc, DeleteRule(rule)) for c, cc, p, pc, rule in rows)


def in_row_ids(keys: Iterable[ForeignKey]) -> tuple[ForeignKey, ...]:
    """Core's foreign keys in Adobe Commerce: the values of a product or a category refer to its row, and the row refers
    to a sequence.
    """
    moved = []
    for key in keys:
        sequence = _SEQUENCES.get(key.parent)
        # Keys among other tables are alike in both editions.
        if sequence is None:
            moved.append(key)
        elif key.child.startswith(f"{key.parent}_") and key.child_column == "entity_id":
            # Adobe Commerce keeps versions of a product: values belong to a version (row_id), not to the
            # product.
            moved.append(replace(key, child_column="row_id", parent_column="row_id"))
        else:
            moved.append(replace(key, parent=sequence, parent_column="sequence_value"))
    own = (
        ForeignKey(table, "entity_id", sequence, "sequence_value", DeleteRule.CASCADE)
        for table, sequence in _SEQUENCES.items()
    )
    return (*moved, *own)


class Cascades:
    """The foreign keys between tables that are kept, by parent table and by child table."""

    def __init__(self, specs: Sequence[TableSpec], keys: Iterable[ForeignKey]) -> None:
        self._kept = {spec.name: spec for spec in specs}
        self._reference = {spec.name for spec in specs if spec.reference or spec.keys_only}
        self.keys: frozenset[ForeignKey] = frozenset()
        """All of the shop's foreign keys, also those of tables that are not kept."""
        self.of_parent: dict[str, list[ForeignKey]] = defaultdict(list)
        self.of_child: dict[str, list[ForeignKey]] = defaultdict(list)
        self.follow(keys)

    def follow(self, keys: Iterable[ForeignKey]) -> None:
        """From now on these are the foreign keys. Keys whose columns are not kept are left out."""
        kept, keys = self._kept, tuple(keys)
        self.keys = frozenset(keys)
        self.of_parent.clear()
        self.of_child.clear()
        for key in keys:
            # A table or column outside the mapping: its rows are not held.
            if key.child not in kept or key.parent not in kept or key.child_column not in kept[key.child].columns:
                continue
            self.of_parent[key.parent].append(key)
            self.of_child[key.child].append(key)

    def below(self, table: str) -> set[str]:
        """The tables whose rows a deletion of this one's rows may change."""
        edges = {parent: [key.child for key in keys] for parent, keys in self.of_parent.items()}
        return _reach(edges, edges.get(table, ()))

    def indexes(self) -> dict[str, set[tuple[str, ...]]]:
        """Per child table, the columns by which a parent's deletion finds its rows.

        None for parents that are reference tables: a store or an attribute is deleted so rarely that a scan costs less
        than the index.
        """
        return {
            child: {(key.child_column,) for key in keys if key.parent not in self._reference}
            for child, keys in self.of_child.items()
        }


def with_between(specs: Sequence[TableSpec], keys: Sequence[ForeignKey]) -> tuple[TableSpec, ...]:
    """The mapped tables, each with the columns of its foreign keys, and the tables between two mapped tables.

    A website's deletion reaches ``store`` through ``store_group``: only the keys of such a table are kept. Tables and
    columns are added until every path of CASCADEs between two mapped tables is covered.
    """
    mapped = {spec.name: spec for spec in specs}
    parents: dict[str, list[ForeignKey]] = defaultdict(list)
    for key in keys:
        parents[key.child].append(key)
    below = _reach(
        {
            name: [k.child for k in keys if k.parent == name and k.rule is DeleteRule.CASCADE]
            for name in {k.parent for k in keys}
        },
        mapped,
    )
    above = _reach({name: [k.parent for k in ks] for name, ks in parents.items()}, mapped)
    kept = dict(mapped)
    # Below one mapped table and above another: without this table the chain of cascades would break here.
    for name in sorted((below & above) - mapped.keys()):
        own = {k.child_column for k in parents[name]} & {
            k.child_column for k in parents[name] if k.parent in kept or k.parent in below & above
        }
        key_columns = sorted({k.parent_column for k in keys if k.parent == name})
        # Only keys are kept: the table has no mapped values, it is a step of the cascade.
        columns = (*key_columns, *sorted(own - set(key_columns)))
        kept[name] = TableSpec(name, tuple(key_columns), columns, required=False, keys_only=True)
    return tuple(_with_parent_columns(spec, parents[spec.name], kept) for spec in kept.values())


def _reach(edges: dict[str, list[str]], start: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    todo = list(start)
    while todo:
        # A key that leads back to a table seen before must not loop.
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(edges.get(name, ()))
    return seen


def _with_parent_columns(spec: TableSpec, keys: Sequence[ForeignKey], kept: dict[str, TableSpec]) -> TableSpec:
    needed = {k.child_column for k in keys if k.parent in kept and k.rule is DeleteRule.CASCADE}
    missing = sorted(needed - set(spec.columns))  # a SET NULL matters only to a column that is mapped
    if not missing:
        return spec
    return replace(spec, columns=(*spec.columns, *missing), optional=spec.optional | frozenset(missing))
