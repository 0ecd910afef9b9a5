"""What is shipped, as the image makes it: locked dependencies, sdist, wheel from it, and the demo from that wheel."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def run(folder: Path, *command: str | Path, limit_s: float = 600) -> str:
    """What the command prints; an assertion with its words if it fails."""
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, timeout=limit_s)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout or done.stderr  # the demo talks to people


@pytest.mark.soak
def test_sdist_and_wheel_install_with_the_locked_dependencies_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In clean environments: hashes hold, the wheel made of the sdist is whole, its demo runs, the bill is complete."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    tmp_path = tmp_path_factory.mktemp("package")  # not a run's folder, which is searched for people
    locks, archive = ROOT / "deploy", tmp_path / "tree.tar"
    run(ROOT, "git", "archive", "--output", archive, "HEAD")
    with tarfile.open(archive) as tree:
        tree.extractall(tmp_path / "tree", filter="data")
    for name, lock in (("build", "build.lock"), ("app", "requirements.lock")):
        venv.create(tmp_path / name, with_pip=True)
        pip = tmp_path / name / "bin" / "pip"
        run(tmp_path, pip, "install", "-q", "--require-hashes", "--only-binary", ":all:", "-r", locks / lock)
    build, app = tmp_path / "build" / "bin", tmp_path / "app" / "bin"
    make = "from setuptools.build_meta import build_sdist; print(build_sdist('../dist'))"
    (tmp_path / "dist").mkdir()
    run(tmp_path / "tree", build / "python", "-c", make)
    sdist = tmp_path / "dist" / f"magento_cdc-{version}.tar.gz"
    run(tmp_path, build / "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", sdist)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    run(tmp_path, app / "pip", "install", "-q", "--no-deps", "--no-index", wheel)

    run(tmp_path, app / "pip", "check")
    assert run(tmp_path, app / "magento-cdc", "--version").split()[-1] == version
    assert "0 rules of sending broken" in run(tmp_path, app / "magento-cdc", "demo", "--no-serve")
    bill = json.loads(run(tmp_path, app / "python", ROOT / "deploy" / "sbom.py", "sbom"))
    names = {component["name"].lower() for component in bill["components"]}
    assert {"aiohttp", "pydantic", "prometheus-client"} <= names
    assert all(component["hashes"] and component["licenses"] for component in bill["components"])
    licences = run(tmp_path, app / "python", ROOT / "deploy" / "sbom.py", "licences")
    assert len(licences.splitlines()) == len(names)
