"""What must hold for any answer of HubSpot's, or of whoever answers in its place: bounded values, or a typed error.

Inputs are an answer as it comes over the wire, without the chunking: a status line's number, header lines, an empty
line, the body.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, Final

from multidict import CIMultiDict

from cdc.errors import MAX_RETRY_AFTER_S, SinkError, SinkUnavailableError
from cdc.model import ObjectType
from sinks.bridge.error_pages import Descent, after_page, dump, identity_of, parse
from sinks.bridge.error_pages import Record as PageRecord
from sinks.bridge.wire import Form, FormV1, FormV2, read_error
from sinks.bridge.wire import records_of as errors_listed
from sinks.crm import pipelines
from sinks.crm.account import read_details, read_properties
from sinks.crm.answers import is_batch, missing_of, next_page, read_writes, records_of
from sinks.crm.api import missing_scopes
from sinks.crm.faults import read_fault
from sinks.hubspot.http_faults import (
    ApiFaults,
    Redactor,
    Reply,
    quota_of,
    retry_after_s,
    status_fault,
)
from sinks.hubspot.numbers import MAX_INTEGER, MAX_TEXT

NOW_MS: Final = 1_700_000_000_000
_FORMS: Final[tuple[Form, ...]] = (FormV1({}), FormV2("default"))


def reply_of(raw: bytes) -> Reply:
    """The answer that these bytes are; what is no header line is passed over."""
    head, _, body = raw.partition(b"\n\n")
    first, *lines = head.decode("utf-8", "replace").split("\n")
    pairs = [line.split(": ", 1) for line in lines if ": " in line]
    headers: CIMultiDict[str] = CIMultiDict((name, value) for name, value in pairs)
    return Reply(100 + int(first[:9]) % 500 if first.isascii() and first[:9].isdecimal() else 200, headers, body)


def http_answer(raw: bytes) -> None:
    """Status and headers: a kind of error for any refusal, waits and limits within bounds, texts cut."""
    reply = reply_of(raw)
    wait_s = retry_after_s(reply.headers, NOW_MS / 1000)
    assert wait_s is None or 0 <= wait_s <= MAX_RETRY_AFTER_S
    assert all(value is None or 0 <= value <= MAX_INTEGER for value in astuple(quota_of(reply.headers)))
    if not reply.is_ok:
        fault = status_fault(reply, ApiFaults(), what="it", address="api:443", redact=Redactor(()), now_s=NOW_MS / 1000)
        assert isinstance(fault, SinkError)
        assert len(str(fault)) < 2000


def crm_answer(raw: bytes) -> None:
    """The CRM's answers: an input is written, refused or unmentioned, ids are digits, and nothing is invented."""
    content = reply_of(raw).content()
    traces = {"7": "0", "magento-customer-1": "1"}
    answer = read_writes(content, ["0", "1"], traces, "magento_key")
    assert not answer.records.keys() & answer.faults.keys()
    assert {*answer.records, *answer.faults} <= {"0", "1"}
    for record in [*answer.records.values(), *records_of(content)]:
        assert record.id.isdecimal()
        assert all(isinstance(value, str) for value in record.properties.values())
    assert len(next_page(content)) <= 200
    assert is_batch(content) in (True, False)
    assert len(missing_scopes(content)) <= 20
    held = content if isinstance(content, Mapping) else {}
    fault = read_fault(held, 400)
    assert len(fault.code) <= 200
    assert len(fault.text) < 20_000
    assert all(isinstance(text, str) for text in missing_of(held))
    _account(held, content)


def _account(held: Mapping[str, Any], content: Any) -> None:
    with contextlib.suppress(SinkUnavailableError):
        assert read_details(held).portal_id.isdecimal()
    assert all(isinstance(one.name, str) for one in read_properties(content).values())
    found = pipelines.read_pipelines(content)
    for wanted in ("", "Magento"):
        chosen = pipelines.resolve(found, wanted)
        assert chosen is None or isinstance(chosen.stage("processed"), str)


def bridge_answer(raw: bytes) -> None:
    """Pages of sync errors in both versions: times and texts within bounds, and the next poll's progress small."""
    content = reply_of(raw).content()
    for form in _FORMS:
        records = []
        for record in errors_listed(content):
            error = read_error(form, record)
            if error is not None:
                assert error.object_type in ObjectType
                assert 0 <= error.changed_at <= MAX_INTEGER
                assert len(error.detail) <= 3 * MAX_TEXT
                records.append(PageRecord(error.errored_at, True, identity_of(record, ("type", "details"))))
        following = form.next_page(content, 0, len(records))
        assert following is None or 0 < following <= MAX_INTEGER
        descent, _ = after_page(Descent(), records, following, NOW_MS, are_offsets=form.pages_are_offsets)
        assert parse(dump(descent)) == descent
        if isinstance(content, Mapping):
            assert 0 <= form.status(content).processed_at <= MAX_INTEGER
