"""One message on its way through a send: the facts of its record, its next step, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cdc.model import Message, Outcome, Receipt, Reference

MAX_STEPS: Final = 8
"""The most calls that one message may need in one send. A message that needs more is tried again later."""


class Step(Enum):
    """The next step of a message."""

    UPDATE = "update"  # write onto the record that has the object's key
    LOOK_UP = "look_up"  # find the object's record
    WRITE = "write"  # write onto the record ``record_id``, the key among the values
    CREATE = "create"
    WRITTEN = "written"  # only links are left
    SETTLED = "settled"


@dataclass(slots=True, eq=False)
class Work:
    """One message. ``values``: its properties under HubSpot's names, without the key.

    ``record_id``: the object's record, as far as this send knows it. ``keeps_values``: the record is adopted from
    people or another tool, so empty values are not written. ``clears``: the record is taken over from another object of
    ours, whose values must not stay. ``only_product``: of a line's values only its product is written. ``left_out``:
    properties that this record or account does not accept.

    ``links_all``: link every reference, whatever was linked before. ``references``: the message's references, with
    record ids that were looked up since. ``inlined``: references that the creating call linked. ``gone``: references
    without a record. ``gave_way``: the object's former record, whose deals move.
    """

    message: Message
    values: dict[str, str]
    step: Step = Step.UPDATE
    record_id: str = ""
    keeps_values: bool = False
    only_product: bool = False
    clears: bool = False
    left_out: set[str] = field(default_factory=set)
    links_all: bool = False
    references: tuple[Reference, ...] = ()
    inlined: frozenset[str] = frozenset()
    inlines: bool = True
    gave_way: str = ""
    gone: list[str] = field(default_factory=list)
    looked_up: bool = False
    steps: int = 0
    outcome: Outcome = Outcome.RETRY
    reason: str = ""
    detail: str = ""
    retry_after_s: float = 0.0
    is_record_gone: bool = False

    @property
    def key(self) -> str:
        """The object's external id, the value of the key property."""
        return self.message.external_id

    @property
    def is_open(self) -> bool:
        """Whether something is still to be written."""
        return self.step not in (Step.WRITTEN, Step.SETTLED)

    @property
    def may_have_record(self) -> bool:
        """Whether the object may have a record although none is known."""
        # An attempt without an answer may have made the record.
        return self.message.was_accepted or self.message.may_repeat

    def written(self, record_id: str) -> None:
        """The properties were written to this record."""
        self.record_id = record_id
        self.step = Step.WRITTEN

    def settle(self, outcome: Outcome, reason: str = "", detail: str = "", *, retry_after_s: float = 0.0) -> None:
        """End this message's way through this send."""
        self.step = Step.SETTLED
        self.outcome, self.reason, self.detail, self.retry_after_s = outcome, reason, detail, retry_after_s

    def receipt(self) -> Receipt:
        """The receipt for delivery."""
        message = self.message
        return Receipt(
            message.external_id,
            message.changed_at,
            self.outcome,
            self.reason,
            self.detail,
            record_id=self.record_id,
            is_record_gone=self.is_record_gone,
            gone=tuple(self.gone),
            retry_after_s=self.retry_after_s,
        )
