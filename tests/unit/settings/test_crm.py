"""The settings of the CRM sink: defaults that work, and faults that say what is wrong without showing a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import ConfigError
from cdc.settings.config import load
from cdc.settings.crm import CrmSettings, DeletePolicy, EmailConflict


def test_everything_has_a_default_that_keeps_what_people_have() -> None:
    """Without any [crm] contacts are kept, orders cancelled, and no address is taken from another record."""
    settings = CrmSettings()
    assert settings.api_version == "2026-09"
    assert (settings.key_property, settings.property_prefix) == ("magento_key", "magento_")
    assert settings.on_delete.contact is DeletePolicy.KEEP
    assert settings.on_delete.deal is DeletePolicy.CANCEL
    assert {settings.on_delete.product, settings.on_delete.line_item} == {DeletePolicy.ARCHIVE}
    assert settings.on_email_conflict is EmailConflict.KEEP
    assert settings.on_deleted_by_people == "recreate"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("crm", "api_version", "v3"),
        ("crm", "api_version", "2026-13"),
        ("crm", "key_property", "Magento key"),
        ("crm", "property_prefix", ""),
        ("crm", "on_delete", {"contact": "cancel"}),
        ("crm", "on_delete", {"product": "gdpr_delete"}),
        ("crm", "on_email_conflict", "steal"),
        ("crm", "account_id", -1),
    ],
)
def test_a_wrong_setting_is_named(section: str, key: str, value: object) -> None:
    """A value that the CRM sink cannot work with is refused with the name of its setting."""
    with pytest.raises(ConfigError, match=f"{section}.{key}"):
        load(None, {section: {key: value}})


def test_a_date_version_may_be_a_beta() -> None:
    """HubSpot publishes date versions with a -beta tail."""
    assert load(None, {"crm": {"api_version": "2027-03-beta"}}).crm.api_version == "2027-03-beta"


@pytest.mark.parametrize(("text", "words"), [("pat-eu1\n-x", "a line break"), ("pat eu1", "a blank")])
def test_a_token_of_two_words_is_named_and_never_shown(text: str, words: str) -> None:
    """A token with a line break or a blank was copied wrongly: the fault says so and hides the token."""
    with pytest.raises(ConfigError, match=f"access_token holds {words}") as caught:
        load(None, {"sink": {"access_token": text}})
    assert "pat" not in str(caught.value)


def test_a_token_in_a_file_may_end_with_its_line(tmp_path: Path) -> None:
    """A secret's file ends with a line break, as editors write it; the token is the text before."""
    held = tmp_path / "token"
    held.write_text("pat-eu1-x\n", encoding="utf-8")
    settings = load(None, {"sink": {"access_token_file": str(held)}})
    assert settings.sink.access_token.get_secret_value() == "pat-eu1-x"
