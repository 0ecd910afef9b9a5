"""Paths under ``/crm/properties`` and ``/crm/pipelines``."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from cdc.model import ObjectType
from sinks.sandbox.crm.gate import CRM, answer_json, json_of, no_content, note
from sinks.sandbox.crm.inputs import list_of_inputs
from sinks.sandbox.crm.paths import add, asks_archived, is_numbered, kind_in
from sinks.sandbox.crm.properties import name_problem, names_of
from sinks.sandbox.crm.refusals import CrmRefusalError, Problem, refuse
from sinks.sandbox.crm.wire import batch_json, group_json, pipeline_json, property_json, stage_json
from sinks.sandbox.crm.writes import MAX_INPUTS


async def list_properties(request: web.Request) -> web.Response:
    """GET all definitions of a type; ``archived=true``: those that were deleted."""
    account, kind = request.app[CRM].account, kind_in(request)
    archived = asks_archived(request)
    found = [
        property_json(account, kind, item)
        for item in account.properties.all[kind].values()
        if bool(item.archived_ms) == archived and account.properties.is_visible(item, account.now_ms())
    ]
    return answer_json({"results": found})


async def get_property(request: web.Request) -> web.Response:
    """GET one definition."""
    account, kind = request.app[CRM].account, kind_in(request)
    archived = asks_archived(request)
    found = account.properties.get(kind, request.match_info["name"], account.now_ms(), archived=archived)
    return answer_json(property_json(account, kind, found))


async def create_property(request: web.Request) -> web.Response:
    """POST one definition."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    note().inputs = 1
    found = account.properties.create(kind, body, account.now_ms())
    return answer_json(property_json(account, kind, found), status=201)


async def update_property(request: web.Request) -> web.Response:
    """PATCH one definition."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    note().inputs = 1
    found = account.properties.change(kind, request.match_info["name"], body, account.now_ms())
    return answer_json(property_json(account, kind, found))


async def archive_property(request: web.Request) -> web.Response:
    """DELETE one definition; its name can be used again."""
    account = request.app[CRM].account
    note().inputs = 1
    account.properties.archive(kind_in(request), request.match_info["name"], account.now_ms())
    return no_content()


async def create_properties(request: web.Request) -> web.Response:
    """POST batch/create: each definition has its own outcome."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    started_ms = account.now_ms()
    inputs = list_of_inputs(body, MAX_INPUTS)
    note().inputs = len(inputs)
    results: list[Any] = []
    problems: list[Problem] = []
    for item in inputs:
        try:
            made = account.properties.create(kind, item, account.now_ms())
            results.append(property_json(account, kind, made))
        except CrmRefusalError as refusal:
            problems.append(name_problem(refusal.problem, str(item.get("name", ""))))
    done = 201 if is_numbered(request) else 200
    status = account.behaviour.partial_status if problems else done
    return answer_json(batch_json(account, started_ms, results, problems), status=status)


async def read_properties(request: web.Request) -> web.Response:
    """POST batch/read: the dated versions require ``archived`` and ``dataSensitivity`` beside ``inputs``."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    started_ms = account.now_ms()
    names = names_of(list_of_inputs(body, MAX_INPUTS))
    note().inputs = len(names)
    if not is_numbered(request) and not {"archived", "dataSensitivity"} <= set(body):
        raise refuse("Some required fields were not set: [archived, dataSensitivity]")
    results, problems = [], []
    for name in names:
        try:
            found = account.properties.get(kind, name, account.now_ms(), archived=body.get("archived") is True)
            results.append(property_json(account, kind, found))
        except CrmRefusalError as refusal:
            problems.append(name_problem(refusal.problem, name))
    status = account.behaviour.partial_status if problems else 200
    return answer_json(batch_json(account, started_ms, results, problems), status=status)


async def archive_properties(request: web.Request) -> web.Response:
    """POST batch/archive: names that are not there count as done."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    names = names_of(list_of_inputs(body, MAX_INPUTS))
    note().inputs = len(names)
    for name in names:
        if account.properties.used(kind, name) is not None:
            account.properties.archive(kind, name, account.now_ms())
    return no_content()


async def list_groups(request: web.Request) -> web.Response:
    """GET all groups of a type."""
    groups = request.app[CRM].account.properties.groups[kind_in(request)]
    return answer_json({"results": [group_json(group) for group in groups.values() if not group.archived]})


async def get_group(request: web.Request) -> web.Response:
    """GET one group."""
    book = request.app[CRM].account.properties
    return answer_json(group_json(book.group(kind_in(request), request.match_info["name"])))


async def create_group(request: web.Request) -> web.Response:
    """POST one group."""
    book, body = request.app[CRM].account.properties, await json_of(request)
    return answer_json(group_json(book.create_group(kind_in(request), body)), status=201)


async def update_group(request: web.Request) -> web.Response:
    """PATCH one group's label or order."""
    book, body = request.app[CRM].account.properties, await json_of(request)
    group = book.group(kind_in(request), request.match_info["name"])
    if not isinstance(body, dict):
        raise refuse("Invalid input JSON: an object is wanted")
    group.label = str(body.get("label", group.label))
    group.display_order = int(body.get("displayOrder", group.display_order))
    return answer_json(group_json(group))


