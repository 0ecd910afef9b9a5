"""A batch of which every message is refused in the same words blames the account, until other messages are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from cdc.delivery.blame import MIN_ALIKE, alike
from cdc.errors import BatchRefusedError
from cdc.model import Message, ObjectType, Outcome
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, product
from tests.kit.fakesink import FakeSink, Plan


class Closed(FakeSink):
    """Refuses contacts in the same words while ``is_closed``: the whole batch, or each message with a receipt."""

    def __init__(self, *, by_receipt: bool) -> None:
        super().__init__()
        self.is_closed = True
        self.by_receipt = by_receipt
        self.plan = self._plan

    def _plan(self, messages: Sequence[Message]) -> Plan:
        if not self.is_closed or messages[0].object_type is not ObjectType.CONTACT:
            return Plan()
        if self.by_receipt:
            return Plan(outcomes={m.external_id: Outcome.REJECTED for m in messages})
        error = BatchRefusedError(f"{len(messages)} messages: property plan is required", status=400)
        return Plan(is_applied=False, error=error)


@pytest.mark.parametrize("by_receipt", [False, True], ids=["whole batch", "receipts"])
def test_nothing_is_set_aside_while_the_account_refuses_everything(tmp_path: Path, by_receipt: bool) -> None:
    """``/ready`` says what is refused; once the account takes messages again, all of them arrive by themselves."""

    async def story() -> None:
        sink = Closed(by_receipt=by_receipt)
        harness = DeliveryHarness(tmp_path, sink)
        for number in range(100):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await asyncio.sleep(3600)
            assert harness.books.letters() == []
            assert not delivery.is_accepting
            assert "every message is refused in these words" in delivery.reason
            assert len(sink.requests) < 800
            sink.is_closed = False
            assert await harness.settle(delivery) == "empty"
            assert delivery.is_accepting
        assert len(sink.held) == 100

    simulate(story())


@pytest.mark.parametrize("by_receipt", [False, True], ids=["whole batch", "receipts"])
def test_messages_are_to_blame_when_others_are_taken(tmp_path: Path, by_receipt: bool) -> None:
    """Ten bad contacts and a product: once the product is taken, the contacts become dead letters."""

    async def story() -> None:
        sink = Closed(by_receipt=by_receipt)
        harness = DeliveryHarness(tmp_path, sink)
        for number in range(10):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await asyncio.sleep(30)
            assert harness.books.letters() == []
            harness.books.put(product(1))
            delivery.wake()
            assert await harness.settle(delivery) == "empty"
        assert len(harness.books.letters()) == 10
        assert list(sink.held) == ["magento-product-1"]
        assert asyncio.get_running_loop().time() < 300

    simulate(story())


def test_a_few_refusals_or_different_words_blame_the_messages() -> None:
    """Numbers differ from message to message; other words are another fault. Words known before need no number."""
    assert alike(["order 5: no stage"] * MIN_ALIKE) == "order #: no stage"
    assert alike([f"order {number}: no stage" for number in range(MIN_ALIKE)])
    assert alike(["no stage"] * (MIN_ALIKE - 1)) == ""
    assert alike(["no stage", "no amount", "no stage"]) == ""
    assert alike(["no stage"], "no stage") == "no stage"
