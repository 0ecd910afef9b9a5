"""The command with the CRM sink: a day, changes by people, verify and its repair, and the guards at the start."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.model import ObjectType
from sinks.sandbox.server import SandboxServer
from tests.acceptance.test_cli import RECORDING
from tests.kit.canary import API_KEY
from tests.kit.daemon import Daemon, command, wait_until
from tests.kit.sandbox import SandboxThread

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM


@pytest.fixture
def sandbox() -> Iterator[SandboxThread]:
    made = SandboxThread()
    yield made
    made.close()


def toml(sandbox: SandboxThread) -> str:
    """Settings that replay the recorded day into the sandbox's CRM."""
    return f"""
[source]
kind = "files"
files = ["{RECORDING}"]
[sink]
kind = "crm"
base_url = "{sandbox.url}"
access_token = "{API_KEY}"
[web]
port = 0
"""


def account(sandbox: SandboxThread) -> Any:
    """The sandbox's CRM account."""
    server: SandboxServer = sandbox._server
    return server.crm.account


def in_sandbox(sandbox: SandboxThread, work: Any) -> Any:
    """Something done in the sandbox's own loop."""

    async def done() -> Any:
        return work()

    return asyncio.run_coroutine_threadsafe(done(), sandbox.loop).result(10)


def verified(folder: Path, *options: str) -> tuple[int, dict[str, int], list[dict[str, Any]]]:
    """Exit code, counts and drifts of ``verify --all``."""
    done = command("verify", "--all", "--json", *options, cwd=folder, limit_s=120)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    return done.returncode, found["counts"], found["drifts"]


def is_at_rest(daemon: Daemon) -> bool:
    """Whether nothing waits to be rendered or sent."""
    return not daemon.rows("SELECT 1 FROM render_queue UNION ALL SELECT 1 FROM outbox")


def records(sandbox: SandboxThread, kind: ObjectType) -> dict[str, Any]:
    """Key → record."""
    held = account(sandbox).records.live[kind].values()
    return {one.properties["magento_key"]: one for one in held if one.properties.get("magento_key")}


