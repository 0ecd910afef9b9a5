"""The relay's manifest: valid, with settings that the command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cdc.settings.config import load

PATH = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "relay" / "relay.yaml"
DOCUMENTS = {found["kind"]: found for found in yaml.safe_load_all(PATH.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_manifest_is_valid(kind: str, version: str) -> None:
    """Each document fits the schema of old and new Kubernetes, unknown fields being faults."""
    kubernetes_validate.validate(DOCUMENTS[kind], version, strict=True)


def test_the_pod_relays_with_these_settings(tmp_path: Path) -> None:
    """The verb is relay, the file is read without a fault, and each secret it names is one that is mounted."""
    pod: dict[str, Any] = DOCUMENTS["StatefulSet"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    text = DOCUMENTS["ConfigMap"]["data"]["magento-cdc.toml"]
    [mount] = [held for held in container["volumeMounts"] if held["name"] == "secrets"]
    for name, value in DOCUMENTS["Secret"]["stringData"].items():
        (tmp_path / name).write_text(value)
    (tmp_path / "magento-cdc.toml").write_text(text.replace(mount["mountPath"], str(tmp_path)))

    settings = load(tmp_path / "magento-cdc.toml")

    assert container["args"] == ["relay"]
    assert settings.kafka.password.get_secret_value() == "change me"
    assert settings.shutdown.grace_s < pod["terminationGracePeriodSeconds"]
    assert str(settings.state.dir) in {held["mountPath"] for held in container["volumeMounts"]}
