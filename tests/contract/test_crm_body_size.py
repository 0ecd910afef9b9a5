"""Bodies of CRM calls keep ``sink.max_batch_kb``, measured as they go out, whatever alphabet the values are in."""

from __future__ import annotations

import pytest

from cdc.model import ObjectType, Outcome
from tests.kit.crm import bench, contact, deal, outcomes, product, ref

CONTACT, DEAL, PRODUCT = ObjectType.CONTACT, ObjectType.DEAL, ObjectType.PRODUCT
LIMIT_KB = 16


@pytest.mark.parametrize("letter", ["x", "я", "字", "😀", '"'])
async def test_no_body_is_larger_than_the_setting(letter: str) -> None:
    """With a limit of just those bytes on the way, all is written at once: creates, updates, look-ups and links."""
    text = letter * 400
    async with bench(sink={"max_batch_kb": LIMIT_KB}) as crm:
        crm.crm.account.behaviour.max_body = LIMIT_KB * 1024
        made = await crm.accept(*(contact(n, firstname=text, company=text) for n in range(100)))
        sent = crm.calls()
        await crm.accept(*(contact(n, lastname=text, company=text, record_id=made[n].record_id) for n in range(100)))
        await crm.accept(*(product(n, description=text) for n in range(60)))
        await crm.accept(*(deal(n, ref(made[n], CONTACT), name=text) for n in range(100)))
        assert len(crm.crm.account.records.live[DEAL]) == 100
        assert sent.count("objects/contacts/batch/create") >= 100 * 800 // (LIMIT_KB * 1024)
        assert crm.linked(CONTACT, made[99].record_id, DEAL)


async def test_bodies_are_filled() -> None:
    """As many contacts as fit share a call: two and a half times the limit makes three calls."""
    async with bench(sink={"max_batch_kb": LIMIT_KB}) as crm:
        await crm.accept(*(contact(n, firstname="字" * 250) for n in range(40)))
        assert crm.calls().count("objects/contacts/batch/create") == 3


async def test_a_limit_on_the_way_is_found_by_halving() -> None:
    """A proxy that takes less than the setting gets halves; what is too large even alone is one dead letter."""
    async with bench() as crm:
        crm.crm.account.behaviour.max_body = 4096
        receipts = await crm.send(*(contact(n, firstname="字" * (2000 if n == 7 else 100)) for n in range(20)))
        assert [n for n, outcome in enumerate(outcomes(receipts)) if outcome is not Outcome.ACCEPTED] == [7]
        assert (receipts[7].outcome, receipts[7].reason) == (Outcome.REJECTED, "REQUEST_TOO_LARGE")


async def test_a_reloaded_limit_holds_for_the_next_send() -> None:
    """SIGHUP hands the sink the new bound."""
    async with bench() as crm:
        crm.sink.bound_bodies(1500)
        await crm.accept(*(contact(n, firstname="字" * 250) for n in range(4)))
        assert crm.calls().count("objects/contacts/batch/create") == 4
