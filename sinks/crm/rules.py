"""The account's own rules that would refuse writes, as far as HubSpot can be asked before anything is written.

These are rules on a property's values, limits on associations, closed stages, and the token's right to write. HubSpot
cannot be asked for the requirements of its create form: it names them when it refuses a record (``kept_rules``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cdc.errors import SinkError
from cdc.model import CheckResult, ObjectType
from sinks.crm import bodies, pipelines
from sinks.crm.account import Facts
from sinks.crm.api import Api, MissingScopesError
from sinks.crm.paths import SEGMENT, TYPE_ID
from sinks.crm.properties import PropertyTable

if TYPE_CHECKING:
    from cdc.protocols import Requests

SHOWN: Final = 5

_CLOSED: Final = ("READ_ONLY", "INTERNAL_ONLY")
"""Values of a stage's ``writePermissions`` that refuse our writes."""


async def account_rules(api: Api, requests: Requests, table: PropertyTable, facts: Facts) -> list[CheckResult]:
    """All findings about rules. Raises nothing: a rule that cannot be asked for is a warning."""
    findings: list[CheckResult] = []
    for kind in table.types:
        findings += await _may_write(api, requests, kind)
        findings += await _value_rules(api, requests, table, facts, kind)
    for kind, other in bodies.ASSOCIATION_TYPE:
        if {kind, other} <= {*table.types}:
            findings += await _association_rules(api, requests, kind, other)
    return findings


async def _answer(
    api: Api, requests: Requests, path: str, what: str, findings: list[CheckResult]
) -> Mapping[str, Any] | None:
    """The answer; or a warning and None. If a rule cannot be asked for, HubSpot's answers to the writes show it."""
    try:
        content: Mapping[str, Any] = await api.get(requests, path, what=what)
        return content
    except SinkError as error:
        findings.append(CheckResult("sink rules", True, error.message, fix=error.hint, warning=True))
        return None


def _items(content: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    results = content.get("results") if content is not None else None
    yield from (item for item in results if isinstance(item, Mapping)) if isinstance(results, list) else ()


async def _may_write(api: Api, requests: Requests, kind: ObjectType) -> list[CheckResult]:
    """Whether the token may write records. HubSpot checks the scopes before the batch, and this batch is empty."""
    path, what = api.paths.objects(kind, "batch/update"), f"writing {SEGMENT[kind]}"
    try:
        # Any answer but a refusal of the token will do: no input is written.
        await api.call(requests, "POST", path, what=what, body={"inputs": []})
    except MissingScopesError as error:
        return [CheckResult(f"sink {SEGMENT[kind]}", False, error.message, fix=error.hint)]
    except SinkError as error:
        return [CheckResult("sink rules", True, error.message, fix=error.hint, warning=True)]
    return []


async def _value_rules(
    api: Api, requests: Requests, table: PropertyTable, facts: Facts, kind: ObjectType
) -> list[CheckResult]:
    """Rules on the values of properties that we write."""
    findings: list[CheckResult] = []
    path = api.paths.value_rules(kind)
    content = await _answer(api, requests, path, f"the rules on values of {SEGMENT[kind]}", findings)
    ours = {target.name for target in table.targets(kind).values()} | {table.key, table.deleted_at}
    ruled = []
    for item in _items(content):
        name, rules = item.get("propertyName"), item.get("propertyValidationRules")
        # Rules on other properties are no matter of ours.
        if name not in ours or facts.lacks(kind, name) or not isinstance(rules, list):
            continue
        types = sorted(str(rule.get("ruleType", "?"))[:40] for rule in rules if isinstance(rule, Mapping))
        ruled.append(f"{name} ({', '.join(types)})")
    if ruled:
        text = f"rules of the account on {listed(sorted(ruled))} refuse records whose values do not fit"
        fix = "ease the rules in HubSpot, or map the values to other properties ([mapping])"
        findings.append(CheckResult(f"sink {SEGMENT[kind]}", True, text, fix=fix, warning=True))
    return findings


async def _association_rules(api: Api, requests: Requests, kind: ObjectType, other: ObjectType) -> list[CheckResult]:
    """Limits that an admin set, and records that are at HubSpot's own limit."""
    findings: list[CheckResult] = []
    name = "sink associations"
    for start, end, needs in ((kind, other, 2), (other, kind, 0)):
        pair = f"{SEGMENT[start]} to {SEGMENT[end]}"
        path = api.paths.association_limits(start, end)
        content = await _answer(api, requests, path, f"the account's limits of associations of {pair}", findings)
        most = _lowest(content)
        # A line belongs to one deal or cart for ever; a deal that changes its contact has two for a moment.
        if most is None or (needs and (most >= needs or kind is ObjectType.LINE_ITEM)):
            continue
        text = f"the account lets {SEGMENT[start]} have at most {most} associated {SEGMENT[end]}; HubSpot refuses more"
        fix = "raise the limit in HubSpot: Settings, Objects, Associations"
        findings.append(CheckResult(name, True, text, fix=fix, warning=True))
    path = api.paths.limits(f"associations/records/{TYPE_ID[other]}/to")
    what = f"{SEGMENT[other]} near a limit of associations"
    for item in _items(await _answer(api, requests, path, what, findings)):
        is_full, is_near = item.get("hasRecordsAtLimit") is True, item.get("hasRecordsNearLimit") is True
        if item.get("objectTypeId") == TYPE_ID[kind] and (is_full or is_near):
            word = "at" if is_full else "near"
            text = f"there are {SEGMENT[other]} {word} HubSpot's limit of associated {SEGMENT[kind]}"
            findings.append(CheckResult(name, True, text, warning=True))
    return findings


def _lowest(content: Mapping[str, Any] | None) -> int | None:
    """The lowest limit on our association, which has no label; None without a limit."""
    found = [
        item["userEnforcedMaxToObjectIds"]
        for item in _items(content)
        if item.get("category") == "HUBSPOT_DEFINED" and type(item.get("userEnforcedMaxToObjectIds")) is int
    ]
    return min(found, default=None)


def closed_stages(found: pipelines.Pipeline) -> list[CheckResult]:
    """Stages of ours that the account does not let us write."""
    closed = [stage.label for stage in found.stages if stage.permissions in _CLOSED]
    if not closed:
        return []
    text = f"pipeline {found.label} does not let others write the stages {listed(closed)}"
    fix = "ease the stages' permissions in HubSpot, or choose another pipeline (crm.pipeline)"
    return [CheckResult("sink pipeline", True, text, fix=fix, warning=True)]


def kept_rules(refused: Mapping[str, str], currencies: Mapping[str, str]) -> Iterator[CheckResult]:
    """Problems that the daemon met when it wrote: rules that refused records, and currencies that the account lacks."""
    rules = sorted(set(refused.values()))
    if rules:
        text = f"HubSpot refused {len(refused)} object(s) by rules of the account: {listed(rules)}"
        fix = "fill or map these properties or ease the rules, then `deadletter retry`"
        yield CheckResult("sink rules", True, text, fix=fix, warning=True)
    if currencies:
        text = f"what is sold in {listed(sorted(currencies))} goes without its currency, which the account lacks"
        fix = "add the currency in HubSpot: Settings, Account, Currency; magento_currency has it in any case"
        yield CheckResult("sink currencies", True, text, fix=fix, warning=True)


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
