"""HubSpot's answers to batch calls, read input by input. Pure.

A 2xx says little: it may hold errors, or name no input at all. An input counts as written only if the answer names it
among its results. An input that no result and no error names is reported to the caller as unmentioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sinks.crm.faults import Fault, context_of, read_fault, record_id_of, texts_of


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer. ``trace``: the trace id of its input, "" if the answer does not have it."""

    id: str
    properties: Mapping[str, str] = field(default_factory=dict)
    trace: str = ""


@dataclass(slots=True)
class BatchAnswer:
    """An answer's content by input: ``records`` and ``faults`` by trace id. ``strangers``: entries that belong to no
    input.
    """

    records: dict[str, Record] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    strangers: int = 0


_STATUSES: Final = frozenset({"COMPLETE", "PENDING", "PROCESSING", "CANCELED"})


def is_batch(content: Any) -> bool:
    """Whether this JSON can come from a batch call: it lists results or errors, or has a batch's status."""
    if not isinstance(content, Mapping):
        return False
    lists = [content.get(name) for name in ("results", "errors")]
    if any(part is not None and not isinstance(part, list) for part in lists):
        return False
    return any(isinstance(part, list) for part in lists) or content.get("status") in _STATUSES


def records_of(content: Any) -> list[Record]:
    """The records of an answer that have a valid id."""
    results = content.get("results") if isinstance(content, Mapping) else None
    found = []
    for item in results if isinstance(results, list) else []:
        if isinstance(item, Mapping) and record_id_of(item.get("id")):
            trace = item.get("objectWriteTraceId")
            found.append(Record(record_id_of(item["id"]), _properties(item), trace if isinstance(trace, str) else ""))
    return found


def _properties(item: Mapping[str, Any]) -> dict[str, str]:
    held = item.get("properties")
    pairs = held.items() if isinstance(held, Mapping) else ()
    return {str(name): value if isinstance(value, str) else "" for name, value in pairs}


def read_writes(content: Any, traces: Sequence[str], identities: Mapping[str, str], identity: str) -> BatchAnswer:
    """Read the answer to a create or update whose inputs have these trace ids.

    ``identities``: a second name of each input (a value of the property ``identity``, or with ``identity`` "" a record
    id) → trace id. It is used where an answer repeats no trace id. An input with both a result and an error counts as
    failed: repeating a write is harmless, and assuming a write that did not happen is not.
    """
    answer = BatchAnswer()
    known = set(traces)
    for record in records_of(content):
        trace = record.trace if record.trace in known else ""
        trace = trace or identities.get(record.properties.get(identity, "") if identity else record.id, "")
        if trace:
            answer.records[trace] = record
        else:
            answer.strangers += 1
    for error in errors_of(content):
        named = _traces_of(error, known, identities)
        fault = read_fault(error)
        for trace in named:
            answer.faults[trace] = fault
            answer.records.pop(trace, None)
        if not named:
            answer.strangers += 1
    return answer


def errors_of(content: Any) -> list[Mapping[str, Any]]:
    """The error objects of an answer."""
    errors = content.get("errors") if isinstance(content, Mapping) else None
    return [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []


def _traces_of(error: Mapping[str, Any], known: set[str], identities: Mapping[str, str]) -> list[str]:
    """The inputs that an error is about: by trace id, else by the ids in the error's context."""
    context = context_of(error)
    named = [text for text in texts_of(context.get("objectWriteTraceId")) if text in known]
    if named:
        return named
    ids = [*texts_of(context.get("ids")), *texts_of(context.get("id"))]
    ids += [text.partition(":")[2] for text in texts_of(context.get("missingObjectPropertyValueCoordinates"))]
    return list(dict.fromkeys(identities[text] for text in ids if text in identities))


def missing_of(error: Mapping[str, Any]) -> list[str]:
    """The ids that a refused call reports as missing, in both forms that were seen."""
    context = context_of(error)
    coordinates = [text.partition(":")[2] for text in texts_of(context.get("missingObjectPropertyValueCoordinates"))]
    return coordinates or texts_of(context.get("ids"))


def next_page(content: Any) -> str:
    """The ``after`` of a list's next page, "" after the last page."""
    paging = content.get("paging") if isinstance(content, Mapping) else None
    following = paging.get("next") if isinstance(paging, Mapping) else None
    after = following.get("after") if isinstance(following, Mapping) else None
    return after if isinstance(after, str) and len(after) <= 200 else ""
