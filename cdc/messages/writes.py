"""How much of a message is to be written: for receivers that make links by calls of their own."""

from __future__ import annotations

from enum import IntEnum


class Writes(IntEnum):
    """What was asked for or decided of an entry of the outbox; the values stand in the state file."""

    WHOLE = 0  # all of it, though the receiver may hold it already
    LINKS = 1  # the links alone, but for those that the ledger has of the very objects
    CHANGES = 2  # decided when the entry is taken: properties that were accepted last are not written again
    LINK_CHANGES = 3  # that was decided: only links that are not there are made
