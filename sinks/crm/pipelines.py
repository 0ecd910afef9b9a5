"""The deals' pipeline, and HubSpot's stage for each of our stages. Pure; HubSpot's JSON goes in.

Stages are matched by id, then by label: the old Ecommerce Pipeline has our names as ids, and pipelines that ``mapping
push`` made have HubSpot's own ids. If the account has neither pipeline, its default pipeline is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple


class Stage(NamedTuple):
    """A stage that ``mapping push`` creates: its label and probability, in HubSpot's form."""

    label: str
    probability: str


STAGES: Final[Mapping[str, Stage]] = {
    "checkout_abandoned": Stage("Checkout Abandoned", "0.1"),
    "checkout_pending": Stage("Checkout Pending", "0.2"),
    "checkout_completed": Stage("Checkout Completed", "0.6"),
    "processed": Stage("Processed", "0.9"),
    "shipped": Stage("Shipped", "1.0"),
    "cancelled": Stage("Cancelled", "0.0"),
}
"""Our stages in their order."""

OLD_LABEL: Final = "Ecommerce Pipeline"
OUR_LABEL: Final = "Magento"
DEFAULT_ID: Final = "default"


@dataclass(frozen=True, slots=True)
class HeldStage:
    """A stage in the account. ``probability``: None if the stage has none. ``permissions``: who may write it."""

    id: str
    label: str
    probability: float | None
    permissions: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline in the account, its stages in order. ``is_fallback``: it is not ours, but the account's default."""

    id: str
    label: str
    stages: tuple[HeldStage, ...]
    is_fallback: bool = False

    def stage(self, name: str) -> str:
        """The id of HubSpot's stage for our stage; "" if there is none."""
        found = self._named(name)
        # In a pipeline of ours a stage that is missing is left out, and never replaced by another.
        if found or not self.is_fallback:
            return found
        # In the account's default pipeline the won stage has probability 1.
        if name == "shipped":
            return self._with_probability(1.0)
        return self._with_probability(0.0) if name == "cancelled" else self._first()

    def _named(self, name: str) -> str:
        label = STAGES[name].label if name in STAGES else name
        by_id = (stage.id for stage in self.stages if stage.id == name)
        by_label = (stage.id for stage in self.stages if stage.label.casefold() == label.casefold())
        return next(by_id, "") or next(by_label, "")

    def _with_probability(self, probability: float) -> str:
        found = (stage.id for stage in self.stages if stage.probability == probability)
        return next(found, "") or self._first()

    def _first(self) -> str:
        return self.stages[0].id if self.stages else ""

    def missing(self) -> list[str]:
        """Our stages that the pipeline lacks."""
        return [name for name in STAGES if not self._named(name)]


def read_pipelines(content: Any) -> list[Pipeline]:
    """The pipelines of an answer, in the account's order, without archived ones."""
    results = content.get("results") if isinstance(content, Mapping) else None
    held = [item for item in results if _is_live(item)] if isinstance(results, list) else []
    return [
        Pipeline(str(item["id"]), str(item.get("label") or ""), tuple(_stages(item.get("stages"))))
        for item in sorted(held, key=_order)
    ]


def _is_live(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("id"), str | int) and item.get("archived") is not True


def _order(item: Mapping[str, Any]) -> float:
    order = item.get("displayOrder")
    return order if isinstance(order, int | float) else 0


def _stages(items: Any) -> Iterator[HeldStage]:
    held = [item for item in items if _is_live(item)] if isinstance(items, list) else []
    for item in sorted(held, key=_order):
        metadata = item.get("metadata")
        probability = metadata.get("probability") if isinstance(metadata, Mapping) else None
        permissions = str(item.get("writePermissions") or "")
        yield HeldStage(str(item["id"]), str(item.get("label") or ""), _number(probability), permissions)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def find(pipelines: Sequence[Pipeline], wanted: str) -> Pipeline | None:
    """The pipeline in the settings: ``wanted`` by id or label; "": the old one, else ours. None: it does not exist."""
    # The old bridge's pipeline has the deals of before, so it goes first.
    for name in (wanted,) if wanted else (OLD_LABEL, OUR_LABEL):
        found = [held for held in pipelines if held.id == name] or [
            held for held in pipelines if held.label.casefold() == name.casefold()
        ]
        if found:
            return found[0]
    return None


def resolve(pipelines: Sequence[Pipeline], wanted: str) -> Pipeline | None:
    """The pipeline for deals: the one in the settings, else the account's default as a fallback."""
    found = find(pipelines, wanted)
    # Without a pipeline of ours deals go to the account's default one.
    if found is not None or not pipelines:
        return found
    held = next((pipeline for pipeline in pipelines if pipeline.id == DEFAULT_ID), pipelines[0])
    return Pipeline(held.id, held.label, held.stages, is_fallback=True)
