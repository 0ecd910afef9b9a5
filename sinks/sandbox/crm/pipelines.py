"""Pipelines and their stages."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.model import ObjectType
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.refusals import NOT_FOUND, refuse
from sinks.sandbox.crm.standard import DEFAULT_PIPELINE, DEFAULT_STAGES

_PROBABILITY: Final = re.compile(r"0(\.\d0*)?|1(\.0+)?")
"""Steps of a tenth from 0.0 to 1.0."""


@dataclass(slots=True)
class Stage:
    """One stage. ``probability``: text from 0.0 (lost) to 1.0 (won)."""

    id: str
    label: str
    display_order: int
    probability: str
    created_ms: int
    updated_ms: int
    archived: bool = False
    permissions: str = "CRM_PERMISSIONS_ENFORCEMENT"
    """Or READ_ONLY, INTERNAL_ONLY: where an admin closed the stage to others."""

    @property
    def is_closed(self) -> bool:
        """Won or lost."""
        return float(self.probability) in (0.0, 1.0)


@dataclass(slots=True)
class Pipeline:
    """A pipeline with its stages by id."""

    id: str
    label: str
    display_order: int
    created_ms: int
    updated_ms: int
    stages: dict[str, Stage] = field(default_factory=dict)
    archived: bool = False

    def live_stages(self) -> list[Stage]:
        """Stages in use, in the order that people see."""
        return sorted((s for s in self.stages.values() if not s.archived), key=lambda s: (s.display_order, s.id))


class Pipelines:
    """The deal pipelines of an account: the sandbox has none for other object types."""

    def __init__(self, behaviour: Behaviour, now_ms: int) -> None:
        self._behaviour = behaviour
        first = Pipeline(DEFAULT_PIPELINE, "Sales Pipeline", 0, now_ms, now_ms)
        for order, (stage_id, label, probability) in enumerate(DEFAULT_STAGES):
            first.stages[stage_id] = Stage(stage_id, label, order, probability, now_ms, now_ms)
        self.all: dict[str, Pipeline] = {first.id: first}

    # ---------------------------------------------------------------------------------------------------- look

    def live(self, kind: ObjectType) -> list[Pipeline]:
        """Pipelines in use, in the order that people see."""
        if kind is not ObjectType.DEAL:
            return []
        return sorted((p for p in self.all.values() if not p.archived), key=lambda p: (p.display_order, p.id))

    def get(self, kind: ObjectType, pipeline_id: str) -> Pipeline:
        """One pipeline. CrmRefusalError with 404 if there is none."""
        found = self.all.get(pipeline_id) if kind is ObjectType.DEAL else None
        if found is None or found.archived:
            raise refuse(f"Pipeline {pipeline_id!r} does not exist", category=NOT_FOUND, status=404)
        return found

    def stage(self, kind: ObjectType, pipeline_id: str, stage_id: str) -> Stage:
        """One stage. CrmRefusalError with 404 if there is none."""
        found = self.get(kind, pipeline_id).stages.get(stage_id)
        if found is None or found.archived:
            raise refuse(f"Stage {stage_id!r} does not exist", category=NOT_FOUND, status=404)
        return found

    def stage_ids(self, pipeline_id: str) -> list[str]:
        """Ids of the stages that a deal of this pipeline may have."""
        found = self.all.get(pipeline_id)
        return [stage.id for stage in found.live_stages()] if found is not None and not found.archived else []

    # -------------------------------------------------------------------------------------------------- change

    def create(self, kind: ObjectType, body: Any, now_ms: int) -> Pipeline:
        """POST: label, displayOrder and stages are required; API_LIMIT when the account takes no further one."""
        label, order = _label_and_order(body)
        if not isinstance(body.get("stages"), list) or not body["stages"]:
            raise refuse("Some required fields were not set: [stages]")
        self._check_label(label)
        if kind is not ObjectType.DEAL or len(self.live(kind)) >= self._behaviour.max_pipelines:
            text = f"The account has reached its limit of {self._behaviour.max_pipelines} pipelines."
            raise refuse(text, category="API_LIMIT", sub_category="PipelineError.PIPELINE_LIMIT")
        pipeline_id = str(body.get("pipelineId") or "") if self._behaviour.chosen_ids_honoured else ""
        made = Pipeline(pipeline_id or str(uuid.uuid4()), label, order, now_ms, now_ms)
        for stage_body in body["stages"]:
            self._add_stage(made, stage_body, now_ms)
        self.all[made.id] = made
        return made

    def _check_label(self, label: str, but: str = "") -> None:
        if any(p.label.lower() == label.lower() and p.id != but for p in self.live(ObjectType.DEAL)):
            raise refuse(
                f"A pipeline with the label {label!r} already exists.",
                category="CONFLICT",
                status=409,
                sub_category="PipelineError.DUPLICATE_LABEL",
            )

    def _add_stage(self, pipeline: Pipeline, body: Any, now_ms: int) -> Stage:
        label, order = _label_and_order(body)
        _check_stage_label(pipeline, label)
        stage_id = str(body.get("stageId") or "") if self._behaviour.chosen_ids_honoured else ""
        made = Stage(stage_id or str(uuid.uuid4().int % 10**9), label, order, _probability(body), now_ms, now_ms)
        pipeline.stages[made.id] = made
        return made

    def change(self, kind: ObjectType, pipeline_id: str, body: Any, now_ms: int) -> Pipeline:
        """PATCH: label and displayOrder."""
        found = self.get(kind, pipeline_id)
        if not isinstance(body, dict):
            raise refuse("Invalid input JSON: an object is wanted")
        if "label" in body:
            self._check_label(str(body["label"]), but=found.id)
            found.label = str(body["label"])
        found.display_order = int(body.get("displayOrder", found.display_order))
        found.updated_ms = now_ms
        return found

    def replace(self, kind: ObjectType, pipeline_id: str, body: Any, now_ms: int) -> Pipeline:
        """PUT: label, order and all stages; stages that are not named go."""
        found = self.get(kind, pipeline_id)
        label, order = _label_and_order(body)
        self._check_label(label, but=found.id)
        made = Pipeline(found.id, label, order, found.created_ms, now_ms)
        for stage_body in body.get("stages", ()):
            self._add_stage(made, stage_body, now_ms)
        self.all[found.id] = made
        return made

    def delete(self, kind: ObjectType, pipeline_id: str, *, is_used: bool) -> None:
        """DELETE: refused while deals are in it."""
        found = self.get(kind, pipeline_id)
        if is_used:
            raise refuse("The pipeline is used by deals", sub_category="PipelineError.PIPELINE_IN_USE")
        found.archived = True

    def create_stage(self, kind: ObjectType, pipeline_id: str, body: Any, now_ms: int) -> Stage:
        """POST of one stage."""
        return self._add_stage(self.get(kind, pipeline_id), body, now_ms)

    def change_stage(self, kind: ObjectType, pipeline_id: str, stage_id: str, body: Any, now_ms: int) -> Stage:
        """PATCH or PUT of one stage; ``metadata`` is required."""
        found = self.stage(kind, pipeline_id, stage_id)
        if not isinstance(body, dict) or "metadata" not in body:
            raise refuse("Some required fields were not set: [metadata]")
        label = str(body.get("label", found.label))
        _check_stage_label(self.get(kind, pipeline_id), label, but=stage_id)
        found.probability = _probability(body, found.probability)
        found.label = label
        found.display_order = int(body.get("displayOrder", found.display_order))
        found.updated_ms = now_ms
        return found

    def delete_stage(self, kind: ObjectType, pipeline_id: str, stage_id: str, *, is_used: bool) -> None:
        """DELETE of one stage: refused while deals are in it."""
        found = self.stage(kind, pipeline_id, stage_id)
        if is_used:
            raise refuse("The stage is used by deals", sub_category="PipelineError.STAGE_IN_USE")
        found.archived = True


def _label_and_order(body: Any) -> tuple[str, int]:
    if not isinstance(body, dict) or not body.get("label") or type(body.get("displayOrder")) is not int:
        raise refuse("Some required fields were not set: [label, displayOrder]")
    return str(body["label"]), body["displayOrder"]


def _check_stage_label(pipeline: Pipeline, label: str, but: str = "") -> None:
    if any(stage.label.lower() == label.lower() and stage.id != but for stage in pipeline.live_stages()):
        text = f"A stage with the label {label!r} already exists in the pipeline."
        raise refuse(text, category="CONFLICT", status=409, sub_category="PipelineError.DUPLICATE_STAGE_LABEL")


def _probability(body: Any, before: str = "") -> str:
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise refuse("Some required fields were not set: [metadata]")
    text = str(metadata.get("probability", before))
    if not _PROBABILITY.fullmatch(text):
        raise refuse("metadata.probability of a deal stage is a step of 0.1 from 0.0 to 1.0")
    return str(float(text))
