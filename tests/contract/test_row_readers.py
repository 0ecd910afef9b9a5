"""One contract for all readers of rows: the replica's SQLite, its rows read ahead, and the tests' dictionary."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cdc.replica.load_state import LoadState, Phase
from cdc.replica.rows import ReplicaRows
from cdc.replica.rows_ahead import RowsAhead
from cdc.settings.mapping import MappingSettings
from cdc.state.store import Store
from mappers.mapping import MagentoMapping
from tests.kit.rows import DictRows
from tests.unit.mappers.test_affected_cover import WORTH, all_rendered, random_shop


def replica_of(rows: DictRows, folder: Path) -> tuple[Store, ReplicaRows]:
    """The same rows in a state file."""
    store = Store(folder, rows.mapper.tables)
    LoadState(store.meta).begin(Phase.COMPLETE)
    copy = ReplicaRows(store, rows.mapper.tables)
    for table in rows.specs:
        target = copy.tables[table]
        for row in rows.every(table):
            target.put([row[column] for column in target.columns], 1)
    return store, copy


@pytest.mark.parametrize("seed", range(8))
def test_the_replica_renders_what_the_dictionary_renders(seed: int, tmp_path: Path) -> None:
    """Order, look-ups and NULLs are the same in all, so what unit tests show holds for the replica."""
    chance = random.Random(seed)
    mapping = MappingSettings.model_validate(
        {
            "store_view": "de",
            "deleted_customers": "guest" if seed % 2 else "drop",
            "customer_value": WORTH if seed < 4 else {},
            "product": {"categories": seed in (0, 1, 4)},
        }
    )
    rows = random_shop(chance, MagentoMapping(mapping, contacts_by_email=seed % 3 == 0))
    store, copy = replica_of(rows, tmp_path)

    in_sqlite = all_rendered(rows.mapper, copy)
    ahead = RowsAhead(copy, rows.mapper.rows_used)
    with ahead.reading(in_sqlite):
        read_ahead = all_rendered(rows.mapper, ahead)
    store.close()

    assert in_sqlite == read_ahead == all_rendered(rows.mapper, rows)
    assert any(in_sqlite.values())
