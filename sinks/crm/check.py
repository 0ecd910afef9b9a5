"""``check``: the account from this sink's side, one line per check, each fault with its fix. Writes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cdc.errors import SinkError
from cdc.model import CheckResult, ObjectType
from cdc.settings.crm import CrmSettings
from sinks.crm import pipelines
from sinks.crm.account import PUSH, Account, AccountDetails, Facts, HeldProperty, key_fault
from sinks.crm.api import Api
from sinks.crm.memory import MERGED
from sinks.crm.paths import SEGMENT
from sinks.crm.properties import PropertyTable
from sinks.crm.rules import account_rules, closed_stages, listed

if TYPE_CHECKING:
    from cdc.protocols import Requests

NEARLY_FULL: Final = 80.0
"""The percentage of a limit from which ``check`` warns."""


async def check(
    api: Api, account: Account, requests: Requests, table: PropertyTable, settings: CrmSettings
) -> list[CheckResult]:
    """All findings. Raises nothing: a check that cannot be made is a finding too."""
    try:
        details = await account.details(requests)
    except SinkError as error:
        return [CheckResult("sink", False, error.message, fix=error.hint)]
    findings = [_account(details, settings)]
    held: dict[ObjectType, Mapping[str, HeldProperty]] = {}
    for kind in table.types:
        found = await _asked(account.properties(requests, kind), f"sink {SEGMENT[kind]}", findings)
        # A service key may lack schema scopes and still write records.
        if found is None:
            text = f"the token may not read the properties of {SEGMENT[kind]}"
            fix = f"add the scope crm.schemas.{SEGMENT[kind]}.read, or trust the account"
            findings.append(CheckResult(f"sink {SEGMENT[kind]}", True, text, fix=fix, warning=True))
            continue
        held[kind] = found
        findings += _properties(kind, found, table)
    findings += await _pipelines(api, requests, settings)
    facts = Facts(details, held)
    findings += await _records(api, requests, table, facts)
    findings += await account_rules(api, requests, table, facts)
    findings += await _limits(api, requests)
    return findings


def kept_findings(shared: Mapping[str, str], conflicts: Mapping[str, str]) -> Iterator[CheckResult]:
    """Problems that the daemon met and could not settle by itself. Keys and record ids only, no address."""
    if conflicts:
        named = listed([f"{key} (record {record_id})" for key, record_id in sorted(conflicts.items())])
        text = f"{len(conflicts)} object(s) go without their address or SKU, as another record has it: {named}"
        fix = "merge the records in HubSpot or change one of them; or set crm.on_email_conflict"
        yield CheckResult("sink conflicts", True, text, fix=fix, warning=True)
    merged = sorted(key for key, how in shared.items() if how == MERGED)
    if merged:
        text = f"{len(merged)} contact(s) share a record, as people merged them: {listed(merged)}"
        yield CheckResult("sink merged contacts", True, text)


async def _asked(question: Awaitable[Any], name: str, findings: list[CheckResult]) -> Any:
    """The answer; or None and a finding."""
    try:
        return await question
    except SinkError as error:
        findings.append(CheckResult(name, False, error.message, fix=error.hint))
        return None


def _account(details: AccountDetails, settings: CrmSettings) -> CheckResult:
    zone = f", its day ends at midnight in {details.time_zone}" if details.time_zone else ""
    known = f"; its currencies are {listed(sorted(details.currencies))}" if details.currencies else ""
    kind = f" ({details.kind.lower()})" if details.kind else ""
    # The wrong account would be filled with the shop's data.
    if settings.account_id and str(settings.account_id) != details.portal_id:
        text = f"the token belongs to account {details.portal_id}, crm.account_id is {settings.account_id}"
        return CheckResult("sink", False, text, fix="use a token of that account, or mend crm.account_id")
    return CheckResult("sink", True, f"HubSpot account {details.portal_id}{kind} takes the token{zone}{known}")


def _properties(kind: ObjectType, held: Mapping[str, HeldProperty], table: PropertyTable) -> Iterator[CheckResult]:
    name = f"sink {SEGMENT[kind]}"
    # Without the key nothing else matters.
    if fault := key_fault(held.get(table.key), kind, table.key):
        yield CheckResult(name, False, fault[0], fix=fault[1])
        return
    wanted = {definition.name: definition for definition in table.definitions(kind)}
    standard = {target.name for target in table.targets(kind).values() if target.is_standard}
    missing = sorted((wanted.keys() | standard) - held.keys())
    wrong = sorted(
        f"{one.name} is {held[one.name].type}, we write {one.type.value}"
        for one in wanted.values()
        if one.name in held and held[one.name].type != one.type.value
    )
    closed = sorted(one for one in wanted.keys() | standard if one in held and held[one].is_read_only)
    for what, names in (("lacks", missing), ("has of another type", wrong), ("computes by itself", closed)):
        if names:
            text = f"the account {what} {listed(names)}; values for them are left out"
            yield CheckResult(name, True, text, fix=PUSH if names is missing else "", warning=True)
    if not (missing or wrong or closed):
        yield CheckResult(name, True, f"{table.key} is unique, and all {len(wanted)} properties of ours are there")


async def _pipelines(api: Api, requests: Requests, settings: CrmSettings) -> list[CheckResult]:
    name = "sink pipeline"
    findings: list[CheckResult] = []
    path = api.paths.pipelines(ObjectType.DEAL)
    content = await _asked(api.get(requests, path, what="the pipelines of deals"), name, findings)
    if content is None:
        return findings
    held = pipelines.read_pipelines(content)
    found = pipelines.find(held, settings.pipeline)
    # Deals then land in another pipeline, whose stages mean other things.
    if found is None:
        text = f"there is no pipeline {settings.pipeline or pipelines.OUR_LABEL}; deals go to the account's default one"
        return [CheckResult(name, True, text, fix=PUSH, warning=True)]
    missing = [pipelines.STAGES[stage].label for stage in found.missing()]
    # Deals in a stage that is missing are sent without a stage.
    if missing:
        text = f"pipeline {found.label} lacks the stages {', '.join(missing)}"
        return [CheckResult(name, True, text, fix=PUSH, warning=True), *closed_stages(found)]
    return closed_stages(found) or [CheckResult(name, True, f"pipeline {found.label} has every stage")]


async def _records(api: Api, requests: Requests, table: PropertyTable, facts: Facts) -> list[CheckResult]:
    """Whether the token may read records."""
    findings: list[CheckResult] = []
    for kind in table.types:
        if table.key not in facts.properties.get(kind, {}):
            continue  # reported already
        name = f"sink {SEGMENT[kind]}"
        query: dict[str, str | int] = {"limit": 1, "properties": table.key}
        await _asked(api.get(requests, api.paths.objects(kind), what=f"records of {name}", query=query), name, findings)
    return findings


async def _limits(api: Api, requests: Requests) -> list[CheckResult]:
    """How full the account is. A token with schema scopes only may not ask; that is not a fault."""
    findings = []
    for what in ("records", "custom-properties"):
        try:
            content = await api.get(requests, api.paths.limits(what), what=f"the account's limit of {what}")
        except SinkError as error:
            # Limits are advice; a token that may not ask is no fault.
            findings.append(CheckResult("sink limits", True, error.message, fix=error.hint, warning=True))
            continue
        full = [(label, percent) for label, percent in _usages(content) if percent >= NEARLY_FULL]
        text = ", ".join(f"{label} at {percent:g} %" for label, percent in full)
        if full:
            findings.append(CheckResult("sink limits", True, f"{what}: {text} of the account's limit", warning=True))
        else:
            findings.append(CheckResult("sink limits", True, f"{what}: under {NEARLY_FULL:g} % of the account's limit"))
    return findings


def _usages(content: Any) -> Iterator[tuple[str, float]]:
    """Label and percentage of each entry that has both."""
    for member in ("hubspotDefinedObjectTypes", "byObjectType"):
        items = content.get(member) if isinstance(content, Mapping) else None
        for item in items if isinstance(items, list) else []:
            percent = item.get("percentage") if isinstance(item, Mapping) else None
            # HubSpot leaves the number out for types without a limit.
            if isinstance(percent, int | float) and not isinstance(percent, bool):
                yield str(item.get("pluralLabel", "?"))[:50], float(percent)
