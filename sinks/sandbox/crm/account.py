"""One account with all its content: the routes work on it, and tests use it directly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from cdc.model import ObjectType
from sinks.sandbox.crm.associations import Associations
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.inputs import READ_ONLY
from sinks.sandbox.crm.pipelines import Pipelines
from sinks.sandbox.crm.properties import Property, PropertyBook
from sinks.sandbox.crm.records import Record, Records
from sinks.sandbox.crm.standard import CURRENCIES, DEFAULT_PIPELINE
from sinks.sandbox.crm.types import TYPES
from sinks.sandbox.crm.values import Rule, iso_ms
from sinks.sandbox.crm.writes import Call, Outcome, Verb, Writer

PORTAL_ID: Final = 1
TIME_ZONE: Final = "Europe/Berlin"

_POSITIVE: Final = frozenset({(ObjectType.LINE_ITEM, "price"), (ObjectType.LINE_ITEM, "quantity")})


def wall_clock_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class CrmAccount:
    """A HubSpot account in memory. Not thread-safe: one event loop uses it.

    ``behaviour`` holds the switches of a test. ``now_ms`` is the account's clock.
    """

    def __init__(self, now_ms: Callable[[], int] = wall_clock_ms, *, portal_id: int = PORTAL_ID) -> None:
        self.now_ms = now_ms
        self.portal_id = portal_id
        self.time_zone = TIME_ZONE
        self.currencies: tuple[str, ...] = CURRENCIES
        self.behaviour = Behaviour()
        self.reset()

    def reset(self) -> None:
        """A new account: HubSpot's own properties and pipeline, and no record. Switches stay as they are."""
        self.properties = PropertyBook(self.behaviour, self.now_ms())
        self.pipelines = Pipelines(self.behaviour, self.now_ms())
        self.records = Records(self.properties, self.behaviour)
        self.links = Associations(self.records, self.behaviour)
        self.writer = Writer(self.records, self.links, self.behaviour, self.rule_of, self._defaults, self.portal_id)

    # -------------------------------------------------------------------------------------------------- writing

    def write(self, verb: Verb, kind: ObjectType, body: Any, *, has_rules: bool = True, source: str = "API") -> Outcome:
        """One batch call. CrmRefusalError if it is refused as a whole."""
        call = Call(verb, kind, self.now_ms(), has_rules, source)
        return self.writer.run(call, body, lambda name: self.properties.is_unique(kind, name))

    def _defaults(self, kind: ObjectType) -> Mapping[str, str]:
        """The values that HubSpot itself sets on a new record."""
        if kind is ObjectType.CONTACT:
            return {"lifecyclestage": "lead"}
        return {"pipeline": DEFAULT_PIPELINE} if kind is ObjectType.DEAL else {}

    def rule_of(self, kind: ObjectType, name: str, held: Mapping[str, str]) -> Rule | None:
        """The rule for a property's values on a record with the properties ``held``; None: there is no such
        property.
        """
        found = self.properties.used(kind, name)
        if found is None:
            return None
        if found.is_read_only:
            return Rule(name, READ_ONLY)
        return Rule(
            name,
            found.type,
            self._options(kind, found, held),
            is_multiple=found.field_type == "checkbox",
            is_email=kind is ObjectType.CONTACT and name == "email",
            is_positive=(kind, name) in _POSITIVE,
        )

    def _options(self, kind: ObjectType, found: Property, held: Mapping[str, str]) -> list[str] | None:
        """Allowed values. Those of stages, pipelines and currencies depend on the account."""
        if kind is ObjectType.DEAL and found.name == "dealstage":
            return self.pipelines.stage_ids(held.get("pipeline") or DEFAULT_PIPELINE)
        if kind is ObjectType.DEAL and found.name == "pipeline":
            return [pipeline.id for pipeline in self.pipelines.live(kind)]
        if found.name in ("deal_currency_code", "hs_line_item_currency_code", "hs_currency_code") and found.is_hubspots:
            return list(self.currencies)
        if found.type in ("enumeration", "bool"):
            return [str(option["value"]) for option in found.options]
        return None

    # -------------------------------------------------------------------------------------------------- reading

    def view(self, record: Record) -> dict[str, str]:
        """All properties of a record, with those that HubSpot computes."""
        names = TYPES[record.kind]
        found = {
            names.created: iso_ms(record.created_ms),
            **record.properties,
            names.modified: iso_ms(record.updated_ms),
            "hs_object_id": record.id,
        }
        if record.merged_ids:
            found["hs_merged_object_ids"] = ";".join(record.merged_ids)
        if record.kind is ObjectType.CONTACT:
            found |= _contact_view(record)
        elif record.kind is ObjectType.DEAL:
            found |= self._deal_view(record)
        return found

    def _deal_view(self, record: Record) -> dict[str, str]:
        pipeline = self.pipelines.all.get(record.properties.get("pipeline", ""))
        stage = pipeline.stages.get(record.properties.get("dealstage", "")) if pipeline is not None else None
        if stage is None:
            return {}
        return {
            "hs_deal_stage_probability": stage.probability,
            "hs_is_closed": "true" if stage.is_closed else "false",
            "hs_is_closed_won": "true" if float(stage.probability) == 1.0 else "false",
        }

    def find(self, kind: ObjectType, name: str, value: str) -> Record | None:
        """The record in use with this value of any property: by the index where the property is unique."""
        if self.properties.is_unique(kind, name):
            return self.records.find(kind, name, value)
        found = (r for r in self.records.live[kind].values() if r.properties.get(name) == value)
        return next(found, None)

    def by_key(self, kind: ObjectType, key: str, *, key_property: str = "magento_key") -> Record | None:
        """The record of one of our objects."""
        return self.find(kind, key_property, key)


def _contact_view(record: Record) -> dict[str, str]:
    held = record.properties
    email = held.get("email", "")
    name = " ".join(filter(None, (held.get("firstname"), held.get("lastname"))))
    found = {"hs_full_name_or_email": name or email}
    if email:
        found["hs_email_domain"] = email.rpartition("@")[2]
    if record.additional_emails:
        found["hs_additional_emails"] = ";".join(record.additional_emails)
    if record.merged_ids:
        found["hs_calculated_merged_vids"] = ";".join(f"{gone}:{record.updated_ms}" for gone in record.merged_ids)
    return found
