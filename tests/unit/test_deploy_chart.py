"""The Helm chart: the plain manifests are rendered from it, each option makes valid manifests, mistakes are refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cdc.settings.config import Settings, load

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "magento-cdc"
HELM = os.environ.get("HELM") or shutil.which("helm")
KUBECONFORM = shutil.which("kubeconform")

needs_helm = pytest.mark.skipif(
    HELM is None, reason="helm is not installed: go install helm.sh/helm/v3/cmd/helm@latest, or HELM=path"
)
FOREIGN = ("monitoring.coreos.com/v1", "external-secrets.io/v1")
"""API versions that Kubernetes itself has no schema for."""

EVERYTHING = (
    "networkPolicy.enabled=true,serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true,"
    "job.enabled=true,secrets.external.enabled=true,secrets.external.store.name=vault,"
    "secrets.external.data[0].key=db-password,secrets.external.data[0].remoteKey=shop,"
    "secrets.external.data[0].property=password"
)


def run_helm(*options: str) -> subprocess.CompletedProcess[str]:
    """``helm template`` of the chart as release "shop"."""
    assert HELM is not None
    command = [HELM, "template", "shop", str(CHART), "--kube-version", "1.32.0", *options]
    return subprocess.run(command, capture_output=True, text=True)


def template(*options: str) -> list[dict[str, Any]]:
    """The manifests that these options make."""
    done = run_helm(*options)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def kind(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The one manifest of a kind."""
    [one] = [document for document in found if document["kind"] == name]
    return one


def test_the_chart_has_the_projects_version() -> None:
    """version and appVersion are the project's."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    version = re.findall(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert [chart["version"], chart["appVersion"]] == version * 2


def test_the_schema_knows_every_value_and_no_other() -> None:
    """values.schema.json names the keys of values.yaml, at every depth that the chart fixes."""

    def compare(schema: dict[str, Any], values: dict[str, Any], place: str) -> None:
        if schema.get("additionalProperties") is not False:
            return
        keys = schema["properties"].keys() - ({"global"} if not place else set())
        assert keys == values.keys(), place
        for key in keys:
            if isinstance(values[key], dict):
                compare(schema["properties"][key], values[key], f"{place}{key}.")

    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    compare(schema, yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), "")


@pytest.mark.parametrize("role", ["run", "relay", "member"])
def test_the_example_settings_are_valid(role: str, tmp_path: Path) -> None:
    """The role's example is read without a fault."""
    text = (CHART / "files" / f"{role}.toml").read_text(encoding="utf-8")
    for name in re.findall(r'"/run/secrets/magento-cdc/([\w-]+)"', text):
        (tmp_path / name).write_text("invented")
    (tmp_path / "x.toml").write_text(text.replace("/run/secrets/magento-cdc", str(tmp_path)))

    assert isinstance(load(tmp_path / "x.toml"), Settings)


