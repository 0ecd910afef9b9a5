"""The check of recorded exchanges against OpenAPI files finds what does not fit, and says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.openapi.__main__ import main
from tests.openapi.deviations import DEVIATIONS
from tests.openapi.files import Exchange, check, read_files

ERROR = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
RECORD = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "count": {"type": "integer", "format": "int32"},
        "values": {"type": "object", "additionalProperties": {"type": "string", "nullable": True}},
    },
}
FILE = {
    "paths": {
        "/crm/things/2026-09/{type}/batch": {
            "post": {
                "parameters": [{"name": "archived", "in": "query", "schema": {"type": "boolean"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Batch"}}}},
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Batch"}}}},
                    "default": {"$ref": "#/components/responses/Error"},
                },
            },
            "delete": {
                "responses": {"204": {"description": "gone"}, "default": {"$ref": "#/components/responses/Error"}}
            },
        },
        "/crm/things/v3/{type}": {"get": {"responses": {}}},
    },
    "components": {
        "responses": {"Error": {"content": {"*/*": {"schema": ERROR}}}},
        "schemas": {
            "Record": RECORD,
            "Batch": {
                "type": "object",
                "required": ["inputs"],
                "properties": {"inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Record"}}},
            },
        },
    },
}
GOOD: dict[str, Any] = {"inputs": [{"id": "1", "at": "2026-11-30T10:00:00Z", "kind": "a", "values": {"x": None}}]}


def exchange(request: Any = GOOD, answer: Any = GOOD, **more: Any) -> Exchange:
    """One that fits, but for what is named."""
    fields: dict[str, Any] = {"method": "POST", "path": "/crm/things/2026-09/deals/batch", "query": {}, "status": 200}
    return Exchange(request=request, answer=answer, **(fields | more))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file, below another folder."""
    (tmp_path / "CRM").mkdir()
    (tmp_path / "CRM" / "things.json").write_text(json.dumps(FILE), encoding="utf-8")
    return tmp_path


def inputs(**members: Any) -> dict[str, Any]:
    """A body with one input."""
    return {"inputs": [{"id": "1"} | members]}


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (exchange(), []),
        (exchange(query={"archived": "true"}), []),
        (exchange(method="DELETE", request=None, answer=None, status=204), []),
        (exchange(answer={"message": "no"}, request={"any": "thing"}, status=400), []),
        (exchange(path="/crm/things/2026-09/deals/other"), ["path: no file has it"]),
        (exchange(query={"archive": "true"}), ["request query archive: unknown"]),
        (exchange(status=207), ["answer status 207: not in the file"]),
        (exchange(answer={}, status=500), ["answer message: missing"]),
        (exchange(answer=None), ["answer body: missing"]),
        (exchange(method="DELETE", request=None, status=204), ["answer body: none is wanted"]),
        (exchange(request={"inputs": [{}]}), ["request inputs[].id: missing"]),
        (exchange(request=inputs(id=1)), ["request inputs[].id: int where string is wanted"]),
        (exchange(request=inputs(extra=1)), ["request inputs[].extra: unknown"]),
        (exchange(request=inputs(at="30.11.2026")), ["request inputs[].at: not of the format date-time"]),
        (exchange(request=inputs(kind="c")), ["request inputs[].kind: a value that is not in the enum"]),
        (exchange(request=inputs(count=2**31)), ["request inputs[].count: not of the format int32"]),
        (exchange(request=inputs(count=True)), ["request inputs[].count: bool where integer is wanted"]),
        (exchange(request=inputs(values={"x": 1})), ["request inputs[].values.*: int where string is wanted"]),
        (exchange(request=inputs(kind=None)), ["request inputs[].kind: null"]),
    ],
)
def test_each_kind_of_misfit_is_named_with_its_place(folder: Path, item: Exchange, found: list[str]) -> None:
    """Paths, statuses, required and unknown members, types, formats; the body of a refused request is free."""
    assert check(item, read_files(folder)) == found


def line(**more: Any) -> str:
    """A line as the sandbox records it."""
    fields = {"method": "POST", "path": "/crm/things/2026-09/deals/batch", "query": {}, "status": 200, "fault": ""}
    return json.dumps(fields | {"request": json.dumps(GOOD), "answer": json.dumps(GOOD)} | more) + "\n"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (line(), 0),
        (line(query={"archived": "odd"}).replace("odd", "\u2028"), 0),
        (line() + line(answer="{}"), 1),
        (line() + line(answer="<html>", fault="html") + line(status=0), 0),
        (line(path="/crm/v3/objects/deals"), 2),
        ("", 2),
    ],
    ids=["fits", "odd line ends", "misfit", "made up by faults", "another version", "nothing"],
)
def test_the_exit_code_says_whether_all_fits(
    folder: Path, capsys: pytest.CaptureFixture[str], lines: str, code: int
) -> None:
    """0, 1, or 2 when there is nothing to check; a misfit is printed."""
    recorded = folder / "exchanges.jsonl"
    recorded.write_text(lines, encoding="utf-8")
    assert main([str(folder), str(recorded)]) == code
    assert ("WRONG" in capsys.readouterr().out) == (code == 1)


def test_a_folder_without_files_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never a pass over nothing."""
    assert main([str(tmp_path), str(tmp_path / "none.jsonl")]) == 2
    assert "no OpenAPI file" in capsys.readouterr().err


def test_every_deviation_has_its_reason() -> None:
    """A list without reasons would excuse anything."""
    assert all(len(one.reason) > 20 for one in DEVIATIONS)
