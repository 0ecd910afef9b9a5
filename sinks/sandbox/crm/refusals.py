"""The faults of a call or of one of its inputs, and HubSpot's bodies for them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

VALIDATION: Final = "VALIDATION_ERROR"
NOT_FOUND: Final = "OBJECT_NOT_FOUND"
CONFLICT: Final = "CONFLICT"


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """A property value that HubSpot refuses. ``message`` repeats the value, as HubSpot's own texts do."""

    name: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a call, or one input of it, is refused.

    ``status``: of the whole call, if all of it is refused. ``details``: finished entries for ``errors``. ``category``
    may be empty: some of HubSpot's bodies have none. ``existing_id`` is used in the context of a batch's entry only.
    """

    message: str
    category: str = VALIDATION
    status: int = 400
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sub_category: str = ""
    details: Sequence[Mapping[str, Any]] = ()
    values: Sequence[ValueProblem] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    is_missing: bool = False
    existing_id: str = ""

    def with_context(self, **context: Sequence[str]) -> Problem:
        """The same problem with further entries in its context."""
        return replace(self, context={**self.context, **context})

    def body(self) -> dict[str, Any]:
        """The answer of a call that is refused as a whole."""
        found: dict[str, Any] = {"status": "error", "message": self.message, "correlationId": str(uuid.uuid4())}
        if self.category:
            found["category"] = self.category
        if self.sub_category:
            found["subCategory"] = self.sub_category
        if self.context:
            found["context"] = {name: list(values) for name, values in self.context.items()}
        if self.details:
            found["errors"] = list(self.details)
        return {**found, **self.more}

    def entry(self) -> dict[str, Any]:
        """The problem as an entry of ``errors`` in the answer of a call that was done in part."""
        context = {name: list(values) for name, values in self.context.items()}
        if self.existing_id:
            context["existingId"] = [self.existing_id]
        found: dict[str, Any] = {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": context,
            "errors": list(self.details),
            "links": {},
        }
        if self.sub_category:
            found["subCategory"] = self.sub_category
        return found


class CrmRefusalError(Exception):
    """The whole call is refused."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refuse(message: str, **more: Any) -> CrmRefusalError:
    """A refusal to raise: 400 and VALIDATION_ERROR unless ``more`` has other values."""
    return CrmRefusalError(Problem(message, **more))


def values_problem(problems: Sequence[ValueProblem], portal_id: int) -> Problem:
    """Refused property values in HubSpot's form: a JSON array inside the message, and the codes again in ``errors``."""
    listed = [
        {
            "isValid": False,
            "message": problem.message,
            "error": problem.code,
            "name": problem.name,
            "localizedErrorMessage": problem.message,
            "portalId": portal_id,
        }
        for problem in problems
    ]
    details = [
        {"message": problem.message, "code": problem.code, "context": {"propertyName": [problem.name]}}
        for problem in problems
    ]
    text = f"Property values were not valid: {orjson.dumps(listed).decode()}"
    return Problem(text, details=details, values=tuple(problems))


def missing_properties(code: str, names: Sequence[str]) -> Problem:
    """An admin's rule is broken: the form of MISSING_REQUIRED_PROPERTY and of its conditional variant."""
    details = [
        {"message": f"Property {name} is required", "code": code, "context": {"propertyName": [name]}} for name in names
    ]
    return Problem(
        f"Error creating or updating the record. Some required properties were not set: {', '.join(names)}",
        details=details,
    )


def missing_scopes(scopes: Sequence[str]) -> Problem:
    """The token lacks a scope."""
    text = "One or more of the following scopes are required."
    details = [{"message": text, "context": {"requiredGranularScopes": list(scopes)}}]
    message = "This app hasn't been granted all required scopes to make this call."
    return Problem(message, category="MISSING_SCOPES", status=403, details=details)
