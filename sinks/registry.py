"""The list of all sinks. No other module names them.

A sink that talks HTTP is imported when it is made or asked: most commands only read the list, and an HTTP client takes
longer to import than such a command takes.

A new sink: a package or module here with a class that keeps ``Sink`` (cdc/protocols.py), its settings in cdc/settings,
its name in ``SinkSettings.kind``, an entry in ``SINKS``, and a factory in tests/contract/test_sinks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cdc.model import ObjectType
from cdc.protocols import Sink, SinkTraits
from cdc.settings.config import Settings
from sinks.jsonl import STDOUT, JsonlSink


def _no_link(object_type: ObjectType, record_id: str, notes: Mapping[str, str]) -> str:
    return ""


def _crm_link(object_type: ObjectType, record_id: str, notes: Mapping[str, str]) -> str:
    from sinks.crm.paths import record_link
    from sinks.crm.sink import ACCOUNT_NOTE

    return record_link(object_type, record_id, notes.get(ACCOUNT_NOTE, ""))


def _same_name(settings: Settings, object_type: ObjectType, name: str) -> str:
    return name


def _never(settings: Settings) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkEntry:
    """What commands have to know about one kind of sink.

    ``make``: the sink; opens no connection; ConfigError for settings that cannot work. ``traits``: its traits, also for
    settings without a key, for commands that send nothing. ``contacts_by_email``: as in its traits. ``property_name``:
    (settings, object type, neutral name) → the receiver's name of the property, "" if it has none. ``record_link``:
    (object type, record id, the sink's notes) → address of the record's page, "" if there is none. ``writes_stdout``:
    messages go to stdout, so nothing else may be written there.
    """

    make: Callable[[Settings], Sink]
    traits: Callable[[Settings], SinkTraits]
    contacts_by_email: bool = False
    property_name: Callable[[Settings, ObjectType, str], str] = _same_name
    record_link: Callable[[ObjectType, str, Mapping[str, str]], str] = _no_link
    writes_stdout: Callable[[Settings], bool] = _never


def _crm(settings: Settings) -> Sink:
    from sinks.crm.sink import CrmSink

    return CrmSink(settings)


def _crm_traits(settings: Settings) -> SinkTraits:
    from sinks.crm.sink import traits_of

    return traits_of(settings)


def _bridge(settings: Settings) -> Sink:
    from sinks.bridge.sink import BridgeSink

    return BridgeSink(settings.sink, settings.mapping.custom_properties(), namespace=settings.mapping.namespace)


def _bridge_name(settings: Settings, object_type: ObjectType, name: str) -> str:
    from sinks.bridge.mapping import MAPPED, rows

    # The bridge does not take this type at all.
    if object_type not in MAPPED:
        return ""
    target = rows(object_type, settings.mapping.custom_properties()).get(name)
    return target.name if target else ""


def _crm_name(settings: Settings, object_type: ObjectType, name: str) -> str:
    from sinks.crm.properties import table_of

    target = table_of(settings).target(object_type, name)
    return target.name if target else ""


SINKS: Final[Mapping[str, SinkEntry]] = {
    "crm": SinkEntry(
        make=_crm, traits=_crm_traits, contacts_by_email=True, property_name=_crm_name, record_link=_crm_link
    ),
    "bridge": SinkEntry(make=_bridge, traits=lambda settings: _bridge(settings).traits, property_name=_bridge_name),
    "jsonl": SinkEntry(
        make=lambda settings: JsonlSink(settings.sink),
        traits=lambda settings: JsonlSink(settings.sink).traits,
        writes_stdout=lambda settings: settings.sink.path == STDOUT,
    ),
}
"""``sink.kind`` → its entry."""


def entry_of(settings: Settings) -> SinkEntry:
    """The entry of the sink in the settings."""
    return SINKS[settings.sink.kind]


def make_sink(settings: Settings) -> Sink:
    """The sink in the settings. Opens no connection. ConfigError for settings that cannot work."""
    return entry_of(settings).make(settings)
