"""Decides on the cause when every message of a batch is refused with the same text: the account, or the messages.

A firewall, a required property that somebody added, a licence that ended: with each of these a receiver refuses every
message, and no change to a message helps. A few bad messages look the same as long as nothing else is sent. So at first
the account counts as the cause, and the messages wait. Once other messages are accepted, the messages that are still
refused count as the cause. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cdc.messages.outbox import Entry

MIN_ALIKE: Final = 3
"""From this many messages refused with the same text, the account may be the cause."""

ENOUGH: Final = 8
"""After this many messages of a batch were refused with the same text and none was accepted, the rest is not tried.

Also the size of a batch that is sent to find out whether the account accepts messages again.
"""

_NUMBERS: Final = re.compile(r"\d+")


def words_of(text: str) -> str:
    """The text of a refusal without its numbers: ids and counts differ from message to message."""
    return _NUMBERS.sub("#", text)


def alike(texts: Sequence[str], words_before: str = "", *, at_least: int = MIN_ALIKE) -> str:
    """The text that all refusals share; "" if they differ, or are fewer than ``at_least``.

    ``words_before``: the account's earlier refusal; then one refusal with this text is enough.
    """
    words = {words_of(text) for text in texts}
    if len(words) != 1:
        return ""
    (only,) = words
    return only if len(texts) >= at_least or only == words_before else ""


@dataclass(slots=True)
class SplitWatch:
    """The progress of splitting one batch.

    ``entries``: the whole batch. ``successes``: of all lanes before the split began; only later successes prove that
    the sink works. ``vain``: pieces that failed in a row without being refused. ``has_accepted``: some piece was
    accepted. ``refused``: messages that were refused alone and wait for the decision on the cause: entry, the fault's
    kind, its text.
    """

    entries: Sequence[Entry]
    successes: int
    vain: int = 0
    has_accepted: bool = False
    refused: list[tuple[Entry, str, str]] = field(default_factory=list)

    @property
    def is_hopeless(self) -> bool:
        """Whether enough messages were refused with the same text, and none was accepted."""
        if self.has_accepted or len(self.refused) < ENOUGH:
            return False
        return bool(alike([text for _, _, text in self.refused]))
