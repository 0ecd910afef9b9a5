"""What deploy/ ships fits the program: valid manifests, known settings, paths that exist, times that add up."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from cdc.errors import ConfigError
from cdc.settings.config import Settings, load
from cdc.settings.names import ENV_PREFIX
from cdc.settings.web import WebSettings
from cdc.web.app import make_app
from cdc.web.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ROLES = {"run": "run", "relay": "relay", "member": "run"}
"""Folder of manifests → the verb that its pods run."""
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*/manifests.yaml"))
VERSIONS = ("1.29", "1.32", kubernetes_validate.latest_version())
SECRETS = "/run/secrets/magento-cdc"
OPERATORS = ("monitoring.coreos.com/v1", "external-secrets.io/v1")
"""API groups of kinds that Kubernetes itself has no schema for."""


def documents(role: str) -> dict[str, dict[str, Any]]:
    """Kind → the one manifest of that kind."""
    text = (DEPLOY / "kubernetes" / role / "manifests.yaml").read_text(encoding="utf-8")
    return {found["kind"]: found for found in yaml.safe_load_all(text)}


def pod(role: str) -> dict[str, Any]:
    """The pod of the StatefulSet."""
    found: dict[str, Any] = documents(role)["StatefulSet"]["spec"]["template"]["spec"]
    return found


@pytest.fixture(autouse=True)
def _no_settings_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


def settings_of(role: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the daemon in the pod would read: the ConfigMap's file, the pod's environment, each secret in its file."""
    text = documents(role)["ConfigMap"]["data"]["magento-cdc.toml"]
    for name in re.findall(rf'"{SECRETS}/([\w-]+)"', text):
        (folder / name).write_text(f"invented-{name}")
    for one in pod(role)["containers"][0]["env"]:
        monkeypatch.setenv(one["name"], one["value"])
    (folder / "magento-cdc.toml").write_text(text.replace(SECRETS, str(folder)))
    return load(folder / "magento-cdc.toml")


def web_paths() -> set[str]:
    """The paths that our web server answers."""
    app = make_app(None, Metrics(), WebSettings())  # type: ignore[arg-type]  # routes need no view
    return {route.resource.canonical for route in app.router.routes() if route.resource is not None}


every_role = pytest.mark.parametrize("role", ROLES)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_manifests_are_valid(path: Path, version: str) -> None:
    """Each manifest fits the schema of old and new Kubernetes, unknown fields being faults."""
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document["apiVersion"] not in OPERATORS:
            kubernetes_validate.validate(document, version, strict=True)


