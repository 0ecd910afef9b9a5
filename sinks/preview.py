"""The sink of a dry run: prints the messages as lines of JSON. It accepts everything and sends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import orjson

from cdc.model import Action, Answer, Message, ObjectType, Outcome, Receipt
from cdc.protocols import Requests, SinkTraits
from sinks.jsonl import MAX_BATCH, WRITE, line_of


class PreviewSink:
    """Sink (cdc/protocols.py). ``counts``: object type → ``new``, ``changed``, ``deleted`` → objects.

    ``is_held`` says whether the receiver holds an object; it is called at the object's first message. ``write`` takes
    one line: a message as jsonl writes it, with ``change``. An object that changes again has a further line.
    """

    def __init__(self, real: SinkTraits, *, is_held: Callable[[str], bool], write: Callable[[bytes], object]) -> None:
        """``real``: the traits of the sink in the settings. All of them apply here too, except its quota
        and batch size.
        """
        self.traits = replace(real, name="preview", max_batch=MAX_BATCH, families={})
        self._is_held = is_held
        self._write = write
        self._held: dict[str, bool] = {}
        self._last: dict[str, tuple[ObjectType, str]] = {}

    @property
    def counts(self) -> Mapping[ObjectType, Counter[str]]:
        """Objects by their last message. An object that came and went again is not counted."""
        found: dict[ObjectType, Counter[str]] = {kind: Counter() for kind in ObjectType}
        for object_type, change in self._last.values():
            if change:
                found[object_type][change] += 1
        return found

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """Write one line per message."""
        async with requests.permit(WRITE):
            self._print(messages)
        return Answer(tuple(Receipt(m.external_id, m.changed_at, Outcome.ACCEPTED) for m in messages))

    def _print(self, messages: Sequence[Message]) -> None:
        for message in messages:
            name = message.external_id
            was_held = self._held.get(name)
            if was_held is None:
                was_held = self._held[name] = self._is_held(name)
            if message.action is Action.DELETE:
                change = "deleted" if was_held else ""
            else:
                change = "changed" if was_held else "new"
            self._last[name] = (message.object_type, change)
            fields = {**orjson.loads(line_of(message)), "change": change or "came and went"}
            self._write(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))

    async def close(self) -> None:
        """Nothing: no file is open."""
