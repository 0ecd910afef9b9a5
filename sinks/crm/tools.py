"""The objects that the parts of one send share."""

from __future__ import annotations

from dataclasses import dataclass

from cdc.settings.crm import CrmSettings
from sinks.crm.account import Account, Facts
from sinks.crm.batches import Batches
from sinks.crm.memory import Memory
from sinks.crm.properties import PropertyTable


@dataclass(frozen=True, slots=True)
class Tools:
    """The objects of one send. ``facts``: as they were at its beginning."""

    batches: Batches
    table: PropertyTable
    settings: CrmSettings
    account: Account
    facts: Facts
    memory: Memory
