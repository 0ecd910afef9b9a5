"""A state with everything that the operator's page can show, and a view over it, without source and sink."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.messages import dead_letters, ledger, outbox
from cdc.messages.refs import HELD_DELETE, key_of
from cdc.model import Action, Kind, Latency, ObjectRef, ObjectType, Urgency
from cdc.settings.config import Settings, StateSettings
from cdc.settings.sink import SinkSettings
from cdc.settings.source import SourceSettings
from cdc.settings.web import WebSettings
from cdc.status import DaemonView, SourceState
from cdc.web.metrics import Metrics
from cdc.web.samples import EVERY_S, KEPT
from tests.kit.replica_harness import ReplicaHarness

TOKEN = "a-token-of-the-tests-1f3a"
EMAIL = "ann@example.com"
HELD = (ObjectRef(Kind.ORDER, 43), ObjectRef(Kind.ORDER, 44), ObjectRef(Kind.PRODUCT, 9))
WAITING = (ObjectRef(Kind.CUSTOMER, 5), ObjectRef(Kind.PRODUCT, 7), ObjectRef(Kind.ORDER, 41))
LETTERS = ((ObjectRef(Kind.ORDER, 42), "UNKNOWN_ERROR"), (ObjectRef(Kind.PRODUCT, 8), "refused"))


class Taking:
    """An output that takes everything, as far as the view asks."""

    is_accepting, reason, role = True, "", "alone"

    def status(self) -> Mapping[str, object]:
        """A little of everything."""
        return {
            "sending": {"state": "ok"},
            "accepted": {"DEAL": 1200, "CONTACT": 30},
            "requests": {"ok": 61},
            "quota": {"objects": {"daily_limit": 250_000, "daily_remaining": 249_120}},
            "verify": {"counts": {"equal": 97, "missing": 1, "differing": 2}},
        }

    def member(self) -> Mapping[str, object]:
        """Alone."""
        return {"role": self.role}

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """As HubSpot's."""
        return f"https://app.hubspot.com/contacts/1/record/0-{len(object_type.value)}/{record_id}"


class Quiet:
    """A watcher with nothing to do."""

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """Nothing."""

    def on_failure(self, error: BaseException) -> None:
        """The thread must not fail."""
        raise error


def fill(shop: ReplicaHarness) -> None:
    """Dead letters, held deletions, and messages that wait for their turn, for another object and for a retry."""
    shop.insert("customer_entity", entity_id=5, email=EMAIL, firstname="Ann", website_id=1)
    shop.insert("catalog_product_entity", entity_id=7, sku="Mug-Blue", type_id="simple")
    shop.insert("sales_order", entity_id=41, increment_id="000000041", customer_id=5, customer_email=EMAIL)
    shop.insert("sales_order", entity_id=42, increment_id="000000042", customer_id=5, customer_email=EMAIL)
    now_ms, store = int(time.time() * 1000), shop.engine.store

    def message(ref: ObjectRef, action: Action) -> outbox.NewMessage:
        return outbox.NewMessage(ref, action, 1, b"1", "{}", "[]", Urgency.LIVE, now_ms, 0, now_ms, "binlog.000001:9")

    with store.transaction():
        outbox.take_back(store, LETTERS[0][0])
        for ref in WAITING:
            outbox.put(store, message(ref, Action.UPSERT))
        ledger.note_records(store, [(ref, "7001") for ref, _ in LETTERS[:1]])
        for number, (ref, reason) in enumerate(LETTERS):
            letter = dead_letters.DeadLetter(ref, Action.UPSERT, 1, now_ms - number, reason, f"{EMAIL} is bad", "")
            dead_letters.add(store, letter)
        for ref in HELD:
            outbox.put(store, message(ref, Action.DELETE))
        seqs = store.db.execute("SELECT seq FROM outbox WHERE action = 'DELETE'").fetchall()
        outbox.block(store, [(seq, HELD_DELETE) for (seq,) in seqs])
        [(order,)] = store.db.execute("SELECT seq FROM outbox WHERE kind = 'order' AND id = 41").fetchall()
        outbox.block(store, [(order, key_of(ObjectRef(Kind.CUSTOMER, 5)))])


def remember(metrics: Metrics) -> None:
    """An hour of samples."""
    now_ms = int(time.time() * 1000)
    for number in range(KEPT + 1):
        for turn in range(number % 40):
            latency = Latency(total=0.1 + turn / 100, read=None, rendered=None, sent=0.0, accepted=0.0)
            metrics.accepted(ObjectType.DEAL, [latency])
        status = {
            "changes": number * 30,
            "source": {"read_lag_s": 0.4 + math.sin(number / 20) ** 2},
            "outbox": {"total": abs(number % 90 - 45)},
        }
        metrics.samples.look(status, number * EVERY_S, now_ms - int((KEPT - number) * EVERY_S * 1000))


@contextlib.asynccontextmanager
async def filled_view(folder: Path, **web: Any) -> AsyncIterator[tuple[DaemonView, Metrics, WebSettings]]:
    """The view of a daemon over such a state; ``web``: settings of the page."""
    settings = Settings(
        source=SourceSettings(database="shop"),
        sink=SinkSettings(kind="bridge"),
        state=StateSettings(dir=folder),
        web=WebSettings(**{"port": 0, "admin_token": SecretStr(TOKEN), **web}),
    )
    shop = ReplicaHarness(folder, settings.mapping)
    fill(shop)
    queue = TransactionQueue(1024)
    state = StateThread(shop.engine, queue, settings.apply, Quiet())
    output: Any = Taking()
    view = DaemonView(queue, SourceState(name="connected", read_lag_s=0.4), output)
    view.attach(state, settings, is_relay=False)
    state.start()
    metrics = Metrics()
    remember(metrics)
    await view.refresh(metrics)
    try:
        yield view, metrics, settings.web
    finally:
        state.stop()
        state.join()
