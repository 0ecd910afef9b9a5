"""The command on a host that reaches HubSpot through a proxy alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_crm import toml
from tests.kit.canary import API_KEY
from tests.kit.certs import Authority
from tests.kit.daemon import Daemon, command
from tests.kit.egress import EgressProxy
from tests.kit.sandbox import SandboxThread

HOST = "api.example.com"
LOGIN = "user:proxy-login-9f3c"


@pytest.fixture
def sandbox() -> Iterator[SandboxThread]:
    made = SandboxThread(["api.example.com"])
    yield made
    made.close()


def test_a_day_arrives_through_a_tunnel(
    tmp_path: Path, sandbox: SandboxThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY with a login: all requests go by CONNECT, the proxy sees no token, and no log the proxy's login."""
    authority = Authority(tmp_path, "authority")
    port = int(sandbox.url.rpartition(":")[2])
    settings = toml(sandbox).replace(sandbox.url, f"https://{HOST}")
    with EgressProxy({f"{HOST}:443": port}, login=LOGIN, certificate=authority.sign(HOST)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOGIN}@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
        with Daemon(tmp_path, settings, "--until-end") as daemon:
            pushed = command("mapping", "push", cwd=tmp_path)
            assert pushed.returncode == 0, pushed.stderr
            assert daemon.start().wait(90) == 0
        checked = command("check", cwd=tmp_path)
        monkeypatch.setenv("HTTP_PROXY", f"http://{LOGIN}@127.0.0.1:{proxy.port}")
        with Daemon(tmp_path, settings) as daemon:
            shown = command("status", "--set", f"web.port={daemon.start().port()}", cwd=tmp_path)
            assert "source.state" in shown.stdout, shown.stderr
            assert daemon.stop() == 0

        assert proxy.requests
        assert set(proxy.requests) == {f"CONNECT {HOST}:443 HTTP/1.1"}
        assert API_KEY not in "".join(proxy.heads)
        told = pushed.stdout + pushed.stderr + checked.stdout + checked.stderr + (tmp_path / "run.log").read_text()
        assert LOGIN.partition(":")[2] not in told
    assert len(sandbox.crm.account.records.live) > 0
    sandbox.assert_rules_kept()
