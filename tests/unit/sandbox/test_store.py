"""What the sandbox holds after messages were accepted and validated."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import ObjectType
from sinks.sandbox.store import HISTORY, REQUESTS, Request, SandboxStore
from sinks.sandbox.wire import Refusal

T = 1_700_000_000_000
CONTACT, PRODUCT, DEAL, LINE = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM


def message(external_id: str, at: int = T, action: str = "UPSERT", **properties: Any) -> dict[str, Any]:
    """A message in version 1's form."""
    return {
        "integratorObjectId": external_id,
        "action": action,
        "changeOccurredTimestamp": at,
        "propertyNameToValues": properties,
    }


def put(store: SandboxStore, object_type: ObjectType, *messages: dict[str, Any], validated_at_ms: int = T) -> None:
    """Accept and validate."""
    store.accept(object_type, list(messages), T)
    store.validate_next(validated_at_ms)


@pytest.fixture
def store() -> SandboxStore:
    """A ready sandbox with a contact, a product, a deal and its line."""
    made = SandboxStore()
    put(made, CONTACT, message("c1", email="ann@example.com", firstname="Ann", customer_group="General"))
    put(made, PRODUCT, message("p1", name="Yoga mat"))
    put(made, DEAL, message("d1", name="#1", stage="processed", hs_assoc__contact_ids="c1"))
    put(made, LINE, message("l1", name="Yoga mat", hs_assoc__deal_id="d1", hs_assoc__product_id="p1"))
    return made


def test_nothing_is_applied_before_it_is_validated() -> None:
    """Acceptance only queues."""
    store = SandboxStore()
    store.accept(CONTACT, [message("c1", email="ann@example.com")], T)
    assert (store.state(), len(store.waiting)) == ({}, 1)


def test_state_is_by_our_names_and_leaves_out_what_is_empty(store: SandboxStore) -> None:
    """The canonical state holds what was sent, also names that HubSpot does not map; associations apart."""
    put(store, DEAL, message("d1", T + 1, coupon_code="SAVE10", stage="shipped"))
    put(store, DEAL, message("d1", T + 2, name="#1", coupon_code=""))
    assert store.state()["d1"] == {
        "type": "DEAL",
        "deleted": False,
        "properties": {"name": "#1", "stage": "shipped"},
        "associations": {"CONTACT": ["c1"]},
    }
    assert store.objects[DEAL]["d1"].record.properties == {"dealname": "#1", "dealstage": "shipped"}  # type: ignore[union-attr]


def test_contacts_of_one_email_share_a_record_whose_email_never_changes(store: SandboxStore) -> None:
    """A second id with a known email is merged; a changed email changes nothing at HubSpot."""
    put(store, CONTACT, message("g1", email="Ann@Example.com", city="Oslo"))
    put(store, CONTACT, message("c1", T + 1, email="new@example.com", lastname="Lee"))
    first, second = (store.objects[CONTACT][name].record for name in ("c1", "g1"))
    assert first is second
    assert first is not None
    assert first.properties == {"email": "ann@example.com", "firstname": "Ann", "lastname": "Lee", "city": "Oslo"}


def test_a_line_before_its_deal_fails_and_stays_failed_until_sent_again(store: SandboxStore) -> None:
    """HubSpot does not retry; a later success resolves the error."""
    line = message("l2", name="Ball", hs_assoc__deal_id="d2", hs_assoc__product_id="p1")
    put(store, LINE, line, validated_at_ms=T + 5)
    put(store, DEAL, message("d2", name="#2", stage="processed"))
    assert [(e.kind, e.resolved) for e in store.errors.values()] == [("INVALID_ASSOCIATION_PROPERTY", False)]
    assert "l2" not in store.state()
    put(store, LINE, line)
    assert store.state()["l2"]["associations"]["DEAL"] == ["d2"]
    assert [e.resolved for e in store.errors.values()] == [True]
    assert store.error_list(with_resolved=False) == []


def test_delete_ends_the_syncing_of_an_id_and_keeps_the_record(store: SandboxStore) -> None:
    """The record stays, marked; what points at the id fails from then on; an UPSERT takes it up again."""
    put(store, DEAL, message("d1", T + 1, "DELETE"))
    assert store.state()["d1"]["deleted"]
    assert store.state()["d1"]["properties"]["name"] == "#1"
    put(store, LINE, message("l1", T + 1, hs_assoc__deal_id="d1", hs_assoc__product_id="p1"))
    assert store.objects[LINE]["l1"].history[-1].verdict == "INVALID_ASSOCIATION_PROPERTY"
    put(store, DEAL, message("d1", T + 2, stage="cancelled"))
    assert not store.state()["d1"]["deleted"]


def test_links_are_known_from_both_ends_and_move(store: SandboxStore) -> None:
    """A deal knows its lines; a line that moves leaves the old deal."""
    assert list(store.objects[DEAL]["d1"].linked_by) == [(LINE, "l1")]
    put(store, DEAL, message("d2", name="#2", stage="processed"))
    put(store, LINE, message("l1", T + 1, hs_assoc__deal_id="d2"))
    assert list(store.objects[DEAL]["d1"].linked_by) == []
    assert list(store.objects[DEAL]["d2"].linked_by) == [(LINE, "l1")]
    assert store.state()["l1"]["associations"] == {"DEAL": ["d2"], "PRODUCT": ["p1"]}


