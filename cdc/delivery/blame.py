"""Whom a refusal blames when every message of a batch is refused in the same words: the account, not the messages.

A firewall, a required property that somebody added, a licence that ended: each makes a receiver refuse all it gets, and
no message can mend it. A few bad messages look the same as long as nothing else is sent. So the account is blamed at
first and messages wait; once other messages are taken, those that are still refused are to blame. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cdc.messages.outbox import Entry

MIN_ALIKE: Final = 3
"""Messages refused in the same words from which the account may be to blame."""

ENOUGH: Final = 8
"""Messages of one batch refused in the same words, and none taken, after which the rest need not be tried; and messages
of a batch that is sent to see whether the account takes messages again."""

_NUMBERS: Final = re.compile(r"\d+")


def words_of(text: str) -> str:
    """A refusal without its numbers: ids and counts differ from message to message."""
    return _NUMBERS.sub("#", text)


def alike(texts: Sequence[str], words_before: str = "", *, at_least: int = MIN_ALIKE) -> str:
    """The words that all refusals share; "" if they differ, or are fewer than ``at_least``.

    ``words_before``: what the account refused with before; then one refusal in these words is enough.
    """
    words = {words_of(text) for text in texts}
    if len(words) != 1:
        return ""
    (only,) = words
    return only if len(texts) >= at_least or only == words_before else ""


@dataclass(slots=True)
class SplitWatch:
    """How the splitting of one batch goes.

    ``entries``: the whole batch. ``successes``: of all lanes before it began; only later ones prove that the sink
    works. ``vain``: pieces that failed in a row without having been refused. ``has_accepted``: some piece was taken.
    ``refused``: what was refused alone and waits until it is known whom to blame: entry, the fault's kind, its text.
    """

    entries: Sequence[Entry]
    successes: int
    vain: int = 0
    has_accepted: bool = False
    refused: list[tuple[Entry, str, str]] = field(default_factory=list)

    @property
    def is_hopeless(self) -> bool:
        """Whether enough messages were refused in the same words, and none was taken."""
        if self.has_accepted or len(self.refused) < ENOUGH:
            return False
        return bool(alike([text for _, _, text in self.refused]))
