"""Batch create, update and upsert: which inputs are written, which are refused, and when the whole call is refused.

HubSpot's rule: with a different ``objectWriteTraceId`` on every input, each input has its own outcome. Without them,
one bad input refuses the whole call and nothing is written, except that a batch update names missing records one by
one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cdc.model import ObjectType
from sinks.sandbox.crm.associations import Associations, Link
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.conflicts import find_conflict
from sinks.sandbox.crm.inputs import Input, check_values, read_inputs
from sinks.sandbox.crm.records import Record, Records, Undo
from sinks.sandbox.crm.refusals import (
    NOT_FOUND,
    CrmRefusalError,
    Problem,
    ValueProblem,
    missing_properties,
    refuse,
    values_problem,
)
from sinks.sandbox.crm.standard import moves_forward
from sinks.sandbox.crm.types import TYPES
from sinks.sandbox.crm.values import Rule

Verb = Literal["create", "update", "upsert"]
MAX_INPUTS: Final = 100


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of one input. ``changed``: stored values that are new; ``names``: properties that it sent."""

    record: Record
    is_new: bool
    names: tuple[str, ...]
    changed: Mapping[str, str]
    trace_id: str = ""
    warnings: Sequence[Mapping[str, Any]] = ()
    links: Sequence[Link] = ()


@dataclass(slots=True)
class Outcome:
    """The outcome of a call: the inputs that were written, and those that were refused."""

    written: list[Written] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """One batch call. ``has_rules``: the API version checks an admin's rules (2026-09 and later)."""

    verb: Verb
    kind: ObjectType
    now_ms: int
    has_rules: bool = True
    source: str = "API"


@dataclass(slots=True)
class _Plan:
    """One input in work: the record that it names (None: a new record), and the values that it sets."""

    item: Input
    target: Record | None
    values: dict[str, str] = field(default_factory=dict)
    warnings: list[Mapping[str, Any]] = field(default_factory=list)


