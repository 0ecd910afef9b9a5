"""What the demo says at its end can be typed as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cdc.cli.demo import own_command


@pytest.mark.parametrize("is_on_path", [False, True])
def test_the_command_is_named_as_the_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_on_path: bool
) -> None:
    """In a clone the command lies in .venv/bin, which is on nobody's PATH: then its path is told."""
    command = tmp_path / ".venv" / "bin" / "magento-cdc"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(command.parent) if is_on_path else "/nowhere")
    monkeypatch.setattr(sys, "argv", [str(command), "demo"])

    assert own_command() == ("magento-cdc" if is_on_path else ".venv/bin/magento-cdc")
