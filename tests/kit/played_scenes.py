"""A recording told to the real replica, mapping and outbox: what each scene makes them send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cdc.model import Action, Message, ObjectType
from tests.kit.events import MAPPING
from tests.kit.recording import Played, Recording, State
from tests.kit.replica_harness import replica_harness


@dataclass
class Told:
    """One scene: its messages, and where what has been sent so far differs from a full render of the database."""

    scene: Played
    messages: list[Message]
    differences: list[str]
    counts: Counter[str]
    """Of the decoder and of the replica, see ``tests.kit.replica_harness.ReplicaHarness.counts``."""


class Receiver:
    """What a receiver holds after these messages: properties are merged, as HubSpot does it."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[dict[str, str], dict[ObjectType, tuple[str, ...]]]] = {}
        self._changed_at: dict[str, int] = {}

    def take(self, messages: Iterable[Message]) -> None:
        """Apply them; an AssertionError for one that is not newer than the last or refers to what is not there."""
        for message in messages:
            key = message.external_id
            assert message.changed_at > self._changed_at.get(key, 0), f"{key}: changed_at does not rise"
            self._changed_at[key] = message.changed_at
            if message.action is Action.DELETE:
                self.objects.pop(key)
                continue
            missing = {one for ids in message.associations.values() for one in ids} - self.objects.keys()
            assert not missing, f"{key} refers to {sorted(missing)}, which are not there"
            held, _ = self.objects.get(key, ({}, {}))
            self.objects[key] = {**held, **message.properties}, dict(message.associations)

    def differences(self, render: State) -> list[str]:
        """Where a full render differs; a property that the render leaves out is not compared."""
        lines = [f"missing: {key}" for key in render.keys() - self.objects.keys()]
        lines += [f"too much: {key}" for key in self.objects.keys() - render.keys()]
        for key in render.keys() & self.objects.keys():
            (properties, links), (held, held_links) = render[key], self.objects[key]
            compared = {name: held.get(name, "") for name in properties}
            if compared != properties or links != held_links:
                wrong = {name: (value, compared[name]) for name, value in properties.items() if value != compared[name]}
                lines.append(f"{key}: rendered and sent differ in {wrong or (links, held_links)}")
        return sorted(lines)


def tell(recording: Recording, mapping: Mapping[str, Any] = MAPPING) -> list[Told]:
    """Apply scene by scene, taking every message; the opening comes first and is not in the answer. After each scene
    the time passes that passed in the shop.
    """
    told: list[Told] = []
    receiver = Receiver()
    committed_ms = 0
    with replica_harness(keys=recording.keys, **mapping) as harness:
        for scene in (recording.opening, *recording.scenes):
            before = harness.counts()
            harness.apply(scene.transactions)
            commits = [transaction.commit_ms for transaction in scene.transactions]
            committed_ms = max(commits, default=committed_ms)
            harness.let_pass(committed_ms + scene.waited_ms)
            messages = harness.sent()
            receiver.take(messages)
            differences = receiver.differences(scene.render(*harness.cart_clocks()))
            told.append(Told(scene, messages, differences, scene.counters + (harness.counts() - before)))
    assert not told[0].differences, told[0].differences
    return told[1:]
