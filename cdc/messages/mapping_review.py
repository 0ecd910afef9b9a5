"""Counts what a changed mapping would do to the objects in HubSpot, before any of it is done.

A typing error in a filter can leave out a whole shop. So after a change of ``[mapping]``, every object that HubSpot
holds is first rendered without writing anything. If the new mapping would delete or change more than
``delivery.max_change_share`` of them, it waits until an operator accepts it or restores the old mapping. Rows are
applied meanwhile, and the objects that they affect wait in the render queue.

The review is kept in the state file, so it goes on after a restart. Use inside a store transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from cdc.log_events import get_logger
from cdc.messages import sent_versions
from cdc.messages.digests import Effect
from cdc.messages.renderer import Renderer
from cdc.model import OBJECT_TYPE, Kind, ObjectRef
from cdc.state.store import Store

log = get_logger(__name__)

SLICE_OBJECTS: Final = 200
"""Objects counted in one turn of the state thread: about 20 ms."""

COMMAND: Final = "magento-cdc mapping accept"


class Step(StrEnum):
    """How far a review has come. NONE: no mapping is under review."""

    NONE = ""
    COUNTING = "counting"
    WAITING = "waiting"


class MappingReview:
    """The review of one state. ``max_share``: the share of objects (0 to 1) that
    a mapping may change without acceptance.
    """

    def __init__(self, store: Store, renderer: Renderer) -> None:
        self._store = store
        self._renderer = renderer
        self.max_share = 1.0
        self.step = Step.NONE
        self.reread()

    def reread(self) -> None:
        """A transaction was undone: read the step from the state."""
        self.step = Step(self._store.meta.mapping_review.get("step", ""))

    @property
    def is_open(self) -> bool:
        """Whether a mapping is under review, so nothing may be rendered."""
        return self.step is not Step.NONE

    @property
    def has_to_ask(self) -> bool:
        """Whether a changed mapping needs a review: HubSpot holds objects that it could change."""
        return self.max_share < 1 and bool(sent_versions.held_after(self._store, None, 1))

    def begin(self, version: str) -> None:
        """Begin the review of the mapping of this version, unless that review is open already."""
        if self._store.meta.mapping_review.get("version") == version:
            return
        self._keep({"version": version, "step": Step.COUNTING.value, "after": None, "counts": {}})
        log.info("mapping_review", reason="the mapping has changed; nothing is rendered until its effect is counted")

    def end(self) -> None:
        """The mapping was accepted, or the old mapping is back."""
        if self.is_open:
            self._keep({})
        self._store.meta.mapping_accepted = ""

    def count(self) -> bool:
        """Count one slice of the objects that HubSpot holds. True once all of them are counted."""
        review = dict(self._store.meta.mapping_review)
        after = review["after"]
        refs = sent_versions.held_after(
            self._store, ObjectRef(Kind(after[0]), after[1]) if after else None, SLICE_OBJECTS
        )
        counts = Counter(review["counts"])
        for ref in refs:
            counts[f"{ref.kind.value}:{self._renderer.effect(ref).value}"] += 1
        review |= {"counts": counts, "after": [refs[-1].kind.value, refs[-1].id] if refs else after}
        self._keep(review)
        return len(refs) < SLICE_OBJECTS

    def is_accepted(self) -> bool:
        """Whether the counted change may go on: it is small enough, or an operator accepted it."""
        review = self._store.meta.mapping_review
        totals = _totals(review["counts"])
        changed = sum(totals.values()) - totals[Effect.SAME]
        if self._store.meta.mapping_accepted == review["version"] or changed <= self.max_share * sum(totals.values()):
            return True
        if self.step is not Step.WAITING:
            self._keep({**review, "step": Step.WAITING.value})
            log.error("mapping_waits", plan=plan_text(review), fix=f"`{COMMAND}`, or put the old mapping back")
        return False

    def reason(self) -> str:
        """Why nothing is rendered; "" if objects are rendered, or while the count still goes on."""
        if self.step is not Step.WAITING:
            return ""
        plan = plan_text(self._store.meta.mapping_review)
        return f"{plan}; nothing is rendered until `{COMMAND}`, or put the old mapping back"

    def status(self) -> dict[str, object]:
        """For /status: the step, and the effects on the objects counted so far, by type."""
        return {"step": self.step.value, "plan": plan_rows(self._store.meta.mapping_review), "reason": self.reason()}

    def _keep(self, review: Mapping[str, Any]) -> None:
        self._store.meta.mapping_review = review
        self.step = Step(review.get("step", ""))


def accept(store: Store) -> str:
    """Accept the mapping that is under review. Returns its effects in words, "" if no mapping is under review."""
    review = store.meta.mapping_review
    if not review:
        return ""
    store.meta.mapping_accepted = review["version"]
    return plan_text(review)


def plan_rows(review: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Object type → effect → objects that HubSpot holds, as counted so far."""
    found: dict[str, dict[str, int]] = {}
    for name, count in review.get("counts", {}).items():
        kind, _, effect = name.partition(":")
        by_effect = found.setdefault(OBJECT_TYPE[Kind(kind)].value, dict.fromkeys((one.value for one in Effect), 0))
        by_effect[effect] += count
    return found


def plan_text(review: Mapping[str, Any]) -> str:
    """``the mapping now leaves out 61,700 of 66,758 objects, and changes 12``."""
    totals = _totals(review["counts"])
    held = sum(totals.values())
    parts = [f"leaves out {totals[Effect.DELETED]:,} of {held:,} objects"] if totals[Effect.DELETED] else []
    if totals[Effect.CHANGED] or not parts:
        parts.append(f"changes {totals[Effect.CHANGED]:,}" + ("" if parts else f" of {held:,} objects"))
    if totals[Effect.FAILED]:
        parts.append(f"cannot render {totals[Effect.FAILED]:,}")
    return f"the mapping now {', and '.join(parts)}"


def _totals(counts: Mapping[str, int]) -> Counter[Effect]:
    totals: Counter[Effect] = Counter()
    for name, count in counts.items():
        totals[Effect(name.partition(":")[2])] += count
    return totals
