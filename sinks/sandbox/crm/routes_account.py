"""Paths about the account: details, use of the API, limits, enabled objects, an admin's rules."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from aiohttp import web

from cdc.model import ObjectType
from sinks.sandbox.crm.account import CrmAccount
from sinks.sandbox.crm.gate import CRM, answer_json
from sinks.sandbox.crm.paths import add, kind_in
from sinks.sandbox.crm.quota import OBJECTS
from sinks.sandbox.crm.types import TYPES, type_named
from sinks.sandbox.crm.values import iso, iso_ms

RECORD_LIMIT: Final = 15_000_000
PROPERTY_LIMIT: Final = 1_000
ALL_PROPERTIES_LIMIT: Final = 10_000

_DATED: Final = r"{version:\d\d\d\d-\d\d|v3}"


async def get_details(request: web.Request) -> web.Response:
    """GET details: portal id, kind of account, time zone, currencies."""
    account = request.app[CRM].account
    offset = datetime.fromtimestamp(account.now_ms() / 1000, ZoneInfo(account.time_zone)).utcoffset()
    seconds = int(offset.total_seconds()) if offset is not None else 0
    sign = "-" if seconds < 0 else "+"
    return answer_json(
        {
            "portalId": account.portal_id,
            "accountType": "STANDARD",
            "timeZone": account.time_zone,
            "companyCurrency": account.currencies[0],
            "additionalCurrencies": list(account.currencies[1:]),
            "utcOffset": f"{sign}{abs(seconds) // 3600:02}:{abs(seconds) % 3600 // 60:02}",
            "utcOffsetMilliseconds": seconds * 1000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        }
    )


async def get_usage(request: web.Request) -> web.Response:
    """GET api-usage/daily/private-apps: calls of this day and when they are counted anew."""
    runtime = request.app[CRM]
    quota, now_ms = runtime.quotas[OBJECTS], runtime.account.now_ms()
    usage = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": quota.daily or 0,
        "currentUsage": quota.used_today,
        "collectedAt": iso_ms(now_ms),
        "fetchStatus": "SUCCESS",
        "resetsAt": iso(quota.resets_at(now_ms)),
    }
    return answer_json({"results": [usage]})


def _of_type(account: CrmAccount, kind: ObjectType, usage: int, limit: int) -> dict[str, Any]:
    names = TYPES[kind]
    return {
        "objectTypeId": names.type_id,
        "singularLabel": names.title,
        "pluralLabel": f"{names.title}s",
        "limit": limit,
        "usage": usage,
        "percentage": round(100 * usage / limit, 2) if limit else 100.0,
    }


async def get_records(request: web.Request) -> web.Response:
    """GET limits/records."""
    account = request.app[CRM].account
    own = {"byObjectType": [], "overallLimit": 500_000, "overallUsage": 0, "overallPercentage": 0.0}
    limits = account.behaviour.record_limits
    types = [_of_type(account, kind, account.records.count(kind), limits.get(kind, RECORD_LIMIT)) for kind in TYPES]
    return answer_json({"hubspotDefinedObjectTypes": types, "customObjectTypes": own})


async def get_custom_properties(request: web.Request) -> web.Response:
    """GET limits/custom-properties."""
    account = request.app[CRM].account
    counts = {
        kind: sum(not item.is_hubspots and not item.archived_ms for item in held.values())
        for kind, held in account.properties.all.items()
    }
    used = sum(counts.values())
    return answer_json(
        {
            "byObjectType": [_of_type(account, kind, count, PROPERTY_LIMIT) for kind, count in counts.items()],
            "overallLimit": ALL_PROPERTIES_LIMIT,
            "overallUsage": used,
            "overallPercentage": round(100 * used / ALL_PROPERTIES_LIMIT, 2),
        }
    )


async def get_pipelines(request: web.Request) -> web.Response:
    """GET limits/pipelines."""
    account = request.app[CRM].account
    own = {"byObjectType": [], "overallLimit": 100, "overallUsage": 0, "overallPercentage": 0.0}
    count = len(account.pipelines.live(ObjectType.DEAL))
    types = [_of_type(account, ObjectType.DEAL, count, account.behaviour.max_pipelines)]
    return answer_json({"hubspotDefinedObjectTypes": types, "customObjectTypes": own})


async def get_enablement(request: web.Request) -> web.Response:
    """GET object-library enablement of all types, or of one."""
    wanted = request.match_info.get("type_id")
    if wanted is not None:
        return answer_json({"enablement": type_named(wanted) is not None})
    return answer_json({"enablementByObjectTypeId": {names.type_id: True for names in TYPES.values()}})


async def get_validations(request: web.Request) -> web.Response:
    """GET property-validations: rules on values. Rules on required properties have no place in HubSpot's answer."""
    kind, account = kind_in(request), request.app[CRM].account
    found = []
    for name, rules in account.behaviour.value_rules.items():
        plural, _, property_name = name.partition(".")
        if plural == TYPES[kind].plural:
            given = [{"ruleType": rule, "ruleArguments": [], "shouldApplyNormalization": False} for rule in rules]
            found.append({"propertyName": property_name, "propertyValidationRules": given})
    return answer_json({"results": found})


async def get_near_association_limit(request: web.Request) -> web.Response:
    """GET limits/associations/records/{type}/to: types with which a record of this type is associated nearly as often
    as allowed.
    """
    kind, account = kind_in(request), request.app[CRM].account
    found = []
    for other, names in TYPES.items():
        most = account.links.limit((kind, other))
        counts = [len(account.links.of(kind, one, other)) for one in account.records.live[kind]] if most else []
        if most and max(counts, default=0) >= most * 0.8:
            found.append(
                {
                    "objectTypeId": names.type_id,
                    "singularLabel": names.title,
                    "pluralLabel": f"{names.title}s",
                    "hasRecordsAtLimit": max(counts) >= most,
                    "hasRecordsNearLimit": True,
                }
            )
    return answer_json({"results": found})


def add_account_routes(app: web.Application) -> None:
    """All paths that tell about the account."""
    app.router.add_get(f"/account-info/{_DATED}/details", get_details)
    app.router.add_get(f"/account-info/{_DATED}/api-usage/daily/private-apps", get_usage)
    add(app, "GET", "limits", "/records", get_records)
    add(app, "GET", "limits", "/custom-properties", get_custom_properties)
    add(app, "GET", "limits", "/pipelines", get_pipelines)
    add(app, "GET", "limits", "/associations/records/{type}/to", get_near_association_limit)
    add(app, "GET", "object-library", "/enablement", get_enablement)
    add(app, "GET", "object-library", "/enablement/{type_id}", get_enablement)
    add(app, "GET", "property-validations", "/{type}", get_validations)
