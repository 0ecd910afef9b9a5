"""What would be sent, as lines of JSON: the sink of a dry run. Takes everything, sends nothing anywhere."""

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

    ``is_held`` says whether the receiver holds an object; it is asked when an object is met first. ``write`` takes one
    line: a message as jsonl writes it, with ``change``. An object that changes again has a further line.
    """

    def __init__(self, real: SinkTraits, *, is_held: Callable[[str], bool], write: Callable[[bytes], object]) -> None:
        """``real``: the traits of the sink that would be sent to; all but its quota and batch size hold here, too."""
        self.traits = replace(real, name="preview", max_batch=MAX_BATCH, families={})
        self._is_held = is_held
        self._write = write
        self._held: dict[str, bool] = {}
        self._last: dict[str, tuple[ObjectType, str]] = {}

    @property
    def counts(self) -> Mapping[ObjectType, Counter[str]]:
        """By their last message; what came and went again counts as nothing."""
        found: dict[ObjectType, Counter[str]] = {kind: Counter() for kind in ObjectType}
        for object_type, change in self._last.values():
            if change:
                found[object_type][change] += 1
        return found

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """Write one line a message."""
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
        """Nothing is held open."""