def test_a_wrong_manifest_would_be_found() -> None:
    """The check above can fail."""
    wrong = documents("run")["StatefulSet"]
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@every_role
def test_the_pod_reads_its_settings(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ConfigMap and the environment are read without a fault, and every secret comes from the mounted Secret."""
    settings = settings_of(role, tmp_path, monkeypatch)

    secrets = (settings.source.password, settings.sink.access_token, settings.kafka.password)
    assert sum(bool(secret.get_secret_value()) for secret in secrets) == 2
    assert pod(role)["containers"][0]["args"] == [ROLES[role]]
    assert documents(role)["StatefulSet"]["spec"]["replicas"] == (2 if role == "member" else 1)


@every_role
def test_applying_the_manifests_never_overwrites_a_secret(role: str) -> None:
    """No folder holds a Secret; the kustomization names the Secret that the pod mounts, with every key of it."""
    kustomization = (DEPLOY / "kubernetes" / role / "kustomization.yaml").read_text(encoding="utf-8")
    [secret] = [volume["secret"] for volume in pod(role)["volumes"] if "secret" in volume]
    named = set(re.findall(rf'"{SECRETS}/([\w-]+)"', documents(role)["ConfigMap"]["data"]["magento-cdc.toml"]))

    assert "Secret" not in documents(role)
    assert yaml.safe_load(kustomization)["resources"] == ["manifests.yaml"]
    assert f"create secret generic {secret['secretName']} " in kustomization
    assert set(re.findall(r"--from-file=([\w-]+)=", kustomization)) == named


@every_role
def test_the_pod_waits_longer_than_the_daemon(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes kills only after the daemon's own grace time and a few seconds to close files."""
    grace_s = settings_of(role, tmp_path, monkeypatch).shutdown.grace_s
    assert pod(role)["terminationGracePeriodSeconds"] >= grace_s + 5


def test_compose_and_systemd_wait_longer_than_the_daemon() -> None:
    """So do compose and systemd, with the default grace time."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    unit = (DEPLOY / "systemd" / "magento-cdc.service").read_text(encoding="utf-8")

    assert int(compose["services"]["magento-cdc"]["stop_grace_period"].rstrip("s")) >= Settings().shutdown.grace_s + 5
    assert int(re.findall(r"(?m)^TimeoutStopSec=(\d+)$", unit)[0]) >= Settings().shutdown.grace_s + 5


@every_role
def test_probes_ask_what_the_daemon_answers(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every probe's path is one of our pages, on the port and address the daemon listens on."""
    settings = settings_of(role, tmp_path, monkeypatch)
    [container] = pod(role)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[name]["httpGet"]
        assert probe["path"] in web_paths()
        assert ports[probe["port"]] == settings.web.port
    assert settings.web.host == "0.0.0.0"
    annotations = documents(role)["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in web_paths()
    assert int(annotations["prometheus.io/port"]) == settings.web.port


@every_role
def test_the_service_finds_the_pod(role: str) -> None:
    """Selector, labels and names agree."""
    service, stateful = documents(role)["Service"], documents(role)["StatefulSet"]
    labels = stateful["spec"]["template"]["metadata"]["labels"]

    assert service["spec"]["selector"].items() <= labels.items()
    assert stateful["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert stateful["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in pod(role)["containers"][0]["ports"]}


@every_role
def test_the_pod_mounts_what_the_settings_name(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State, settings and secrets lie where the daemon looks; volumes exist; the rest of the disk is read-only."""
    settings = settings_of(role, tmp_path, monkeypatch)
    [container] = pod(role)["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod(role)["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in documents(role)["StatefulSet"]["spec"]["volumeClaimTemplates"]}

    assert set(mounts.values()) == volumes
    assert mounts[str(settings.state.dir.parent)] == "state"
    assert mounts[working_folder()] == "settings"
    assert mounts[SECRETS] == "secrets"
    assert container["securityContext"]["readOnlyRootFilesystem"]


@every_role
def test_the_pod_needs_no_privilege(role: str) -> None:
    """It runs as the image's user, not as root, with no capability, and its end shows the last lines of the log."""
    context, [container] = pod(role)["securityContext"], pod(role)["containers"]

    assert context["runAsNonRoot"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == instruction("USER")[-1]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


COMPOSE = {"demo": ("compose.yaml",), "shop": ("compose.yaml", "compose.shop.yaml")}


def services(way: str) -> dict[str, dict[str, Any]]:
    """The services of one way of starting compose, the later file's keys over the earlier one's."""
    merged: dict[str, dict[str, Any]] = {}
    for name in COMPOSE[way]:
        for service, keys in yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))["services"].items():
            held = merged.setdefault(service, {})
            held |= keys | {"environment": held.get("environment", {}) | keys.get("environment", {})}
    return merged


@pytest.mark.parametrize("way", COMPOSE)
def test_compose_names_only_settings_that_exist(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's environment is read without a fault, over the image's own file; its hosts are services."""
    found = services(way)
    for name, value in found["magento-cdc"]["environment"].items():
        assert name.startswith(ENV_PREFIX)
        monkeypatch.setenv(name, str(value))
    settings = load(DEPLOY / "image.toml")

    assert settings.source.kind == ("files" if way == "demo" else "binlog")
    assert way == "demo" or settings.source.host in found
    assert settings.sink.base_url == "http://sandbox:8090"
    monkeypatch.setenv(f"{ENV_PREFIX}SOURCE__HOSTT", "x")
    with pytest.raises(ConfigError):
        load(DEPLOY / "image.toml")


def test_the_log_that_compose_replays_is_in_the_package() -> None:
    """The recorded log is package data, at the place below site-packages that compose.yaml names."""
    [path] = json.loads(services("demo")["magento-cdc"]["environment"][f"{ENV_PREFIX}SOURCE__FILES"])
    inside = path.partition("/site-packages/")[2]

    assert (ROOT / inside).is_file()
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    assert any(Path(inside).relative_to("cdc").match(pattern) for pattern in package["cdc"])


def test_compose_volumes_and_mounts_exist() -> None:
    """Named volumes are declared; mounted folders and the build's files are there."""
    for name in COMPOSE["shop"]:
        compose = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
        for service in compose["services"].values():
            for mount in service.get("volumes", []):
                origin = mount.split(":")[0]
                assert (DEPLOY / origin).is_dir() if origin.startswith(".") else origin in compose["volumes"], mount
    build = services("demo")["magento-cdc"]["build"]
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
    assert copied
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


def test_the_base_image_is_one_release_and_each_dependency_has_a_hash() -> None:
    """No moving tag, and pip installs nothing that the lock files do not name with a hash."""
    [base] = [words[1].partition("=")[2] for words in dockerfile() if words[0] == "ARG"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    assert [words[1] for words in dockerfile() if words[0] == "FROM"] == ["${BASE}", "${BASE}"]
    for words in (words for words in dockerfile() if words[0] == "RUN"):
        for part in " ".join(words).split("&&"):
            if "pip install" in part or "pip wheel" in part:
                assert "--require-hashes" in part or "--no-deps" in part, part


def locked(name: str) -> dict[str, str]:
    """Package → version; every one has a hash."""
    found = {}
    for entry in re.split(r"(?m)^(?=\w)", (DEPLOY / name).read_text(encoding="utf-8")):
        if entry.strip():
            match = re.match(r"([\w.-]+)==(\S+)", entry)
            assert match is not None, entry
            assert "--hash=sha256:" in entry, entry
            found[match[1].lower()] = match[2]
    return found


@pytest.mark.parametrize(("name", "table"), [("requirements.lock", "project"), ("build.lock", "build-system")])
def test_the_lock_files_hold_what_the_project_asks_for(name: str, table: str) -> None:
    """Each requirement of pyproject.toml is locked to a version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[table]
    versions = locked(name)
    for text in project["dependencies"] if table == "project" else project["requires"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(versions[wanted.name.lower()]), text


def test_the_health_check_asks_a_page_that_exists() -> None:
    """The image's HEALTHCHECK is Python that asks /live, since the image has no curl."""
    words = instruction("HEALTHCHECK")
    program = json.loads(" ".join(raw_instruction("HEALTHCHECK")).partition("CMD ")[2])

    assert words[0].startswith("--interval=")
    assert program[0] == "python"
    compile(program[2], "HEALTHCHECK", "exec")
    assert re.findall(r"}(/\w+)", program[2]) == ["/live"]
    assert "/live" in web_paths()


def raw_instruction(name: str) -> list[str]:
    """The text behind the last instruction of this name, quotes kept."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.removeprefix(name) for line in text.splitlines() if line.startswith(f"{name} ")][-1:]


@every_role
def test_the_manifests_run_this_version(role: str) -> None:
    """The image's tag in the StatefulSet is the project's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert pod(role)["containers"][0]["image"] == f"magento-cdc:{project['version']}"


def test_the_systemd_unit_restarts_only_what_a_restart_can_mend() -> None:
    """Exit codes 2 and 3 stay down; the reload signal and the state folder are those that the daemon knows."""
    unit = (DEPLOY / "systemd" / "magento-cdc.service").read_text(encoding="utf-8")

    assert "RestartPreventExitStatus=2 3" in unit
    assert re.findall(r"(?m)^ExecStart=\S+/magento-cdc (run) --config /", unit) == ["run"]
    assert "Environment=MAGENTO_CDC__STATE__DIR=/var/lib/magento-cdc " in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """systemd itself finds no unknown key or value; the program's path is one that exists here."""
    text = (DEPLOY / "systemd" / "magento-cdc.service").read_text(encoding="utf-8")
    unit = tmp_path / "magento-cdc.service"
    unit.write_text(re.sub(r"(?m)^(ExecStart=)\S+", rf"\g<1>{sys.executable}", text))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)

    assert "magento-cdc.service" not in done.stderr, done.stderr