@needs_helm
def test_the_plain_manifests_are_what_the_chart_makes(tmp_path: Path) -> None:
    """deploy/kubernetes is up to date; if not: deploy/render."""
    done = subprocess.run(
        [str(ROOT / "deploy" / "render"), str(tmp_path)],
        env=os.environ | {"HELM": str(HELM)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    made = {path.parent.name: path.read_text() for path in tmp_path.glob("*/manifests.yaml")}
    held = {path.parent.name: path.read_text() for path in (ROOT / "deploy/kubernetes").glob("*/manifests.yaml")}

    assert made == held


@needs_helm
@pytest.mark.parametrize("role", ["run", "relay", "member"])
def test_every_option_makes_valid_manifests(role: str) -> None:
    """With everything switched on, each kind that Kubernetes has a schema for fits it."""
    found = template("--set", f"role={role},{EVERYTHING}")

    for document in found:
        if document["apiVersion"] not in FOREIGN:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    kinds = {document["kind"] for document in found}
    assert {"NetworkPolicy", "ServiceMonitor", "PrometheusRule", "Job", "ExternalSecret", "StatefulSet"} <= kinds
    assert "Secret" not in kinds
    assert isinstance(
        json.loads(next(d for d in found if "dashboard" in d["metadata"]["name"])["data"].popitem()[1]), dict
    )


@needs_helm
@pytest.mark.skipif(
    KUBECONFORM is None,
    reason="kubeconform is not installed: go install github.com/yannh/kubeconform/cmd/kubeconform@latest",
)
def test_kubeconform_agrees(tmp_path: Path) -> None:
    """kubeconform, another validator, takes each manifest that Kubernetes has a schema for, and refuses a mistake."""
    # kubeconform skips what it has no schema for, and exits with 0: so the numbers are compared, not the exit code.
    location = f"{_kubeconform_schemas(tmp_path)}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    options = ["-strict", "-ignore-missing-schemas", "-schema-location", location, "-summary", "-output", "json", "-"]
    text = run_helm("--set", EVERYTHING).stdout

    def summary(manifests: str) -> dict[str, int]:
        done = subprocess.run([str(KUBECONFORM), *options], input=manifests, capture_output=True, text=True)
        counts: dict[str, int] = json.loads(done.stdout)["summary"]
        return counts

    documents = [found for found in yaml.safe_load_all(text) if found]
    foreign = sum(found["apiVersion"] in FOREIGN for found in documents)
    assert summary(text) == {"valid": len(documents) - foreign, "invalid": 0, "errors": 0, "skipped": foreign}
    assert summary(text.replace("serviceName:", "servceName:"))["invalid"] == 1


def _kubeconform_schemas(folder: Path) -> Path:
    """The schemas of kubernetes-validate as kubeconform reads them, so that the network is not needed."""
    held = Path(kubernetes_validate.__file__).with_name("kubernetes-json-schema") / "v1.32.0-local-strict"
    for path in held.glob("*.json"):
        schema = json.loads(path.read_text(encoding="utf-8"))
        schema.pop("$id", None)  # it names a place on a web site, and references would be looked up there
        text = json.dumps(schema).replace('"/api/_definitions.json#', '"_definitions.json#')
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


@needs_helm
def test_a_job_finds_the_volume_free() -> None:
    """While a verb runs, the StatefulSet has no pods, and the Job mounts the volume of pod 0."""
    show = template("--set", "job.enabled=true")
    move = template("--set", "job.enabled=true", "--set", "job.args={position,set,latest}")

    job = kind(move, "Job")
    claims = [v["persistentVolumeClaim"]["claimName"] for v in job["spec"]["template"]["spec"]["volumes"][-1:]]
    assert kind(move, "StatefulSet")["spec"]["replicas"] == 0
    assert claims == [f"state-{kind(move, 'StatefulSet')['metadata']['name']}-0"]
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["position", "set", "latest"]
    assert job["metadata"]["name"] != kind(show, "Job")["metadata"]["name"]


@needs_helm
def test_changed_settings_restart_the_pod(tmp_path: Path) -> None:
    """The pod's annotation changes with the settings."""
    sums = set()
    for text in ("[log]\nlevel = 'info'\n", "[log]\nlevel = 'debug'\n"):
        (tmp_path / "x.toml").write_text(text)
        found = template("--set-file", f"settings={tmp_path / 'x.toml'}")
        assert kind(found, "ConfigMap")["data"]["magento-cdc.toml"].strip() == text.strip()
        sums.add(kind(found, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert len(sums) == 2


@needs_helm
@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("rolee=run", "rolee"),
        ("role=leader", "role"),
        ("replicas=2", "only members can be several"),
        ("role=member,image.digest=latest", "digest"),
        ("web.port=0", "port"),
        ("secrets.external.enabled=true", "name the SecretStore"),
    ],
)
def test_mistakes_are_refused(option: str, word: str) -> None:
    """A wrong value ends helm with a sentence that names it."""
    done = run_helm("--set", option)

    assert done.returncode != 0
    assert word in done.stderr


@needs_helm
def test_only_several_pods_have_a_disruption_budget() -> None:
    """A single pod's budget would keep a node from being drained."""
    assert "PodDisruptionBudget" not in {document["kind"] for document in template()}
    budget = kind(template("--set", "role=member"), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
