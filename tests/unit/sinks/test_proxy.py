"""Which proxy leads to the API: the setting, or the environment as other programs read it."""

from __future__ import annotations

from base64 import b64encode

import pytest
from yarl import URL

from cdc.errors import ConfigError
from sinks.hubspot.proxy import find_proxy, is_exempt

API = URL("https://api.example.com")
PLAIN = URL("http://api.example.com:8080")


@pytest.mark.parametrize(
    ("api", "environment", "place"),
    [
        (API, {"HTTPS_PROXY": "http://one.example.com:3128"}, "one.example.com:3128"),
        (API, {"HTTPS_PROXY": "one.example.com:3128"}, "one.example.com:3128"),
        (API, {"HTTPS_PROXY": "http://one.example.com", "https_proxy": "http://two.example.com"}, "two.example.com:80"),
        (API, {"HTTP_PROXY": "http://one.example.com:3128"}, ""),
        (PLAIN, {"HTTP_PROXY": "http://one.example.com:3128"}, "one.example.com:3128"),
        (PLAIN, {"HTTPS_PROXY": "http://one.example.com:3128"}, ""),
        (URL("http://127.0.0.1:8090"), {"HTTP_PROXY": "http://one.example.com:3128"}, ""),
        (URL("http://localhost:8090"), {"HTTP_PROXY": "http://one.example.com:3128"}, ""),
        (API, {"HTTPS_PROXY": "http://one.example.com:3128", "NO_PROXY": ".example.com"}, ""),
        (API, {}, ""),
    ],
)  # fmt: skip
def test_the_environment_names_the_proxy(api: URL, environment: dict[str, str], place: str) -> None:
    """By the API's scheme; lower case wins; this machine and what NO_PROXY lists are reached directly."""
    found = find_proxy(api, "", environment)

    assert (found.place if found is not None else "") == place


def test_the_setting_wins_and_may_say_that_there_is_none() -> None:
    """``sink.proxy`` holds whatever the environment says, NO_PROXY and this machine included."""
    environment = {"HTTPS_PROXY": "http://one.example.com:3128", "NO_PROXY": "*"}
    found = find_proxy(URL("http://127.0.0.1:1"), "http://two.example.com:8080", environment)

    assert found is not None
    assert (found.place, found.setting) == ("two.example.com:8080", "sink.proxy")
    assert find_proxy(API, "direct", environment) is None


@pytest.mark.parametrize(
    ("no_proxy", "exempt"),
    [
        ("api.example.com", True), ("example.com", True), (".example.com", True), ("*.example.com", True), ("*", True),
        ("API.EXAMPLE.COM", True), ("other.org, example.com", True), ("api.example.com:443", True),
        ("api.example.com:80", False), ("ample.com", False), ("", False), (",", False), ("api", False),
    ],
)  # fmt: skip
def test_hosts_of_no_proxy(no_proxy: str, exempt: bool) -> None:
    """A name stands for itself and all below it; a port must fit."""
    assert is_exempt("api.example.com", 443, no_proxy) is exempt


@pytest.mark.parametrize(("no_proxy", "exempt"), [("10.0.0.0/8", True), ("10.1.2.3", True), ("11.0.0.0/8", False)])
def test_addresses_of_no_proxy(no_proxy: str, exempt: bool) -> None:
    """An address goes by networks too."""
    assert is_exempt("10.1.2.3", 443, no_proxy) is exempt


@pytest.mark.parametrize(
    "text", ["socks5://user:hidden@one.example.com:1080", "http://", "http://a:hidden@b:999999", "http://b/hidden"]
)
@pytest.mark.parametrize("setting", ["sink.proxy", "HTTPS_PROXY"])
def test_what_is_no_proxy_is_refused_without_showing_it(text: str, setting: str) -> None:
    """A proxy's address may hold a login, so the fault names the setting and not the value."""
    with pytest.raises(ConfigError) as caught:
        find_proxy(API, text if setting == "sink.proxy" else "", {"HTTPS_PROXY": text})

    assert setting in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_login_is_kept_apart() -> None:
    """Neither the address that errors name nor what Python prints of a proxy holds it."""
    found = find_proxy(API, "http://user:sec%40ret@one.example.com:3128", {})

    assert found is not None
    assert found.headers == {"Proxy-Authorization": f"Basic {b64encode(b'user:sec@ret').decode()}"}
    assert "sec@ret" in found.secrets
    for secret in found.secrets:
        assert secret not in f"{found!r} {found.url} {found.place}"
