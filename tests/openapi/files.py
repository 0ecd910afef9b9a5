"""HubSpot's OpenAPI files of one version, and one recorded exchange against them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.openapi.schema import Schemas, problems, template

VERSION: Final = "2026-09"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path in one file."""

    file: str
    path: str
    pattern: re.Pattern[str]
    method: str
    body: Mapping[str, Any]
    components: Mapping[str, Any]

    @property
    def schemas(self) -> Schemas:
        """The file's schemas by name."""
        found: Schemas = self.components.get("schemas", {})
        return found

    def response(self, status: str) -> Mapping[str, Any] | None:
        """What the file says of answers with this status (``default``: of all others); None: nothing."""
        found: Mapping[str, Any] | None = self.body["responses"].get(status)
        if found is not None and "$ref" in found:
            named: Mapping[str, Any] = self.components["responses"][found["$ref"].rpartition("/")[2]]
            return named
        return found

    @property
    def is_exact(self) -> int:
        """How many segments are words: the operation with the most words is the one that is meant."""
        return sum(not part.startswith("{") for part in self.path.split("/"))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request and answer. ``answer`` None: no body."""

    method: str
    path: str
    query: Mapping[str, str]
    request: Any
    status: int
    answer: Any


def read_files(folder: Path) -> list[Operation]:
    """All operations of the version in the JSON files under a folder. ValueError if there is none."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
            continue
        components = document.get("components", {})
        for name, methods in document["paths"].items():
            if f"/{VERSION}/" in name:
                found += [
                    Operation(path.stem, name, template(name), method.upper(), body, components)
                    for method, body in methods.items()
                    if isinstance(body, dict)
                ]
    if not found:
        raise ValueError(f"{folder} has no OpenAPI file with paths of {VERSION}")
    return found


def read_exchanges(path: Path) -> Iterator[Exchange]:
    """Exchanges that the sandbox recorded, but for those whose answer a fault on demand made up or cut off."""
    # Not splitlines: a body may hold other characters that end a line.
    for line in filter(None, path.read_text(encoding="utf-8").split("\n")):
        item = json.loads(line)
        if item["status"] and not item["fault"]:
            request, answer = _json(item["request"]), _json(item["answer"])
            yield Exchange(item["method"], item["path"], item["query"], request, item["status"], answer)


def _json(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def check(exchange: Exchange, operations: list[Operation]) -> list[str]:
    """What does not fit, in sentences that begin with ``request`` or ``answer``; the best of all files decides."""
    meant = [one for one in operations if one.pattern.fullmatch(exchange.path) and one.method == exchange.method]
    if not meant:
        return ["path: no file has it"]
    most = max(one.is_exact for one in meant)
    tries = [list(_check(exchange, one)) for one in meant if one.is_exact == most]
    return min(tries, key=len)


def _check(exchange: Exchange, operation: Operation) -> Iterator[str]:
    if exchange.status < 300:  # what was refused need not have the form
        yield from (f"request {text}" for text in _request(exchange, operation))
    yield from (f"answer {text}" for text in _answer(exchange, operation))


def _request(exchange: Exchange, operation: Operation) -> Iterator[str]:
    parameters = [one for one in operation.body.get("parameters", ()) if one.get("in") == "query"]
    known = {one["name"] for one in parameters}
    for name in exchange.query:
        if name not in known:
            yield f"query {name}: unknown"
    for one in parameters:
        if one.get("required") and one["name"] not in exchange.query:
            yield f"query {one['name']}: missing"
    content = operation.body.get("requestBody", {}).get("content", {}).get(JSON)
    if content is None:
        if exchange.request is not None:
            yield "body: none is wanted"
        return
    yield from problems(exchange.request, content["schema"], operation.schemas)


def _answer(exchange: Exchange, operation: Operation) -> Iterator[str]:
    response = operation.response(str(exchange.status))
    if response is None and exchange.status < 400:
        yield f"status {exchange.status}: not in the file"
        # The form of what was done in part is that of the whole.
        response = operation.response(next(one for one in operation.body["responses"] if one.startswith("2")))
    response = response or operation.response("default") or {}
    content = response.get("content", {})
    if not content:
        if exchange.answer is not None:
            yield "body: none is wanted"
        return
    schema = (content.get(JSON) or next(iter(content.values())))["schema"]
    if exchange.answer is None:
        yield "body: missing"
        return
    yield from problems(exchange.answer, schema, operation.schemas)
