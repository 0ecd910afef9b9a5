"""Inputs of a batch call, from JSON, and their values against the account's properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.refusals import ValueProblem, refuse
from sinks.sandbox.crm.values import Rule, check, text_of

READ_ONLY: Final = "read-only"
"""A rule of this type accepts no value at all."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input. ``id`` and ``id_property`` are empty in a create; ``links`` are its inline associations, unread."""

    properties: Mapping[str, str]
    id: str = ""
    id_property: str = ""
    trace_id: str = ""
    links: Sequence[Any] = ()


@dataclass(slots=True)
class CheckedValues:
    """Values as they are stored, the faults of refused values, and the values that were changed."""

    values: dict[str, str] = field(default_factory=dict)
    problems: list[ValueProblem] = field(default_factory=list)
    warnings: list[Mapping[str, Any]] = field(default_factory=list)


def list_of_inputs(body: Any, most: int) -> list[dict[str, Any]]:
    """The ``inputs`` of any batch call. CrmRefusalError if there are none in the right form, or too many."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise refuse("Invalid input JSON: inputs must be a list of objects")
    if len(inputs) > most:
        raise refuse(f"The batch has {len(inputs)} inputs. At most {most} are allowed.")
    return inputs


def read_inputs(body: Any, verb: str, most: int) -> list[Input]:
    """The inputs of a batch create, update or upsert."""
    return [read_input(item, verb) for item in list_of_inputs(body, most)]


def read_input(item: Mapping[str, Any], verb: str) -> Input:
    """One input. CrmRefusalError if a required member is missing or has another type."""
    properties = item.get("properties")
    if not isinstance(properties, dict):
        raise refuse("Invalid input JSON: properties must be an object in each input")
    record_id = item.get("id", "")
    # Version 4 gives ids as numbers, so an id may come back as a number.
    if isinstance(record_id, int) and not isinstance(record_id, bool):
        record_id = str(record_id)
    if verb != "create" and (not isinstance(record_id, str) or not record_id):
        raise refuse("Invalid input JSON: id is required in each input")
    id_property = item.get("idProperty") or ""
    # HubSpot compares addresses without case and blanks.
    if id_property == "email":
        record_id = record_id.strip().lower()
    links = item.get("associations") or []
    if not isinstance(links, list) or not isinstance(id_property, str):
        raise refuse("Invalid input JSON: associations is a list, idProperty a text")
    texts = {name: text_of(value, name) for name, value in properties.items()}
    return Input(texts, record_id, id_property, str(item.get("objectWriteTraceId") or ""), links)


def check_values(
    texts: Mapping[str, str], rule_of: Callable[[str], Rule | None], behaviour: Behaviour
) -> CheckedValues:
    """Check each value against its property."""
    found = CheckedValues()
    for name, text in texts.items():
        rule = rule_of(name)
        if rule is None:
            message = f'Property "{name}" does not exist'
            found.problems.append(ValueProblem(name, "PROPERTY_DOESNT_EXIST", message))
            continue
        if rule.type == READ_ONLY:
            message = f'"{name}" is a read only property; its value cannot be set.'
            found.problems.append(ValueProblem(name, "READ_ONLY_VALUE", message))
            continue
        if text in behaviour.refused_values:
            found.problems.append(ValueProblem(name, behaviour.refused_values[text], f"{text} is refused"))
            continue
        checked = check(rule, text, behaviour)
        if checked.problem is not None:
            found.problems.append(checked.problem)
            continue
        found.values[name] = checked.value
        if checked.warning is not None:
            found.warnings.append(checked.warning)
    return found
