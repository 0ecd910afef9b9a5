"""A changed mapping is counted before it is used, and waits if it would touch too much of what HubSpot holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdc.messages import mapping_review, outbox
from cdc.messages.mapping_review import Step
from cdc.model import Action
from cdc.settings.mapping import MappingSettings
from tests.kit.replica_harness import ReplicaHarness

ORDERS = 10


def opened(folder: Path, max_share: float = 0.2, **mapping: Any) -> ReplicaHarness:
    """The state of the folder with these settings of ``[mapping]``."""
    harness = ReplicaHarness(folder, MappingSettings.model_validate(mapping))
    with harness.engine.store.transaction():
        harness.engine.rendering.review.max_share = max_share
        harness.engine.rendering.resume_mapping()
    return harness


def place(harness: ReplicaHarness, number: int, group: int = 0) -> None:
    """A guest's order."""
    harness.insert(
        "sales_order", entity_id=number, increment_id=f"{number:09}", store_id=1, state="new", status="pending",
        customer_is_guest=1, customer_group_id=group, customer_email=f"guest{number}@example.com", grand_total="5.0000",
        order_currency_code="EUR",
    )  # fmt: skip


def a_shop(folder: Path) -> None:
    """Ten orders of ten guests, all in HubSpot; one of the orders was bought by a wholesaler."""
    harness = opened(folder)
    for number, code in ((0, "NOT LOGGED IN"), (2, "Wholesale")):
        harness.insert("customer_group", customer_group_id=number, customer_group_code=code)
    for number in range(1, ORDERS + 1):
        place(harness, number, group=2 if number == ORDERS else 0)
    assert len(harness.sent()) == 2 * ORDERS
    harness.close()


def work(harness: ReplicaHarness) -> None:
    """Work off what can be worked off."""
    harness.apply(())


def deleted(harness: ReplicaHarness) -> int:
    return sum(message.action is Action.DELETE for message in harness.sent())


def test_a_filter_that_leaves_out_the_whole_shop_deletes_nothing_until_it_is_accepted(tmp_path: Path) -> None:
    """A typo in a filter is seen as numbers of a plan, not as deletions, also in a shop of twenty objects."""
    a_shop(tmp_path)
    harness = opened(tmp_path, filter={"customer_groups": {"only": ["Wholesael"]}})
    work(harness)

    assert harness.sent() == []
    assert harness.engine.rendering.review.step is Step.WAITING
    assert "leaves out 20 of 20 objects" in harness.engine.rendering.review.reason()

    with harness.engine.store.transaction():
        assert "leaves out 20 of 20" in mapping_review.accept(harness.engine.store)
    work(harness)
    assert deleted(harness) == 20
    assert not harness.engine.rendering.review.is_open
    harness.close()


def test_a_small_change_goes_on_by_itself(tmp_path: Path) -> None:
    """Two of twenty objects are under the limit, and nobody is asked."""
    a_shop(tmp_path)
    harness = opened(tmp_path, filter={"customer_groups": {"without": ["Wholesale"]}})
    work(harness)

    assert deleted(harness) == 2
    assert harness.engine.rendering.review.status() == {"step": "", "plan": {}, "reason": ""}
    harness.close()


def test_changes_count_like_deletions(tmp_path: Path) -> None:
    """A mapping that gives every deal another stage waits, and says how many it changes."""
    a_shop(tmp_path)
    harness = opened(tmp_path, stages={"new": "processed"})
    work(harness)

    review = harness.engine.rendering.review
    assert review.step is Step.WAITING
    assert "changes 10 of 20 objects" in review.reason()
    assert review.status()["plan"] == {
        "CONTACT": {"same": 10, "changed": 0, "deleted": 0, "failed": 0},
        "DEAL": {"same": 0, "changed": 10, "deleted": 0, "failed": 0},
    }
    harness.close()


def test_what_the_log_brings_meanwhile_waits_and_is_not_lost(tmp_path: Path) -> None:
    """An order placed during the wait is rendered when the mapping is accepted, by the accepted mapping."""
    a_shop(tmp_path)
    harness = opened(tmp_path, stages={"new": "processed"})
    place(harness, 99)
    assert harness.sent() == []

    with harness.engine.store.transaction():
        mapping_review.accept(harness.engine.store)
    work(harness)
    stages = [message.properties["stage"] for message in harness.sent() if "stage" in message.properties]
    assert stages == ["processed"] * (ORDERS + 1)
    harness.close()


def test_the_old_mapping_put_back_ends_the_wait(tmp_path: Path) -> None:
    """Nothing of the refused mapping is left: what came meanwhile is rendered by the old one, and nothing else."""
    a_shop(tmp_path)
    wrong = opened(tmp_path, filter={"customer_groups": {"only": ["Wholesael"]}})
    place(wrong, 99)
    wrong.close()

    harness = opened(tmp_path)
    work(harness)
    assert {message.external_id.split("-")[1] for message in harness.sent()} == {"order", "guest"}
    assert not outbox.is_any(harness.engine.store)
    assert not harness.engine.rendering.review.is_open
    harness.close()


def test_an_acceptance_holds_for_the_mapping_that_was_shown_only(tmp_path: Path) -> None:
    """Whoever accepts one mapping and then writes another is asked again."""
    a_shop(tmp_path)
    first = opened(tmp_path, stages={"new": "processed"})
    work(first)
    with first.engine.store.transaction():
        mapping_review.accept(first.engine.store)
    first.close()

    harness = opened(tmp_path, filter={"customer_groups": {"only": ["Wholesael"]}})
    work(harness)
    assert harness.sent() == []
    assert harness.engine.rendering.review.step is Step.WAITING
    harness.close()


def test_a_wait_outlasts_a_restart(tmp_path: Path) -> None:
    """The plan is in the state file: a crash loop does not get around it, and it is not counted anew."""
    a_shop(tmp_path)
    first = opened(tmp_path, filter={"customer_groups": {"only": ["Wholesael"]}})
    work(first)
    first.close()

    harness = opened(tmp_path, filter={"customer_groups": {"only": ["Wholesael"]}})
    assert "20 of 20" in harness.engine.rendering.review.reason()
    work(harness)
    assert harness.sent() == []
    harness.close()


def test_nobody_is_asked_where_hubspot_holds_nothing(tmp_path: Path) -> None:
    """A mapping that is changed before anything was accepted is simply used."""
    harness = opened(tmp_path)
    harness.insert("customer_group", customer_group_id=0, customer_group_code="NOT LOGGED IN")
    place(harness, 1)
    harness.close()

    other = opened(tmp_path, stages={"new": "processed"})
    work(other)
    assert [one.properties["stage"] for one in other.sent() if "stage" in one.properties] == ["processed"]
    other.close()


def test_a_limit_of_one_never_asks(tmp_path: Path) -> None:
    """``run --yes`` sets it."""
    a_shop(tmp_path)
    harness = opened(tmp_path, max_share=1.0, filter={"customer_groups": {"only": ["Wholesael"]}})
    work(harness)
    assert deleted(harness) == 20
    harness.close()
