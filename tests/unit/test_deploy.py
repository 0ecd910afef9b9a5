"""What deploy/ ships fits the program: valid manifests, known settings, paths that exist, times that add up."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cdc.errors import ConfigError
from cdc.settings.config import ENV_PREFIX, Settings, load
from cdc.web.app import make_app
from cdc.web.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VERSIONS = ("1.29", "1.32", kubernetes_validate.latest_version())


def documents() -> list[dict[str, Any]]:
    """Every manifest."""
    return [found for path in MANIFESTS for found in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def manifest(kind: str) -> dict[str, Any]:
    """The one manifest of this kind."""
    [found] = [document for document in documents() if document["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    """The pod of the StatefulSet."""
    found: dict[str, Any] = manifest("StatefulSet")["spec"]["template"]["spec"]
    return found


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """What the daemon in the pod would read: the ConfigMap's file, with the secrets where the pod mounts them."""
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    text = manifest("ConfigMap")["data"]["magento-cdc.toml"]
    [mount] = [held for held in pod()["containers"][0]["volumeMounts"] if held["name"] == "secrets"]
    for name, value in manifest("Secret")["stringData"].items():
        (tmp_path / name).write_text(value)
    (tmp_path / "magento-cdc.toml").write_text(text.replace(mount["mountPath"], str(tmp_path)))
    return load(tmp_path / "magento-cdc.toml")


def web_paths() -> set[str]:
    """The paths that our web server answers."""
    app = make_app(None, Metrics(), show_values=False)  # type: ignore[arg-type]  # routes need no view
    return {route.resource.canonical for route in app.router.routes() if route.resource is not None}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_valid(path: Path, version: str) -> None:
    """Each manifest fits the schema of old and new Kubernetes, unknown fields being faults."""
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_wrong_manifest_would_be_found() -> None:
    """The check above can fail."""
    wrong = manifest("StatefulSet")
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_the_pod_waits_longer_than_the_daemon(settings: Settings) -> None:
    """Kubernetes kills only after the daemon's own grace time and a few seconds to close, and compose too."""
    assert pod()["terminationGracePeriodSeconds"] >= settings.shutdown.grace_s + 5
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert int(compose["services"]["magento-cdc"]["stop_grace_period"].rstrip("s")) >= Settings().shutdown.grace_s + 5


def test_probes_ask_what_the_daemon_answers(settings: Settings) -> None:
    """Every probe's path is one of our pages, on the port and address the daemon listens on."""
    [container] = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[name]["httpGet"]
        assert probe["path"] in web_paths()
        assert ports[probe["port"]] == settings.web.port
    assert settings.web.host == "0.0.0.0"
    annotations = manifest("StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in web_paths()
    assert int(annotations["prometheus.io/port"]) == settings.web.port


def test_the_service_finds_the_pod() -> None:
    """Selector, labels and names agree."""
    service, stateful = manifest("Service"), manifest("StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"]

    assert service["spec"]["selector"].items() <= labels.items()
    assert stateful["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert stateful["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in pod()["containers"][0]["ports"]}


def test_the_pod_mounts_what_the_settings_name(settings: Settings) -> None:
    """State, settings and secrets lie where the daemon looks; volumes exist; the rest of the disk is read-only."""
    [container] = pod()["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod()["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in manifest("StatefulSet")["spec"]["volumeClaimTemplates"]}

    assert set(mounts.values()) == volumes
    assert mounts[str(settings.state.dir)] == "state"
    assert mounts[working_folder()] == "settings"
    assert settings.sink.api_key.get_secret_value() == manifest("Secret")["stringData"]["hapikey"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_pod_needs_no_privilege() -> None:
    """It runs as the image's user, not as root, with no capability."""
    context, [container] = pod()["securityContext"], pod()["containers"]

    assert context["runAsNonRoot"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == instruction("USER")[-1]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_compose_names_only_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's environment in compose.yaml is read without a fault, over the image's own file."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    environment = compose["services"]["magento-cdc"]["environment"]
    for name, value in environment.items():
        assert name.startswith(ENV_PREFIX)
        monkeypatch.setenv(name, str(value))
    settings = load(DEPLOY / "image.toml")

    assert settings.source.host in compose["services"]
    assert settings.sink.base_url == "http://sandbox:8090"
    monkeypatch.setenv(f"{ENV_PREFIX}SOURCE__HOSTT", "x")
    with pytest.raises(ConfigError):
        load(DEPLOY / "image.toml")


def test_compose_volumes_and_mounts_exist() -> None:
    """Named volumes are declared; mounted folders and the build's files are there."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            origin = mount.split(":")[0]
            assert (DEPLOY / origin).is_dir() if origin.startswith(".") else origin in compose["volumes"], mount
    build = compose["services"]["magento-cdc"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def dockerfile() -> list[list[str]]:
    """The Dockerfile's instructions as words; continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def instruction(name: str) -> list[str]:
    """The words behind the last instruction of this name."""
    return [words[1:] for words in dockerfile() if words[0] == name][-1]


def working_folder() -> str:
    """Where the image's process starts, so where it looks for its settings file."""
    return instruction("WORKDIR")[0]


def test_the_dockerfile_copies_what_exists_and_the_builder_gets_it() -> None:
    """Every copied path is in the repository and let through by .dockerignore."""
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = [words[1:-1] for words in dockerfile() if words[0] == "COPY" and not words[1].startswith("--from")]
    for path in (path for paths in copied for path in paths):
        assert (ROOT / path).exists(), path
        assert path in let_through, path


def test_the_image_holds_every_package() -> None:
    """Packages that pyproject.toml ships are copied into the builder."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = {path for words in dockerfile() if words[0] == "COPY" for path in words[1:-1]}

    assert packages <= copied
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= copied


def test_the_images_settings_are_valid_and_lie_where_they_are_looked_for() -> None:
    """image.toml parses, and its state folder is the volume."""
    settings = load(DEPLOY / "image.toml")

    assert str(settings.state.dir) == instruction("VOLUME")[0]
    assert int(instruction("EXPOSE")[0]) == settings.web.port
    assert f"{working_folder()}/magento-cdc.toml" in {words[-1] for words in dockerfile() if words[0] == "COPY"}


def test_the_manifests_run_this_version() -> None:
    """The image's tag in the StatefulSet is the project's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert re.fullmatch(r"magento-cdc:(.+)", pod()["containers"][0]["image"])[1] == project["version"]  # type: ignore[index]