@pytest.mark.parametrize(("drop_older", "stage"), [(False, "processed"), (True, "shipped")])
def test_an_older_message_is_applied_or_dropped_by_choice(drop_older: bool, stage: str) -> None:
    """Nobody knows what HubSpot did, so both can be had; the broken rule is noted either way."""
    store = SandboxStore(drop_older=drop_older)
    put(store, DEAL, message("d1", T + 5, name="#1", stage="shipped"))
    put(store, DEAL, message("d1", T, name="#1", stage="processed"))
    assert store.state()["d1"]["properties"]["stage"] == stage
    assert store.watch.counts == {"changed_at_not_rising": 1}


def test_only_the_newest_error_of_an_object_is_kept(store: SandboxStore) -> None:
    """The list is newest first, one entry per object."""
    put(store, CONTACT, message("c8", email="bad"), validated_at_ms=T + 1)
    put(store, CONTACT, message("c9", email="bad"), validated_at_ms=T + 2)
    put(store, CONTACT, message("c8", T + 1, email=""), validated_at_ms=T + 3)
    found = [(e.external_id, e.kind, e.errored_at) for e in store.error_list(with_resolved=True)]
    assert found == [("c8", "MISSING_REQUIRED_PROPERTY", T + 3), ("c9", "INVALID_EMAIL_ADDRESS", T + 2)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param({"messages": []}, "array", id="no array"),
        pytest.param([message("c1")] * 201, "at most 200", id="too many"),
        pytest.param([message("c1"), "x"], "object", id="no object"),
        pytest.param([{"integratorObjectId": "c1"}], "lacks action", id="member missing"),
        pytest.param([message("c" * 101)], "ASCII", id="id too long"),
        pytest.param([message("é")], "ASCII", id="id not ascii"),
        pytest.param([message("c1", action="upsert")], "UPSERT or DELETE", id="action"),
        pytest.param([message("c1", 1.5)], "integer", id="time lsn"),  # type: ignore[arg-type]
        pytest.param([message("c1", email=None)], "text or a number", id="null value"),
    ],
)
def test_a_request_without_the_form_is_refused_whole(body: Any, text: str) -> None:
    """All or nothing: one bad message and none is taken."""
    store = SandboxStore()
    with pytest.raises(Refusal, match=text):
        store.accept(CONTACT, body, T)
    assert (store.accepted, store.state(), store.counts["refused_requests"]) == (0, {}, 1)


def test_numbers_are_taken_as_their_text() -> None:
    """Production clients sent JSON numbers, and were understood."""
    store = SandboxStore()
    put(store, PRODUCT, message("p1", name="Yoga mat", price=12.5))
    assert store.state()["p1"]["properties"]["price"] == "12.5"


@pytest.mark.parametrize(
    ("rule", "batches"),
    [
        ("changed_at_not_rising", [(CONTACT, [message("c1", T - 1, email="ann@example.com")])]),
        ("changed_at_not_rising", [(CONTACT, [message("c1", T, email="ann@example.com", firstname="Bo")])]),
        ("deal_before_contact", [(DEAL, [message("d9", hs_assoc__contact_ids="c9")])]),
        ("line_before_deal", [(LINE, [message("l9", hs_assoc__deal_id="d9", hs_assoc__product_id="p1")])]),
        ("line_before_product", [(LINE, [message("l9", hs_assoc__deal_id="d1", hs_assoc__product_id="p9")])]),
        (
            "line_before_deal",
            [
                (LINE, [message("l1", T + 1, "DELETE")]),
                (DEAL, [message("d1", T + 1, "DELETE")]),
                (LINE, [message("l9", hs_assoc__deal_id="d1")]),
            ],
        ),
        ("deleted_under_others", [(DEAL, [message("d1", T + 1, "DELETE")])]),
        ("email_changed", [(CONTACT, [message("c1", T + 1, email="bo@example.com")])]),
        ("twice_in_batch", [(CONTACT, [message("c5", T), message("c5", T + 1)])]),
        ("seconds", [(CONTACT, [message("c5", T // 1000)])]),
    ],
)
def test_a_broken_rule_is_noted_and_the_message_taken(
    store: SandboxStore, rule: str, batches: list[tuple[ObjectType, list[dict[str, Any]]]]
) -> None:
    """What the bridge would take silently, tests must see."""
    for object_type, messages in batches:
        store.accept(object_type, messages, T)
    assert store.watch.counts == {rule: 1}
    assert store.accepted == 4 + sum(len(messages) for _, messages in batches)


def test_an_oversized_request_is_noted() -> None:
    """It is refused, and a rule broken."""
    store = SandboxStore()
    with pytest.raises(Refusal):
        store.accept(CONTACT, [message(f"c{n}") for n in range(201)], T)
    assert store.watch.counts == {"over_200": 1}


def test_an_identical_repeat_breaks_no_rule(store: SandboxStore) -> None:
    """Delivery is at least once."""
    put(store, PRODUCT, message("p1", name="Yoga mat"))
    assert not store.watch.counts


def test_memory_is_bounded(store: SandboxStore) -> None:
    """The last messages of an object and the last requests are kept, no more."""
    for n in range(HISTORY + 5):
        put(store, PRODUCT, message("p1", T + 1 + n, name=f"Mat {n}"))
    for n in range(REQUESTS + 5):
        store.note_request(Request(n, "PUT", "x", 1, 1, 204))
    assert len(store.objects[PRODUCT]["p1"].history) == HISTORY
    assert (len(store.requests), store.counts["requests"]) == (REQUESTS, REQUESTS + 5)


def test_reset_forgets_content_and_keeps_the_account(store: SandboxStore) -> None:
    """Install and settings stay."""
    store.reset()
    assert store.state() == {}
    assert store.summary()["accepted"] == 0
    assert store.installed
    assert store.settings is not None
