"""Headers and texts of answers, read without trust."""

from __future__ import annotations

import pytest

from cdc.errors import MAX_RETRY_AFTER_S, SinkSwitchedOffError
from cdc.model import Quota
from sinks.bridge.error_types import FAULTS
from sinks.hubspot.http_faults import Redactor, Reply, quota_of, retry_after_s, status_fault

NOON = 1_700_049_600.0  # 2023-11-15T12:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 800 ", 800.0),
        ("86400", MAX_RETRY_AFTER_S),
        ("9" * 400, MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Mon, 99 Jan 0001 00:00:00 +999999", None),
        ("\u0667", None),
        ("Wed, 15 Nov 2023 12:01:00 GMT", 60.0),
        ("Wed, 15 Nov 2023 11:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    """RFC 9110 allows both; anything else is no promise."""
    assert retry_after_s({"Retry-After": text}, NOON) == seconds


def test_a_header_that_is_no_number_is_left_out_of_the_quota() -> None:
    """A proxy's nonsense must not stop sending."""
    headers = {"X-HubSpot-RateLimit-Max": "100", "X-HubSpot-RateLimit-Remaining": "many"}
    assert quota_of(headers) == Quota(limit=100)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"message": 5}', b'{"message": "cut'])
def test_a_body_without_a_message_says_nothing(body: bytes) -> None:
    """Whatever it is, it is no text for people."""
    assert Reply(500, {}, body).member("message") == ""


@pytest.mark.parametrize("status", [400, 403, 409])
def test_an_answer_that_names_the_account_blames_no_message(status: int) -> None:
    """All wait, with the advice of the error's kind; a batch is not split for it."""
    reply = Reply(status, {}, b'{"message": "SETTINGS_NOT_ENABLED: the settings are not enabled"}')
    error = status_fault(reply, FAULTS, what="3 messages", address="api:443", redact=Redactor([]), now_s=NOON)
    assert isinstance(error, SinkSwitchedOffError)
    assert "magento-cdc mapping push" in error.hint


def test_the_longest_secret_is_taken_out_first() -> None:
    """One secret may be part of another."""
    assert Redactor(["abc", "abcdef", ""])("x abcdef abc y") == "x *** *** y"