def test_a_start_without_the_key_property_ends_with_advice(tmp_path: Path, sandbox: SandboxThread) -> None:
    """Exit code 2, and the command that mends it."""
    (tmp_path / "magento-cdc.toml").write_text(toml(sandbox), encoding="utf-8")
    done = command("run", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "mapping push" in done.stderr


def test_a_day_arrives_and_verify_finds_and_mends_what_people_did(tmp_path: Path, sandbox: SandboxThread) -> None:
    """Changed by hand, deleted, unlinked, extra: each is told by its class, mended, and equal afterwards."""
    with Daemon(tmp_path, toml(sandbox)) as daemon:
        assert command("mapping", "push", cwd=tmp_path).returncode == 0
        daemon.start()
        wait_until(lambda: len(records(sandbox, LINE_ITEM)) >= 20, 60, "the shop's day is there")
        wait_until(lambda: is_at_rest(daemon), 60, "nothing is pending")
        code, counts, drifts = verified(tmp_path)
        assert code == 0, drifts
        assert counts["equal"] > 50

        people = sandbox._server.crm.people
        held = account(sandbox)
        changed, gone = list(records(sandbox, PRODUCT).values())[:2]
        deal = next(one for one in records(sandbox, DEAL).values() if held.links.of(DEAL, one.id, CONTACT))
        buyer = held.links.of(DEAL, deal.id, CONTACT)[0].to_id
        lines_before = [
            one for one in records(sandbox, LINE_ITEM).values() if one.properties.get("hs_product_id") == gone.id
        ]
        in_sandbox(sandbox, lambda: people.edit(PRODUCT, changed.id, {"name": "By hand"}))
        in_sandbox(sandbox, lambda: people.delete(PRODUCT, gone.id))
        in_sandbox(sandbox, lambda: people.unlink(DEAL, deal.id, CONTACT, buyer))
        extra = {"email": "extra@example.com", "magento_key": "magento-customer-424242"}
        in_sandbox(sandbox, lambda: people.create(CONTACT, extra))

        code, counts, drifts = verified(tmp_path, "--repair")
        assert code == 1
        found = {one["object"]: one["class"] for one in drifts}
        assert found[changed.properties["magento_key"]] == "differing"
        assert found[gone.properties["magento_key"]] == "missing"
        assert found[deal.properties["magento_key"]] == "link_missing"
        assert found["magento-customer-424242"] == "extra"
        assert "By hand" not in json.dumps(drifts)

        def is_mended() -> bool:
            renewed = records(sandbox, PRODUCT).get(gone.properties["magento_key"])
            return (
                is_at_rest(daemon)
                and renewed is not None
                and all(
                    records(sandbox, LINE_ITEM)[one.properties["magento_key"]].properties["hs_product_id"] == renewed.id
                    for one in lines_before
                )
            )

        wait_until(is_mended, 60, "the product is back, and its lines name it")
        wait_until(lambda: verified(tmp_path)[0] == 0, 60, "a second verify is equal")
        assert held.links.of(DEAL, deal.id, CONTACT)[0].to_id == buyer
        assert daemon.stop() == 0
    sandbox.assert_rules_kept()


def test_a_dry_run_says_what_a_run_makes(tmp_path: Path, sandbox: SandboxThread) -> None:
    """It needs no account that is set up, calls nobody, and names as many new objects as then arrive; then none."""
    (tmp_path / "magento-cdc.toml").write_text(toml(sandbox), encoding="utf-8")
    told = command("run", "--dry-run", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert account(sandbox).records.live[CONTACT] == {}
    assert command("mapping", "push", cwd=tmp_path).returncode == 0
    assert command("run", "--until-end", cwd=tmp_path).returncode == 0
    for kind in (CONTACT, PRODUCT, DEAL, LINE_ITEM):
        living = [one for one in records(sandbox, kind).values() if not one.properties.get("magento_deleted_at")]
        assert f"{kind.value}: {len(living)} new, 0 changed, 0 deleted" in told.stderr
    again = command("run", "--dry-run", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, ""), again.stderr


def test_a_daemon_reads_a_sample_back_and_commands_name_the_record(tmp_path: Path, sandbox: SandboxThread) -> None:
    """verify.every_h: metric, status and log tell the drift; trace asks HubSpot; each shows the record's page."""
    settings = toml(sandbox) + "[verify]\nevery_h = 0.0005\n"
    with Daemon(tmp_path, settings) as daemon:
        assert command("mapping", "push", cwd=tmp_path).returncode == 0
        daemon.start()
        wait_until(lambda: len(records(sandbox, LINE_ITEM)) >= 20, 60, "the shop's day is there")
        wait_until(lambda: is_at_rest(daemon), 60, "nothing is pending")
        product = next(iter(records(sandbox, PRODUCT).values()))
        in_sandbox(sandbox, lambda: sandbox.crm.people.edit(PRODUCT, product.id, {"name": "By hand"}))
        metric = 'magento_cdc_drift_objects{class="differing"} 1.0'
        wait_until(lambda: metric in daemon.page("/metrics"), 90, "the metric tells the drift")
        link = f"https://app.hubspot.com/contacts/1/record/0-7/{product.id}"
        key = product.properties["magento_key"]
        told = daemon.ask("/status")["delivery"]["verify"]
        assert told["drifts"] == [{"object": key, "class": "differing", "record": link}]
        assert any(line["event"] == "drift_found" and line["objects"] == [key] for line in daemon.lines())

        number = key.rpartition("-")[2]
        [shown] = json.loads(command("trace", "product", number, "--json", cwd=tmp_path).stdout)
        assert shown["record"] == {"record_id": product.id, "record_link": link}
        assert shown["sink"] == {"name": "crm", "says": "differing", "record_id": product.id, "differing": "name"}
        assert command("verify", "--objects", "products", "--repair", cwd=tmp_path).returncode == 1
        wait_until(lambda: command("verify", "--objects", "products", cwd=tmp_path).returncode == 0, 90, "it is mended")
        assert daemon.stop() == 0
    sandbox.assert_rules_kept()


@pytest.mark.soak
def test_contacts_that_people_merged_are_no_difference(tmp_path: Path, sandbox: SandboxThread) -> None:
    """verify tells the merged contact and exits 0, before and after a repair."""
    with Daemon(tmp_path, toml(sandbox), "--until-end") as daemon:
        assert command("mapping", "push", cwd=tmp_path).returncode == 0
        assert daemon.start().wait() == 0
        first, second = list(records(sandbox, CONTACT).values())[:2]
        in_sandbox(sandbox, lambda: sandbox.crm.people.merge(CONTACT, first.id, second.id))
        code, counts, drifts = verified(tmp_path)
        assert (code, counts["merged"]) == (0, 1), drifts
        assert command("verify", "--all", "--repair", cwd=tmp_path).returncode == 0


def test_a_killed_daemon_makes_no_second_record(tmp_path: Path, sandbox: SandboxThread) -> None:
    """kill -9 in the middle, again and again, then a lost state folder: one record per object all the same."""
    with Daemon(tmp_path, toml(sandbox)) as daemon:
        assert command("mapping", "push", cwd=tmp_path).returncode == 0
        for calls in (20, 40, 60):
            daemon.start()
            wait_until(lambda: account(sandbox).records._next_id > 700_001 + calls, 30, "some records")  # noqa: B023  # asked within this turn of the loop
            daemon.kill()
        daemon.start()
        wait_until(lambda: len(records(sandbox, LINE_ITEM)) >= 20, 60, "the shop's day is there")
        wait_until(lambda: is_at_rest(daemon), 60, "nothing is pending")
        assert verified(tmp_path)[0] == 0
        before = {kind: sorted(records(sandbox, kind)) for kind in ObjectType}
        totals = {kind: len(account(sandbox).records.live[kind]) for kind in ObjectType}
        assert totals == {kind: len(keys) for kind, keys in before.items()}