class Writer:
    """Writes to the records of one account."""

    def __init__(
        self,
        records: Records,
        links: Associations,
        behaviour: Behaviour,
        rule_of: Callable[[ObjectType, str, Mapping[str, str]], Rule | None],
        defaults: Callable[[ObjectType], Mapping[str, str]],
        portal_id: int,
    ) -> None:
        """``rule_of``: the rule for a property's values on a record with these properties; None: there is no such
        property.
        """
        self._records = records
        self._links = links
        self._behaviour = behaviour
        self._rule_of = rule_of
        self._defaults = defaults
        self._portal_id = portal_id

    def run(self, call: Call, body: Any, is_unique: Callable[[str], bool]) -> Outcome:
        """Do one call. CrmRefusalError if it is refused as a whole: then nothing was written."""
        items = read_inputs(body, call.verb, MAX_INPUTS)
        self._check_ids(call, items, is_unique)
        traces = [item.trace_id for item in items]
        # HubSpot answers each input by itself only if every input has a trace id of its own.
        if all(traces) and len(set(traces)) == len(traces):
            return self._each(call, items)
        return self._all_or_none(call, items)

    # ---------------------------------------------------------------------------------------------------- ids

    def _check_ids(self, call: Call, items: Sequence[Input], is_unique: Callable[[str], bool]) -> None:
        """Refuse ids of properties that are not unique, ids that come twice, and two ids of one record."""
        # A new record has no id that could be wrong.
        if call.verb == "create":
            return
        for item in items:
            name = item.id_property
            # Emails may name contacts in an upsert, and in no other call.
            by_email = call.verb == "upsert" and call.kind is ObjectType.CONTACT and name == "email"
            if call.verb == "upsert" and not name:
                raise refuse("idProperty is required in each input of an upsert")
            # HubSpot refuses a whole call whose idProperty is not unique.
            if name and not by_email and (name == "email" or not is_unique(name)):
                type_id = TYPES[call.kind].type_id
                raise refuse(
                    f"Unable to perform update/upsert by non-unique {type_id} property {name} "
                    f"in portal ID {self._portal_id}"
                )
        self._refuse_twice([item.id for item in items])
        targets = [(item, self._target(call, item)) for item in items]
        seen: dict[str, Input] = {}
        for item, target in targets:
            if target is not None and target.id in seen:
                # HubSpot was seen to refuse either at once or after a part of the work; the sink must hold
                # under both.
                if self._behaviour.same_record_twice == "refuse_late":
                    self._all_or_none(call, [seen[target.id]])
                raise _twice([target.id])
            if target is not None:
                seen[target.id] = item

    @staticmethod
    def _refuse_twice(ids: Sequence[str]) -> None:
        twice = [record_id for record_id in dict.fromkeys(ids) if ids.count(record_id) > 1]
        if twice:
            raise _twice(twice)

    def _target(self, call: Call, item: Input) -> Record | None:
        if call.verb == "create":
            return None
        if item.id_property:
            return self._records.find(call.kind, item.id_property, item.id)
        # Without idProperty ids are record ids.
        return self._records.get(call.kind, item.id)

    # -------------------------------------------------------------------------------------------------- writing

    def _each(self, call: Call, items: Sequence[Input]) -> Outcome:
        """Every input has its own outcome, named by its trace id."""
        outcome = Outcome()
        for item in items:
            undo: Undo = []
            try:
                plan = self._plan(call, item)
                outcome.written.append(self._write(call, plan, undo))
            except CrmRefusalError as refusal:
                # What this input changed before it failed must not stay.
                _take_back(undo)
                outcome.problems.append(refusal.problem.with_context(objectWriteTraceId=[item.trace_id]))
        return outcome

    def _all_or_none(self, call: Call, items: Sequence[Input]) -> Outcome:
        """One bad input refuses all; only an update writes the existing records and names the missing ones."""
        outcome = Outcome()
        plans: list[_Plan] = []
        problems: list[Problem] = []
        for item in items:
            try:
                plans.append(self._plan(call, item))
            except CrmRefusalError as refusal:
                # The exception of HubSpot's rule: an update of records that are gone names them and writes the
                # rest.
                missing = refusal.problem.is_missing and call.verb == "update"
                (outcome.problems if missing else problems).append(refusal.problem)
        if problems:
            raise CrmRefusalError(self._together(problems))
        undo: Undo = []
        try:
            outcome.written.extend(self._write(call, plan, undo) for plan in plans)
        except CrmRefusalError:
            _take_back(undo)
            raise
        return outcome

    def _together(self, problems: Sequence[Problem]) -> Problem:
        """The refusal of a call: all bad values of all inputs in one text, or the first other problem."""
        values = [value for problem in problems for value in problem.values]
        return values_problem(values, self._portal_id) if values else problems[0]

    def _plan(self, call: Call, item: Input) -> _Plan:
        """Read one input. CrmRefusalError if its record is missing or a value does not fit."""
        target = self._target(call, item)
        # Only update needs a record; upsert makes one.
        if target is None and call.verb == "update":
            raise CrmRefusalError(self._missing(item))
        held = target.properties if target is not None else {}
        texts = dict(item.properties)
        # The id is a value too: a new record gets it.
        if call.verb == "upsert" and item.id_property not in texts:
            texts[item.id_property] = item.id
        # A new record begins with the account's defaults.
        if target is None:
            texts = {**self._defaults(call.kind), **texts}
        # A stage is validated against the pipeline that the record will have.
        checked = check_values(texts, lambda name: self._rule_of(call.kind, name, {**held, **texts}), self._behaviour)
        product = checked.values.get("hs_product_id", "") if call.kind is ObjectType.LINE_ITEM else ""
        # Accounts differ in whether an unknown product id is refused.
        if (
            product
            and self._behaviour.unknown_product_is_refused
            and not self._records.get(ObjectType.PRODUCT, product)
        ):
            text = f"Product {product} does not exist"
            checked.problems.append(ValueProblem("hs_product_id", "INVALID_PRODUCT_ID", text))
        if checked.problems:
            raise CrmRefusalError(values_problem(checked.problems, self._portal_id))
        stage = checked.values.get("lifecyclestage")
        # HubSpot lets the lifecycle stage of a contact only advance.
        if call.kind is ObjectType.CONTACT and stage and not moves_forward(held.get("lifecyclestage", ""), stage):
            del checked.values["lifecyclestage"]  # the call succeeds and the value stays
        if call.has_rules:
            self._check_rules(call.kind, target, {**held, **checked.values}, checked.values)
        return _Plan(item, target, checked.values, checked.warnings)

    def _missing(self, item: Input) -> Problem:
        text = "Could not get some objects, they may be deleted or not exist. Check that ids are valid."
        context: dict[str, Sequence[str]] = {"ids": [item.id]}
        # Two forms of naming missing records are in use.
        if self._behaviour.missing_form == "coordinates":
            name = item.id_property or "hs_object_id"
            context = {"missingObjectPropertyValueCoordinates": [f"{name}:{item.id}"]}
        return Problem(text, category=NOT_FOUND, status=404, context=context, is_missing=True)

    def _check_rules(
        self, kind: ObjectType, target: Record | None, after: Mapping[str, str], sent: Mapping[str, str]
    ) -> None:
        """An admin's rules: the rules of the create form for new records, conditional rules for every write that they
        concern.
        """
        # The create form binds new records only.
        if target is None:
            lacks = [name for name in self._behaviour.required_on_create.get(kind, ()) if not after.get(name)]
            if lacks:
                raise CrmRefusalError(missing_properties("MISSING_REQUIRED_PROPERTY", lacks))
        for rule in self._behaviour.conditional_rules.get(kind, ()):
            # A rule counts only for writes that touch one of its properties.
            if after.get(rule.when_property) != rule.when_value or not {rule.when_property, *rule.required} & set(sent):
                continue
            lacks = [name for name in rule.required if not after.get(name)]
            if lacks:
                raise CrmRefusalError(missing_properties("MISSING_CONDITIONAL_REQUIRED_PROPERTY", lacks))

    def _write(self, call: Call, plan: _Plan, undo: Undo) -> Written:
        own_id = plan.target.id if plan.target is not None else ""
        conflict = find_conflict(self._records, self._behaviour, call.kind, own_id, plan.values, call.verb == "create")
        if conflict is not None:
            raise CrmRefusalError(conflict)
        if plan.target is None:
            self._check_limit(call.kind)
            record = self._records.add(call.kind, plan.values, call.now_ms, call.source, undo)
            links = self._links.add_inline(record, plan.item.links, undo)
            changed: Mapping[str, str] = plan.values
        else:
            record, links = plan.target, []
            changed = self._records.write(record, plan.values, call.now_ms, call.source, undo)
        return Written(
            record, plan.target is None, tuple(plan.values), changed, plan.item.trace_id, plan.warnings, links
        )

    def _check_limit(self, kind: ObjectType) -> None:
        limit = self._behaviour.record_limits.get(kind)
        # Some HubSpot plans have such limits.
        if limit is not None and self._records.count(kind) >= limit:
            text = f"The account has reached its limit of {limit} {TYPES[kind].plural}."
            raise refuse(text, category="LIMIT_EXCEEDED")


def _twice(ids: Sequence[str]) -> CrmRefusalError:
    return refuse(f"Duplicate IDs found in batch input: {list(ids)}. IDs must be unique", context={"ids": list(ids)})


def _take_back(undo: Undo) -> None:
    for step in reversed(undo):
        step()
