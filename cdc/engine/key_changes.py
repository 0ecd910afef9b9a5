"""Follows the shop's foreign keys through the log: a definition may change what a parent's deletion does to its
children.

The server names its keys as they are now, which may be later than the position that is read. So the children of every
key that a definition changed are read again. Then rows that cascaded in another way than assumed are right again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from cdc.errors import StateError
from cdc.model import DeleteRule, ForeignKey, StaleTable, TableSpec, Transaction
from cdc.replica.cascades import Cascades, with_between
from cdc.state.store import Store

_REASON: Final = "a foreign key of it, or of a table above it, changed"


class KeyChanges:
    """The foreign keys in force, as the state has them, and the tables that become stale when they change."""

    def __init__(self, store: Store, cascades: Cascades) -> None:
        self._store = store
        self._cascades = cascades

    def reopen(self) -> list[StaleTable]:
        """The state was opened, and the server has these keys now: the tables that may be wrong, as keys changed since
        the state was last used. Use inside a store transaction.
        """
        held = self._store.meta.foreign_keys
        self._keep()
        if held is None:
            return []
        return self._below(self._changed(_loaded(held)))

    def follow(self, transaction: Transaction, mapped: Sequence[TableSpec]) -> list[StaleTable]:
        """From this transaction on its keys are in force. Returns the tables that may be wrong. Use inside a store
        transaction.

        Raises StateError when a new key uses a column that the replica does not keep; a restart makes the replica keep
        it.
        """
        keys = transaction.foreign_keys
        if keys is None:
            return []
        self._must_keep(with_between(mapped, keys))
        before = self._cascades.keys
        self._cascades.follow(keys)
        self._keep()
        changed = self._changed(before)
        # A table that is renamed into place or made anew is stale for that already; one that is gone keeps its rows.
        known = {stale.table for stale in transaction.stale} | {
            one.table for one in transaction.schemas if not one.exists
        }
        return self._below(changed | (set(transaction.keys_of) - known))

    def reread(self) -> None:
        """The transaction was rolled back: the earlier keys are in force."""
        held = self._store.meta.foreign_keys
        if held is not None:
            self._cascades.follow(_loaded(held))

    def _keep(self) -> None:
        keys = sorted(self._cascades.keys, key=lambda key: (key.child, key.child_column, key.parent))
        self._store.meta.foreign_keys = [asdict(key) for key in keys]

    def _changed(self, before: frozenset[ForeignKey]) -> set[str]:
        """The kept tables with kept parents whose foreign keys have changed."""
        tables = self._store.tables
        return {key.child for key in before ^ self._cascades.keys if key.child in tables and key.parent in tables}

    def _below(self, children: Iterable[str]) -> list[StaleTable]:
        """These tables, and the tables that a deletion of their rows cascades to."""
        found: dict[str, None] = {}
        for child in sorted(children):
            if child in self._store.tables:
                found.update(dict.fromkeys([child, *sorted(self._cascades.below(child))]))
        return [StaleTable(table, _REASON) for table in found]

    def _must_keep(self, needed: Sequence[TableSpec]) -> None:
        for spec in needed:
            held = self._store.tables.get(spec.name)
            lacking = sorted(set(spec.columns) - set(held.columns if held is not None else ()))
            if lacking:
                raise StateError(
                    f"a new foreign key hangs on {spec.name}.{lacking[0]}, which the state does not hold yet",
                    hint="start magento-cdc again: it reads that table anew, and goes on where it was",
                )


def _loaded(held: Iterable[Mapping[str, str]]) -> frozenset[ForeignKey]:
    return frozenset(
        ForeignKey(key["child"], key["child_column"], key["parent"], key["parent_column"], DeleteRule(key["rule"]))
        for key in held
    )
