"""What ``check`` says of settings that are valid and may be a typo all the same."""

from __future__ import annotations

import pytest

from cdc.cli.check import _stages
from cdc.clock import SystemClock
from cdc.delivery.permits import StandaloneRequests
from cdc.errors import ConfigError
from cdc.protocols import SinkSetup
from cdc.settings.config import Settings, load
from sinks.registry import make_sink


def mapping(**values: object) -> Settings:
    """Settings with these of ``[mapping]``."""
    return load(None, {"mapping": values, "sink": {"kind": "jsonl"}})


def test_a_stage_that_hubspot_does_not_have_is_named() -> None:
    """A warning with the nearest name, as a pipeline of one's own may have such a stage; ours pass without a word."""
    [found] = _stages(mapping(stages={"processing": "shiped", "complete": "shipped"}))

    assert (found.ok, found.warning) == (True, True)
    assert found.text == "mapping.stages.processing is 'shiped', no stage of ours; did you mean shipped?"
    assert _stages(mapping()) == []


@pytest.mark.parametrize("address", ["banana", "shop.example.com/media", "ftp://shop.example.com", "https:///media"])
def test_a_media_address_that_is_none_is_refused(address: str) -> None:
    """HubSpot would take any text and show no image."""
    with pytest.raises(ConfigError, match=r"mapping\.media_base_url"):
        mapping(media_base_url=address)


async def test_a_missing_key_is_named_as_missing() -> None:
    """Without any key ``check`` asks nobody, and does not say that a key is wrong."""
    settings = load(None, {"sink": {"kind": "bridge", "base_url": "http://127.0.0.1:1"}})
    sink = make_sink(settings)
    assert isinstance(sink, SinkSetup)
    [found] = await sink.check(StandaloneRequests(sink.traits, SystemClock()))
    await sink.close()

    assert not found.ok
    assert found.text == "sink.api_key and sink.access_token are empty"
