"""Which pipeline and stage a deal stands in."""

from __future__ import annotations

from typing import Any

from sinks.crm.pipelines import STAGES, find, read_pipelines, resolve


def pipeline(name: str, *stages: tuple[str, str, object], order: int = 0, pipeline_id: str = "") -> dict[str, Any]:
    """A pipeline as HubSpot answers it: stages are id, label, probability."""
    return {
        "id": pipeline_id or name.lower(),
        "label": name,
        "displayOrder": order,
        "stages": [
            {"id": stage_id, "label": label, "displayOrder": at, "metadata": {"probability": probability}}
            for at, (stage_id, label, probability) in enumerate(stages)
        ],
    }


SALES = pipeline(
    "Sales", ("a", "Open", "0.2"), ("w", "Won", "1.0"), ("l", "Lost", 0.0), ("w2", "Too", "1.0"), pipeline_id="default"
)
OURS = pipeline("Magento", *((f"s{at}", stage.label, stage.probability) for at, stage in enumerate(STAGES.values())))
OLD = pipeline("Ecommerce Pipeline", *((name, f"Label of {name}", "0.5") for name in STAGES))


def test_the_old_pipeline_comes_before_ours() -> None:
    """Without a setting: the account's old Ecommerce Pipeline, else Magento."""
    held = read_pipelines({"results": [SALES, OURS, OLD]})
    assert find(held, "").label == "Ecommerce Pipeline"  # type: ignore[union-attr]
    assert find(held[:2], "").label == "Magento"  # type: ignore[union-attr]
    assert find(held[:1], "") is None


def test_stages_are_matched_by_id_then_by_label() -> None:
    """The old pipeline has our names as ids, ours has ids of HubSpot's own."""
    old, ours = read_pipelines({"results": [OLD]})[0], read_pipelines({"results": [OURS]})[0]
    assert old.stage("shipped") == "shipped"
    assert ours.stage("shipped") == "s4"
    assert ours.stage("no such stage") == ""
    assert ours.missing() == []


def test_without_a_pipeline_of_ours_the_default_one_stands_in() -> None:
    """Shipped is its won stage, cancelled its lost one, all else its first."""
    held = resolve(read_pipelines({"results": [pipeline("First", ("x", "X", "0.1")), SALES]}), "")
    assert held is not None
    assert held.is_fallback
    assert (held.id, held.stage("shipped"), held.stage("cancelled"), held.stage("processed")) == (
        "default",
        "w",
        "l",
        "a",
    )


def test_a_pipeline_without_a_lost_stage_gives_its_first() -> None:
    """Also where probabilities are no numbers."""
    held = resolve(read_pipelines({"results": [pipeline("X", ("a", "A", "?"), ("b", "B", None))]}), "")
    assert held is not None
    assert (held.stage("shipped"), held.stage("cancelled")) == ("a", "a")


def test_a_named_pipeline_is_found_by_id_or_label() -> None:
    """The setting may be either; archived pipelines are none."""
    held = read_pipelines({"results": [SALES, {**OURS, "archived": True}]})
    assert find(held, "default") == find(held, "sales") == held[0]
    assert find(held, "magento") is None


def test_what_is_no_list_of_pipelines_has_none() -> None:
    """Anything else from outside is read as an account without pipelines."""
    contents: list[Any] = [None, [], {"results": {}}, {"results": [None, {"label": "x"}, {"id": []}]}]
    for content in contents:
        assert read_pipelines(content) == []
        assert resolve(read_pipelines(content), "") is None
