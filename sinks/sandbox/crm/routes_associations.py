"""Paths under ``/crm/associations``, and those of one pair under ``/crm/objects``.

The dated version answers 200 with a body where version 4 answered 201 or 204, and ids as texts where it gave numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from sinks.sandbox.crm.associations import Direction, Link
from sinks.sandbox.crm.gate import CRM, CrmRuntime, answer_json, json_of, no_content, note
from sinks.sandbox.crm.inputs import list_of_inputs
from sinks.sandbox.crm.paths import add, is_numbered, kind_in
from sinks.sandbox.crm.refusals import NOT_FOUND, CrmRefusalError, Problem, refuse
from sinks.sandbox.crm.types import TYPES
from sinks.sandbox.crm.wire import associated_json, batch_json, link_json, pair_json

MAX_PAIRS: Final = 2_000
MAX_READ: Final = 1_000
PAGE: Final = 500
"""Associated records in one answer; ``after`` leads on."""

_Each = Callable[[dict[str, Any]], list[Any]]


def _direction(request: web.Request) -> Direction:
    return kind_in(request, "from"), kind_in(request, "to")


def _each(
    runtime: CrmRuntime, direction: Direction, inputs: list[dict[str, Any]], work: _Each
) -> tuple[list[Any], list[Problem]]:
    """Do the work of each input; a failed input is an entry of ``errors``, and the others are done."""
    results: list[Any] = []
    problems: list[Problem] = []
    for item in inputs:
        try:
            results += work(item)
        except CrmRefusalError as refusal:
            # One bad pair does not spoil the others.
            problems.append(refusal.problem)
            _look_for_unknown_end(runtime, direction, item, refusal.problem)
    return results, problems


def _look_for_unknown_end(runtime: CrmRuntime, direction: Direction, item: dict[str, Any], problem: Problem) -> None:
    # Other refusals say nothing about unknown records.
    if not problem.sub_category.endswith("INVALID_IDENTIFIER"):
        return
    wanted = problem.context["id"][0]
    to = item.get("to")
    is_to = isinstance(to, dict) and str(to.get("id", "")) == wanted
    kind, other = direction if is_to else (direction[1], direction[0])
    runtime.watch.unknown_end(kind, other, wanted, runtime.account.now_ms())


def _add(runtime: CrmRuntime, direction: Direction, item: dict[str, Any], type_ids: list[int]) -> list[Link]:
    """Associate one pair; the links of both directions."""
    links = runtime.account.links
    from_id = links.record_id(direction[0], item.get("from"))
    to_id = links.record_id(direction[1], item.get("to"))
    made = links.add(direction, from_id, to_id, type_ids, [])
    note().links += made
    runtime.watch.linked(made, runtime.account.now_ms())
    return made


async def associate_default(request: web.Request) -> web.Response:
    """POST batch/associate/default: 200 also where some pairs failed; two directed results for each pair."""
    runtime, direction, body = request.app[CRM], _direction(request), await json_of(request)
    account = runtime.account
    started_ms = account.now_ms()
    type_id = account.links.default_type(direction)
    inputs = list_of_inputs(body, MAX_PAIRS)
    note().inputs = len(inputs)

    def work(item: dict[str, Any]) -> list[Any]:
        return _both_ways(runtime, direction, _add(runtime, direction, item, [type_id]))

    results, problems = _each(runtime, direction, inputs, work)
    return answer_json(batch_json(account, started_ms, results, problems))


def _both_ways(runtime: CrmRuntime, direction: Direction, made: list[Link]) -> list[dict[str, Any]]:
    links = runtime.account.links
    back_type = links.default_type((direction[1], direction[0]))
    found = []
    for link in made:
        back = Link((direction[1], direction[0]), link.to_id, link.from_id, back_type, link.is_new)
        found += [link_json(one, links.category(one.type_id)) for one in (link, back)]
    return found


async def batch_create(request: web.Request) -> web.Response:
    """POST batch/create: pairs with types or labels."""
    runtime, direction, body = request.app[CRM], _direction(request), await json_of(request)
    account = runtime.account
    started_ms = account.now_ms()
    account.links.default_type(direction)
    inputs = list_of_inputs(body, MAX_PAIRS)
    note().inputs = len(inputs)

    def work(item: dict[str, Any]) -> list[Any]:
        made = _add(runtime, direction, item, account.links.read_types(direction, item.get("types")))
        labels = [account.links.label(direction, link.type_id) for link in made]
        return [pair_json(direction, made[0].from_id, made[0].to_id, [label for label in labels if label])]

    results, problems = _each(runtime, direction, inputs, work)
    done = 201 if is_numbered(request) else 200
    status = account.behaviour.partial_status if problems else done
    return answer_json(batch_json(account, started_ms, results, problems), status=status)


async def batch_read(request: web.Request) -> web.Response:
    """POST batch/read: what each record is associated with."""
    account, direction, body = request.app[CRM].account, _direction(request), await json_of(request)
    started_ms = account.now_ms()
    inputs = list_of_inputs(body, MAX_READ)
    note().inputs = len(inputs)
    results, problems = [], []
    for item in inputs:
        wanted, after = str(item.get("id", "")), str(item.get("after") or "0")
        record = account.records.get(direction[0], wanted)
        pairs = account.links.of(direction[0], record.id, direction[1]) if record is not None else []
        if not after.isdecimal():
            raise refuse("after is what the last page gave")
        page = pairs[int(after) : int(after) + PAGE]
        # No associations: HubSpot was seen to answer with an error or with nothing.
        if not page:
            if account.behaviour.no_associations_is_error:
                problems.append(_none_found(direction, wanted))
            continue
        found: dict[str, Any] = {
            "from": {"id": wanted},
            "to": [associated_json(account, direction, pair, is_v4=is_numbered(request)) for pair in page],
        }
        # More pairs than fit: the answer names where to go on.
        if int(after) + PAGE < len(pairs):
            found["paging"] = {"next": {"after": str(int(after) + PAGE)}}
        results.append(found)
    status = account.behaviour.partial_status if problems else 200
    return answer_json(batch_json(account, started_ms, results, problems), status=status)


def _none_found(direction: Direction, record_id: str) -> Problem:
    start, end = (TYPES[kind].singular for kind in direction)
    return Problem(
        f"No {end} is associated with {start} {record_id}.",
        category=NOT_FOUND,
        sub_category="crm.associations.NO_ASSOCIATIONS_FOUND",
        context={"fromObjectId": [record_id], "fromObjectType": [start], "toObjectType": [end]},
    )


async def batch_archive(request: web.Request) -> web.Response:
    """POST batch/archive: all types of the pairs; what is not there counts as done."""
    runtime, direction, body = request.app[CRM], _direction(request), await json_of(request)
    account = runtime.account
    inputs = list_of_inputs(body, account.behaviour.max_archive_inputs)
    note().inputs = len(inputs)
    for item in inputs:
        ends = item.get("to")
        if not isinstance(ends, list) or not isinstance(item.get("from"), dict):
            raise refuse("Invalid input JSON: each input has from and a list to")
        for end in ends:
            account.links.remove(direction, str(item["from"].get("id", "")), str(end.get("id", "")))
    return _void(request, runtime)


async def labels_archive(request: web.Request) -> web.Response:
    """POST batch/labels/archive: only the named types; removing the default type removes the labels too."""
    runtime, direction, body = request.app[CRM], _direction(request), await json_of(request)
    account = runtime.account
    inputs = list_of_inputs(body, MAX_PAIRS)
    note().inputs = len(inputs)

    def work(item: dict[str, Any]) -> list[Any]:
        types = set(account.links.read_types(direction, item.get("types")))
        start, end = item.get("from"), item.get("to")
        if not isinstance(start, dict) or not isinstance(end, dict):
            raise refuse("Invalid input JSON: each input has from, to and types")
        account.links.remove(direction, str(start.get("id", "")), str(end.get("id", "")), types)
        return []

    _, problems = _each(runtime, direction, inputs, work)
    return _void(request, runtime, problems)


def _void(request: web.Request, runtime: CrmRuntime, problems: list[Problem] | None = None) -> web.Response:
    """The answer of a removal: version 4 has no body."""
    if is_numbered(request) and not problems:
        return no_content()
    return answer_json(batch_json(runtime.account, runtime.account.now_ms(), [], problems or []))


async def put_default(request: web.Request) -> web.Response:
    """PUT one pair with the default type."""
    runtime, direction = request.app[CRM], _direction(request)
    account, item = runtime.account, _pair_of(request)
    note().inputs = 1
    type_id = account.links.default_type(direction)
    results, problems = _each(
        runtime,
        direction,
        [item],
        lambda one: _both_ways(runtime, direction, _add(runtime, direction, one, [type_id])),
    )
    if problems:
        raise CrmRefusalError(problems[0])
    return answer_json(batch_json(account, account.now_ms(), results))


def _pair_of(request: web.Request) -> dict[str, Any]:
    return {"from": {"id": request.match_info["id"]}, "to": {"id": request.match_info["other"]}}


async def put_types(request: web.Request) -> web.Response:
    """PUT one pair with types."""
    runtime, direction, body = request.app[CRM], _direction(request), await json_of(request)
    account = runtime.account
    note().inputs = 1
    made = _add(runtime, direction, _pair_of(request), account.links.read_types(direction, body))
    labels = [account.links.label(direction, link.type_id) for link in made]
    found = pair_json(direction, made[0].from_id, made[0].to_id, [label for label in labels if label])
    return answer_json(found, status=201)


async def get_pairs(request: web.Request) -> web.Response:
    """GET what one record is associated with."""
    account, direction = request.app[CRM].account, _direction(request)
    record = account.records.get(direction[0], request.match_info["id"])
    if record is None:
        raise refuse("resource not found", category="", status=404)
    after = request.query.get("after", "0")
    pairs = account.links.of(direction[0], record.id, direction[1])
    start = int(after) if after.isdecimal() else 0
    page = pairs[start : start + PAGE]
    body: dict[str, Any] = {
        "results": [associated_json(account, direction, pair, is_v4=is_numbered(request)) for pair in page]
    }
    if start + PAGE < len(pairs):
        body["paging"] = {"next": {"after": str(start + PAGE)}}
    return answer_json(body)


async def delete_pair(request: web.Request) -> web.Response:
    """DELETE all types of one pair."""
    account, direction, item = request.app[CRM].account, _direction(request), _pair_of(request)
    note().inputs = 1
    account.links.remove(direction, item["from"]["id"], item["to"]["id"])
    return no_content()


async def get_configurations(request: web.Request) -> web.Response:
    """GET definitions/configurations: the limits that an admin set, for the association without a label."""
    links, direction = request.app[CRM].account.links, _direction(request)
    type_id, most = links.default_type(direction), links.limit(direction)
    entry = {"category": "HUBSPOT_DEFINED", "typeId": type_id, "userEnforcedMaxToObjectIds": most}
    return answer_json({"results": [entry] if most is not None else []})


def add_association_routes(app: web.Application) -> None:
    """All paths of associations."""
    for tail, handler in (
        ("/associate/default", associate_default),
        ("/create", batch_create),
        ("/read", batch_read),
        ("/archive", batch_archive),
        ("/labels/archive", labels_archive),
    ):
        add(app, "POST", "associations", f"/{{from}}/{{to}}/batch{tail}", handler)
    add(app, "GET", "associations", "/definitions/configurations/{from}/{to}", get_configurations)
    pair = "/{from}/{id}/associations/{to}/{other}"
    add(app, "PUT", "objects", "/{from}/{id}/associations/default/{to}/{other}", put_default)
    add(app, "PUT", "objects", pair, put_types)
    add(app, "DELETE", "objects", pair, delete_pair)
    add(app, "GET", "objects", "/{from}/{id}/associations/{to}", get_pairs)
