"""The mapper of a state folder, for commands that render from the state without a daemon."""

from __future__ import annotations

from cdc.engine.engine import Engine
from cdc.errors import SetupError
from cdc.settings.config import Settings
from cdc.settings.mapping import PRODUCTS
from cdc.state.schema import stored_columns
from mappers.mapping import MagentoMapping
from sinks.registry import entry_of


def mapper_of(settings: Settings, engine: Engine) -> MagentoMapping:
    """The mapper of these settings. Raises SetupError if the state was made with another mapping."""
    unknown = (*settings.mapping.without_primary_key(), PRODUCTS)
    keys = {table: engine.store.held_columns(table).key for table in unknown}
    by_email = entry_of(settings).contacts_by_email
    mapper = MagentoMapping(settings.mapping.with_primary_keys(keys), contacts_by_email=by_email)
    for spec in mapper.tables:  # SQLite would take a column that is not there for a text
        missing = {*stored_columns(spec)} - {*engine.store.held_columns(spec.name).names}
        if missing:
            raise SetupError(
                f"state folder {settings.state.dir} was made with another mapping: it does not hold"
                f" {spec.name}.{min(missing)}",
                hint="start `magento-cdc run` with these settings; the run loads the missing columns",
            )
    return mapper
