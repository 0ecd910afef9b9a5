"""``mapping push``: creates the properties with their group, the pipeline and its stages, each only if it
is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cdc.errors import SetupError, SinkUnauthorizedError, SinkUnavailableError
from cdc.model import ObjectType
from sinks.crm import pipelines
from sinks.crm.account import key_fault, read_properties
from sinks.crm.answers import errors_of
from sinks.crm.api import Api, MissingScopesError
from sinks.crm.faults import code_of, context_of, read_fault, texts_of
from sinks.crm.paths import SEGMENT
from sinks.crm.properties import GROUP, GROUP_LABEL, Definition, PropertyTable

if TYPE_CHECKING:
    from cdc.protocols import Requests

READABLE_S: Final = 0.25
"""The time between two looks: a new property can be read after 250 to 700 ms."""

LOOKS: Final = 40

_LIMIT: Final = frozenset({"API_LIMIT", "LIMIT_EXCEEDED", "PIPELINE_LIMIT"})


class Push:
    """One run of ``mapping push``. ``dry_run``: only say what would be done."""

    def __init__(self, api: Api, requests: Requests, table: PropertyTable, *, pipeline: str, dry_run: bool) -> None:
        self._api = api
        self._requests = requests
        self._table = table
        self._pipeline = pipeline
        self._dry_run = dry_run
        self._lines: list[str] = []
        self._scopes: list[str] = []

    async def run(self) -> list[str]:
        """One line per step done or to do. Raises SetupError for a key that cannot become unique, and
        SinkUnauthorizedError that names every missing scope.
        """
        steps: list[Callable[[], Awaitable[None]]] = [_bound(self._properties, kind) for kind in self._table.types]
        for step in (*steps, self._stages):
            try:
                await step()
            except MissingScopesError as error:
                # go on, so that one run names all that the token lacks
                self._scopes += error.scopes
        if self._scopes:
            named = ", ".join(dict.fromkeys(self._scopes))
            done = f"; done so far: {'; '.join(self._lines)}" if self._lines else ""
            raise SinkUnauthorizedError(
                f"the token lacks these scopes: {named}{done}", hint="add them, then push again"
            )
        return self._lines or ["properties and pipeline are in place; nothing to do"]

    # -------------------------------------------------------------------------------------------- properties

    async def _properties(self, kind: ObjectType) -> None:
        name = SEGMENT[kind]
        content = await self._api.get(
            self._requests, self._api.paths.properties(kind), what=f"the properties of {name}"
        )
        held = read_properties(content)
        # Checked before anything is made: a key that is not unique cannot be mended by a push.
        if self._table.key in held and (fault := key_fault(held[self._table.key], kind, self._table.key)):
            raise SetupError(fault[0], hint=fault[1])
        wanted = self._table.definitions(kind)
        for definition in wanted:
            found = held.get(definition.name)
            # A property of people's own may have the same name; changing its type would lose their data.
            if found is not None and found.type != definition.type.value:
                self._lines.append(
                    f"{name}: property {definition.name} has type {found.type}, ours is {definition.type.value};"
                    " left as it is"
                )
        lacking = [definition for definition in wanted if definition.name not in held]
        # Nothing to make, so no group is needed either.
        if not lacking:
            return
        await self._group(kind)
        if not self._dry_run:
            await self._create(kind, lacking)
        self._lines += [f"{name}: property {one.name} ({_described(one)}): {self._done('made')}" for one in lacking]

    async def _group(self, kind: ObjectType) -> None:
        name = SEGMENT[kind]
        path = self._api.paths.properties(kind, "groups")
        content = await self._api.get(self._requests, path, what=f"the property groups of {name}")
        results = content.get("results")
        held = [item.get("name") for item in results if isinstance(item, Mapping)] if isinstance(results, list) else []
        # The group exists.
        if GROUP in held:
            return
        if not self._dry_run:
            await self._post(path, {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1}, what="a property group")
        self._lines.append(f"{name}: property group {GROUP}: {self._done('made')}")

    async def _create(self, kind: ObjectType, lacking: Sequence[Definition]) -> None:
        """Create the properties. Archived properties of the same name come back, as HubSpot restores them."""
        path = self._api.paths.properties(kind, "batch/create")
        for at in range(0, len(lacking), 100):
            inputs = [one.body() for one in lacking[at : at + 100]]
            content = await self._post(path, {"inputs": inputs}, what=f"properties of {SEGMENT[kind]}")
            for error in errors_of(content):
                if code_of(error.get("category")) == "OBJECT_ALREADY_EXISTS":
                    continue  # somebody else made it meanwhile
                names = ", ".join(texts_of(context_of(error).get("name")))[:200]
                fault = read_fault(error)
                raise SetupError(f"HubSpot does not make property {names} of {SEGMENT[kind]}: {fault.text}")
        await self._readable(kind, [one.name for one in lacking])

    async def _readable(self, kind: ObjectType, names: Sequence[str]) -> None:
        """Wait until the new properties can be read, and check that the key is unique."""
        for _ in range(LOOKS):
            path, what = self._api.paths.properties(kind), f"the properties of {SEGMENT[kind]}"
            held = read_properties(await self._api.get(self._requests, path, what=what))
            # HubSpot shows new properties only after a moment.
            if all(name in held for name in names):
                # a restored property may have been archived without being unique
                if fault := key_fault(held.get(self._table.key), kind, self._table.key):
                    raise SetupError(fault[0], hint=fault[1])
                return
            await asyncio.sleep(READABLE_S)
        raise SinkUnavailableError(
            f"HubSpot made properties of {SEGMENT[kind]} that cannot be read yet", hint="run it again in a minute"
        )

    # ------------------------------------------------------------------------------------------ pipeline

    async def _stages(self) -> None:
        path = self._api.paths.pipelines(ObjectType.DEAL)
        content = await self._api.get(self._requests, path, what="the pipelines of deals")
        held = pipelines.read_pipelines(content)
        found = pipelines.find(held, self._pipeline)
        # Stages can be added only to a pipeline that exists.
        if found is None:
            await self._make_pipeline(len(held))
            return
        for name in found.missing():
            stage = pipelines.STAGES[name]
            if not self._dry_run:
                where = self._api.paths.pipelines(ObjectType.DEAL, f"{found.id}/stages")
                order = len(found.stages) + list(pipelines.STAGES).index(name)
                await self._post(where, _stage_body(stage, order), what=f"the stage {stage.label}")
            self._lines.append(f"pipeline {found.label}: stage {stage.label}: {self._done('added')}")

    async def _make_pipeline(self, order: int) -> None:
        label = self._pipeline or pipelines.OUR_LABEL
        if not self._dry_run:
            body = {
                "label": label,
                "displayOrder": order,
                "stages": [_stage_body(stage, at) for at, stage in enumerate(pipelines.STAGES.values())],
            }
            path, what = self._api.paths.pipelines(ObjectType.DEAL), "a pipeline of deals"
            reply = await self._api.call(self._requests, "POST", path, what=what, body=body, writes=True)
            content = reply.content()
            if not reply.is_ok and isinstance(content, Mapping) and _is_limit(content):
                self._lines.append(
                    "the account takes no further pipeline: deals go to its default pipeline. Shipped deals go to the"
                    " won stage, cancelled deals to the lost stage, all others to the first stage;"
                    f" {self._table.own('stage')} holds the real stage"
                )
                return
            self._api.content(reply, what)
        self._lines.append(f"pipeline {label} with {len(pipelines.STAGES)} stages: {self._done('made')}")

    async def _post(self, path: str, body: Any, *, what: str) -> Any:
        reply = await self._api.call(self._requests, "POST", path, what=what, body=body, writes=True)
        return self._api.content(reply, what)

    def _done(self, verb: str) -> str:
        return f"would be {verb}" if self._dry_run else verb


def _bound(step: Callable[[ObjectType], Awaitable[None]], kind: ObjectType) -> Callable[[], Awaitable[None]]:
    return lambda: step(kind)


def _described(definition: Definition) -> str:
    return f"{definition.type.value}, unique" if definition.is_unique else definition.type.value


def _stage_body(stage: pipelines.Stage, order: int) -> dict[str, Any]:
    return {"label": stage.label, "displayOrder": order, "metadata": {"probability": stage.probability}}


def _is_limit(content: Mapping[str, Any]) -> bool:
    codes = {code_of(content.get("category")), code_of(content.get("subCategory")).rpartition(".")[2]}
    return bool(_LIMIT.intersection(codes))
