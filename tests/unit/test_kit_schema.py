"""The tests' own Magento schema: what of it makes noise."""

from __future__ import annotations

import re

from tests.kit import schema


def triggers(*, whole: bool) -> set[str]:
    """The triggers made, by name."""
    found = (re.match(r"CREATE TRIGGER `(\w+)`", statement) for statement in schema.statements(whole=whole))
    return {match[1] for match in found if match}


def test_the_whole_schema_has_every_trigger_of_the_indexers() -> None:
    """With all indexers on schedule, Magento Open Source 2.4.8 has 111 triggers on 37 tables."""
    assert len(triggers(whole=True)) == 111
    assert len(schema.CHANGELOGS) == 37


def test_what_nothing_mapped_hangs_on_is_made_only_when_asked_for() -> None:
    """Most tests do not pay for categories, rules and pages."""
    left_out = {name.removeprefix("trg_").removesuffix("_after_insert") for name in triggers(whole=True)} - {
        name.removeprefix("trg_").removesuffix("_after_insert") for name in triggers(whole=False)
    }

    assert {"catalogrule", "cms_page", "catalog_category_product"} < left_out
    assert not any(name.startswith(("sales_", "customer_")) for name in left_out)


def test_triggers_note_columns_that_are_there() -> None:
    """A misspelt column would fail every write to its table."""
    for name, (column, views) in schema.CHANGELOGS.items():
        assert column in schema.tables()[name].columns
        assert views
