"""An account that refuses everything for a reason of its own is waited for: nothing becomes a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cdc.delivery.account import TRY_CAP_S, AccountWait
from cdc.model import Message, ObjectType, SyncError
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, order
from tests.kit.fakesink import FakeSink

HOUR_S = 3600


class Account(FakeSink):
    """Takes all, and while ``fault`` is set refuses each message a moment later, as the bridge does."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def _apply(self, messages: Sequence[Message]) -> None:
        if not self.fault:
            super()._apply(messages)

    def late_verdicts(self, since_ms: int) -> Sequence[SyncError]:
        """Every message that was not applied, refused two seconds after it came."""
        now_ms = 1_700_000_000_000 + int(asyncio.get_running_loop().time() * 1000)
        found = [
            SyncError(m.object_type, m.external_id, m.changed_at, 1_700_000_000_000 + int(at * 1000) + 2000, self.fault)
            for at, batch in self.requests
            for m in batch
            if self.held.get(m.external_id) != m
        ]
        return [sync_error for sync_error in found if since_ms < sync_error.errored_at <= now_ms] if self.fault else []


async def render_for(harness: DeliveryHarness, seconds: float) -> None:
    """Let delivery run, and render what asks for it."""
    for _ in range(int(seconds / 10)):
        if harness.books.work():
            harness.delivery.wake()
        await asyncio.sleep(10)


@pytest.mark.parametrize("kind", ["INACTIVE_PORTAL", "SETTINGS_NOT_ENABLED"])
def test_nothing_is_set_aside_and_all_goes_once_the_account_is_well(tmp_path: Path, kind: str) -> None:
    """One line says why nothing is sent; tries grow rare; what was refused is sent again in order."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, Account(kind))
        for number in range(30):
            harness.books.put(customer(number))
            harness.books.put(order(number), customer(number))
        with capture_logs() as lines:
            async with harness.running() as delivery:
                await render_for(harness, HOUR_S / 2)
                tried = len(harness.sink.requests)
                assert not delivery.is_accepting
                assert kind in delivery.reason
                assert "by itself" in delivery.reason
                assert delivery.status()["sending"]["state"] == "account"
                assert 0 < delivery.status()["sending"]["next_try_s"] <= TRY_CAP_S
                harness.sink.fault = ""  # type: ignore[attr-defined]
                await render_for(harness, 2 * TRY_CAP_S)
                assert delivery.is_accepting
        assert len(harness.sink.held) == 60
        assert harness.books.letters() == []
        assert tried <= 2 + 5  # what went before the first verdict, then one a try
        said = [line["event"] for line in lines if line["event"].startswith("sink_")]
        assert said == ["sink_takes_nothing", "sink_recovered"]

    simulate(story())


def test_other_verdicts_beside_it_are_dead_letters_as_ever(tmp_path: Path) -> None:
    """Only what was refused for the account's sake is sent again."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        for number in (1, 2):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            for number, kind in ((1, "INVALID_ENUM_PROPERTY"), (2, "SETTINGS_NOT_ENABLED")):
                held = harness.sink.held[f"magento-customer-{number}"]
                harness.sink.verdicts.append(
                    SyncError(ObjectType.CONTACT, held.external_id, held.changed_at, harness.clock.now_ms(), kind)
                )
            await asyncio.sleep(20)
            assert not delivery.is_accepting
            await harness.settle(delivery)
        assert harness.books.letters() == [("customer", 1)]
        assert harness.sent(ObjectType.CONTACT)[-1] == ("customer-2",)

    simulate(story())


def test_a_wait_ends_only_after_a_try_had_time_to_be_judged() -> None:
    """Quiet without a try proves nothing; a refusal soon after the end goes on with longer waits."""
    wait = AccountWait(verdict_s=60)
    wait.refused("switched off", 0)
    assert (wait.next_s, wait.ends(1000)) == (60, False)
    wait.taken(1000)
    assert (wait.ends(1059), wait.ends(1060), wait.reason) == (False, True, "")

    wait.refused("switched off", 1100)
    assert wait.next_s == 1100 + 120
    wait.taken(1220)
    wait.ends(1300)
    wait.refused("switched off", 1300 + HOUR_S + 1)
    assert wait.wait_s == 60
