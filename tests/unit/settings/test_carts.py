"""``mapping.carts.as``: which records a cart is in HubSpot."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import ConfigError
from cdc.settings.carts import CartMapping
from cdc.settings.config import load
from cdc.settings.documentation import value_of


@pytest.mark.parametrize(("word", "wanted"), [("deal", (True, False)), ("cart", (False, True)), ("both", (True, True))])
def test_a_cart_is_a_deal_a_cart_or_both(word: str, wanted: tuple[bool, bool]) -> None:
    """And nothing at all while carts are switched off."""
    asked = CartMapping.model_validate({"enabled": True, "as": word})
    off = CartMapping.model_validate({"as": word})

    assert (asked.as_deals, asked.as_objects) == wanted
    assert (off.as_deals, off.as_objects) == (False, False)


def test_the_setting_is_read_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the word that Python keeps for itself, and shown under it."""
    file = tmp_path / "settings.toml"
    file.write_text('[mapping.carts]\nenabled = true\nas = "both"\n')
    assert value_of(load(file), "mapping.carts.as") == "both"
    monkeypatch.setenv("MAGENTO_CDC__MAPPING__CARTS__AS", "cart")
    assert load(file).mapping.carts.sent_as == "cart"


@pytest.mark.parametrize("word", ["cart", "both"])
def test_the_bridge_refuses_what_it_does_not_have(word: str, tmp_path: Path) -> None:
    """With a sentence that says why, and what to do."""
    file = tmp_path / "settings.toml"
    file.write_text(f'[sink]\nkind = "bridge"\n[mapping.carts]\nenabled = true\nas = "{word}"\n')
    with pytest.raises(ConfigError) as caught:
        load(file)

    assert f'mapping.carts.as = "{word}" needs the CRM API' in str(caught.value)
    assert "Set sink.kind" in str(caught.value)