async def archive_group(request: web.Request) -> web.Response:
    """DELETE one group; refused while properties are in it."""
    request.app[CRM].account.properties.archive_group(kind_in(request), request.match_info["name"])
    return no_content()


async def list_pipelines(request: web.Request) -> web.Response:
    """GET all pipelines of a type."""
    account, kind = request.app[CRM].account, kind_in(request)
    return answer_json({"results": [pipeline_json(found) for found in account.pipelines.live(kind)]})


async def get_pipeline(request: web.Request) -> web.Response:
    """GET one pipeline."""
    account = request.app[CRM].account
    return answer_json(pipeline_json(account.pipelines.get(kind_in(request), request.match_info["id"])))


async def create_pipeline(request: web.Request) -> web.Response:
    """POST one pipeline with its stages."""
    account, body = request.app[CRM].account, await json_of(request)
    return answer_json(pipeline_json(account.pipelines.create(kind_in(request), body, account.now_ms())), status=201)


async def update_pipeline(request: web.Request) -> web.Response:
    """PATCH changes, PUT replaces all stages."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    work = account.pipelines.replace if request.method == "PUT" else account.pipelines.change
    return answer_json(pipeline_json(work(kind, request.match_info["id"], body, account.now_ms())))


async def delete_pipeline(request: web.Request) -> web.Response:
    """DELETE one pipeline; refused by default while deals are in it."""
    account, kind, pipeline_id = request.app[CRM].account, kind_in(request), request.match_info["id"]
    account.pipelines.delete(kind, pipeline_id, is_used=_is_used(request, "pipeline", pipeline_id))
    return no_content()


def _is_used(request: web.Request, name: str, value: str) -> bool:
    """Whether deals have this value, unless the call asks not to check."""
    query = request.query
    looks = ("validateDealStageUsagesBeforeDelete", "validateReferencesBeforeDelete")
    if any(query.get(switch, "").lower() == "false" for switch in looks):
        return False
    deals = request.app[CRM].account.records.live[ObjectType.DEAL].values()
    return any(deal.properties.get(name) == value for deal in deals)


async def list_stages(request: web.Request) -> web.Response:
    """GET the stages of a pipeline."""
    account = request.app[CRM].account
    found = account.pipelines.get(kind_in(request), request.match_info["id"])
    return answer_json({"results": [stage_json(stage) for stage in found.live_stages()]})


async def get_stage(request: web.Request) -> web.Response:
    """GET one stage."""
    account, match = request.app[CRM].account, request.match_info
    return answer_json(stage_json(account.pipelines.stage(kind_in(request), match["id"], match["stage"])))


async def create_stage(request: web.Request) -> web.Response:
    """POST one stage."""
    account, body = request.app[CRM].account, await json_of(request)
    made = account.pipelines.create_stage(kind_in(request), request.match_info["id"], body, account.now_ms())
    return answer_json(stage_json(made), status=201)


async def update_stage(request: web.Request) -> web.Response:
    """PATCH or PUT one stage."""
    account, match, body = request.app[CRM].account, request.match_info, await json_of(request)
    found = account.pipelines.change_stage(kind_in(request), match["id"], match["stage"], body, account.now_ms())
    return answer_json(stage_json(found))


async def delete_stage(request: web.Request) -> web.Response:
    """DELETE one stage; refused by default while deals are in it."""
    account, match = request.app[CRM].account, request.match_info
    is_used = _is_used(request, "dealstage", match["stage"])
    account.pipelines.delete_stage(kind_in(request), match["id"], match["stage"], is_used=is_used)
    return no_content()


def add_schema_routes(app: web.Application) -> None:
    """All paths of properties and pipelines. Fixed words come before names, so that no property hides them."""
    for method, tail, handler in (
        ("GET", "", list_properties),
        ("POST", "", create_property),
        ("POST", "/batch/create", create_properties),
        ("POST", "/batch/read", read_properties),
        ("POST", "/batch/archive", archive_properties),
        ("GET", "/groups", list_groups),
        ("POST", "/groups", create_group),
        ("GET", "/groups/{name}", get_group),
        ("PATCH", "/groups/{name}", update_group),
        ("DELETE", "/groups/{name}", archive_group),
        ("GET", "/{name}", get_property),
        ("PATCH", "/{name}", update_property),
        ("DELETE", "/{name}", archive_property),
    ):
        add(app, method, "properties", f"/{{type}}{tail}", handler)
    one = "/{type}/{id}"
    for method, tail, handler in (
        ("GET", "/{type}", list_pipelines),
        ("POST", "/{type}", create_pipeline),
        ("GET", one, get_pipeline),
        ("PATCH", one, update_pipeline),
        ("PUT", one, update_pipeline),
        ("DELETE", one, delete_pipeline),
        ("GET", f"{one}/stages", list_stages),
        ("POST", f"{one}/stages", create_stage),
        ("GET", f"{one}/stages/{{stage}}", get_stage),
        ("PATCH", f"{one}/stages/{{stage}}", update_stage),
        ("PUT", f"{one}/stages/{{stage}}", update_stage),
        ("DELETE", f"{one}/stages/{{stage}}", delete_stage),
    ):
        add(app, method, "pipelines", tail, handler)
