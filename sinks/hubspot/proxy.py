"""Finds the proxy for the API: ``sink.proxy``, or the environment's, read as curl and most programs read it.

``HTTPS_PROXY`` is for an https API and ``HTTP_PROXY`` for an http API; the spelling in lower case wins. ``NO_PROXY``
lists hosts that are reached directly: names with all names below them, ``host:port``, ``10.0.0.0/8`` or ``*``. This
machine itself is reached directly, unless ``sink.proxy`` is set. Nothing here shows a proxy's login.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from yarl import URL

from cdc.errors import ConfigError

DIRECT: Final = "direct"
"""``sink.proxy`` for: no proxy, whatever the environment has."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy without its login. ``place``: host and port, for people. ``setting``: the setting or variable that names
    it.

    ``headers``: for the proxy alone; no server behind it may see them. ``secrets``: texts that must never be shown.
    """

    url: URL
    place: str
    setting: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def find_proxy(api: URL, setting: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy between here and the API; None where the API is reached directly.

    Raises ConfigError for an invalid address of a proxy; the text does not repeat the address.
    """
    if setting == DIRECT:
        return None
    if setting:
        return _proxy(setting, "sink.proxy")
    host = api.host or ""
    if _is_here(host) or is_exempt(host, api.port or 0, _value(environment, "no_proxy")):
        return None
    name = f"{api.scheme}_proxy"
    value = _value(environment, name)
    return _proxy(value, name.upper()) if value else None


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` has this host, so that it is reached directly."""
    host = host.lower()
    for entry in no_proxy.lower().replace(",", " ").split():
        name, _, of_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
        if of_port and of_port != str(port):
            continue
        name = name.removeprefix("*").removeprefix(".")
        # "*" alone is every host; a name stands for itself and for all names below it
        if not name or host == name or host.endswith(f".{name}") or _is_within(host, name):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    """Whether the host is an address in this network, written as 10.0.0.0/8."""
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _value(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _proxy(text: str, setting: str) -> Proxy:
    try:
        url = URL(text if "://" in text else f"http://{text}")
        place = f"{url.host}:{url.port}"
    except ValueError:
        raise _unusable(setting) from None
    if url.scheme not in ("http", "https") or not url.host or url.path not in ("", "/") or url.query_string:
        raise _unusable(setting)
    bare = url.with_user(None).with_path("/")
    if not url.user:
        return Proxy(bare, place, setting)
    password = url.password or ""
    packed = b64encode(f"{url.user}:{password}".encode()).decode()
    return Proxy(bare, place, setting, {"Proxy-Authorization": f"Basic {packed}"}, (packed, password))


def _unusable(setting: str) -> ConfigError:
    return ConfigError(
        [f"{setting}: is no address of a proxy; write http://host:port or http://user:password@host:port"]
    )
