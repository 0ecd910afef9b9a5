"""A customer changes their email: the contact keeps its first, in step with everything else, and the log says so."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.conftest import a_rig
from tests.kit.daemon import wait_until
from tests.kit.sandbox import SandboxThread
from tests.kit.servers import Server

NEW = "moved@example.com"


def contact(sandbox: SandboxThread, number: int) -> dict[str, str]:
    """What the sandbox holds of a customer; nothing before it came."""
    held = sandbox.state().get(f"magento-customer-{number}")
    properties: dict[str, str] = held["properties"] if held else {}
    return properties


def test_a_changed_email_is_left_out_unless_asked_for(mariadb: Server, tmp_path: Path) -> None:
    """One warning per change, which names the object; a restart keeps the rule; ``send`` breaks it, as strict notes."""
    with a_rig(mariadb, tmp_path) as rig:
        number = rig.shop.register()
        old = rig.shop.db.get("customer_entity", entity_id=number)["email"]
        with rig.daemon() as daemon:
            daemon.start()
            wait_until(lambda: contact(rig.sandbox, number).get("email") == old, 30, "the contact is there")
            rig.shop.change_email(number, NEW)
            wait_until(
                lambda: any(line["event"] == "contact_email_changed" for line in daemon.lines()), 30, "it is said"
            )
            daemon.kill()
            daemon.start()
            rig.shop.edit_customer(number, firstname="Renamed")
            wait_until(lambda: contact(rig.sandbox, number)["firstname"] == "Renamed", 30, "the rest is sent")
            lines = [line for line in daemon.lines() if line["event"] == "contact_email_changed"]

            assert [(line["object"], line["email"]) for line in lines] == [(f"customer-{number}", "left_out")]
            assert "example.com" not in (rig.folder / "run.log").read_text(encoding="utf-8")
            assert contact(rig.sandbox, number)["email"] == old
            rig.sandbox.assert_rules_kept()
            assert daemon.stop() == 0

        with rig.daemon("--set", "sink.on_email_change=send") as daemon:
            daemon.start()
            rig.shop.edit_customer(number, firstname="Resync")
            wait_until(lambda: contact(rig.sandbox, number)["firstname"] == "Resync", 30, "it is sent")
            assert contact(rig.sandbox, number)["email"] == NEW
        assert rig.sandbox.violations() == {"email_changed": 1}
        rig.sandbox.forget_violations()
