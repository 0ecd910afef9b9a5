"""Answers to batch calls: each input is written, refused or unmentioned, whatever the order and the form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.crm.answers import is_batch, missing_of, read_writes, records_of
from sinks.crm.faults import FaultKind

KEYS = {"k0": "0", "k1": "1", "k2": "2"}
TRACES = ["0", "1", "2"]


def read(content: Any) -> tuple[dict[str, str], dict[str, FaultKind], int]:
    """Trace → record id, trace → kind of fault, strangers."""
    answer = read_writes(content, TRACES, KEYS, "magento_key")
    records = {trace: record.id for trace, record in answer.records.items()}
    return records, {trace: fault.kind for trace, fault in answer.faults.items()}, answer.strangers


def test_results_are_matched_by_trace_id_in_any_order() -> None:
    """HubSpot's results are in no order."""
    results = [{"id": "12", "objectWriteTraceId": "2"}, {"id": "10", "objectWriteTraceId": "0"}]
    assert read({"status": "COMPLETE", "results": results}) == ({"2": "12", "0": "10"}, {}, 0)


def test_results_without_a_trace_id_are_matched_by_key() -> None:
    """An answer that repeats no trace id still names the key among the properties."""
    assert read({"results": [{"id": 11, "properties": {"magento_key": "k1"}}]}) == ({"1": "11"}, {}, 0)


def test_an_error_names_its_input_by_trace_id_by_id_or_by_coordinates() -> None:
    """Three forms were seen."""
    errors = [
        {"category": "CONFLICT", "context": {"objectWriteTraceId": ["0"], "existingId": ["7"]}},
        {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["k1"]}},
        {"category": "OBJECT_NOT_FOUND", "context": {"missingObjectPropertyValueCoordinates": ["magento_key:k2"]}},
    ]
    _, faults, _ = read({"results": [], "errors": errors, "numErrors": 3})
    assert faults == {"0": FaultKind.CONFLICT, "1": FaultKind.NOT_FOUND, "2": FaultKind.NOT_FOUND}


def test_an_input_with_a_result_and_an_error_failed() -> None:
    """Trying again is harmless; believing in a write that was not made is not."""
    content = {
        "results": [{"id": "10", "objectWriteTraceId": "0"}],
        "errors": [{"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["0"]}}],
    }
    assert read(content) == ({}, {"0": FaultKind.INVALID}, 0)


def test_what_names_no_input_is_counted_and_confirms_nothing() -> None:
    """A result with an unknown trace id, and an error without a context, belong to nobody."""
    content = {"results": [{"id": "10", "objectWriteTraceId": "77"}], "errors": [{"category": "VALIDATION_ERROR"}]}
    assert read(content) == ({}, {}, 2)


@pytest.mark.parametrize("content", [None, "", [], 7, {}, {"results": "x"}, {"message": "maintenance"}, {"results": 1}])
def test_what_cannot_come_from_a_batch_call_is_no_batch(content: object) -> None:
    """A proxy's page, an empty body and an error text are no answers."""
    assert not is_batch(content)


@pytest.mark.parametrize("content", [{"results": []}, {"errors": []}, {"status": "COMPLETE"}])
def test_a_batch_may_mention_nobody(content: object) -> None:
    """HubSpot answered malformed inputs so, with 2xx."""
    assert is_batch(content)


def test_missing_ids_are_read_in_both_forms() -> None:
    """By ids, or by coordinates whose value may hold a colon itself."""
    assert missing_of({"context": {"ids": ["1", "2"]}}) == ["1", "2"]
    assert missing_of({"context": {"missingObjectPropertyValueCoordinates": ["magento_key:a:b"]}}) == ["a:b"]


def test_a_record_without_a_usable_id_is_none() -> None:
    """An id is digits."""
    assert records_of({"results": [{"id": None}, {"id": "x"}, "text", {}]}) == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "results", "errors", "context", "properties", "objectWriteTraceId", "ids", "category"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(ANYTHING)
def test_no_answer_breaks_the_parser(content: Any) -> None:
    """Every JSON is read, and only inputs of the call get an outcome."""
    is_batch(content)
    answer = read_writes(content, TRACES, KEYS, "magento_key")
    assert set(answer.records) | set(answer.faults) <= set(TRACES)
    assert not set(answer.records) & set(answer.faults)
