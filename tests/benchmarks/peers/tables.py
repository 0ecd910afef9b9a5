"""What every side is asked for: the tables of the real mapping, in one database."""

from __future__ import annotations

from typing import Final

from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping

DATABASE: Final = "magento"
TABLES: Final = tuple(spec.name for spec in MagentoMapping(MappingSettings()).tables)
