"""``make demo LIVE=1``: a private MariaDB with shop traffic, the daemon, and the sandbox's page, until Ctrl-C."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.kit import schema
from tests.kit.canary import API_KEY
from tests.kit.daemon import Daemon, command, fetch
from tests.kit.sandbox import SandboxThread
from tests.kit.servers import MariaDB
from tests.kit.shop import Shop
from tests.kit.shop_day import play, random_ops

PASSWORD = "demo"
SECONDS_A_LINE = 10.0


def say(text: str) -> None:
    """Words for the person in front of the terminal."""
    sys.stderr.write(text + "\n")


def _toml(port: int, database: str, url: str, sink: str) -> str:
    key = "access_token" if sink == "crm" else "api_key"
    return f"""
[source]
port = {port}
user = "magento_cdc"
password = "{PASSWORD}"
database = "{database}"
[sink]
kind = "{sink}"
base_url = "{url}"
{key} = "{API_KEY}"
[web]
port = 0
"""


def main() -> int:
    """Run until Ctrl-C, or for ``--seconds``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=None, help="stop by itself after this long")
    parser.add_argument("--sink", choices=("bridge", "crm"), default="bridge", help="which HubSpot receives the shop")
    parser.add_argument("--pace", type=float, default=0.4, help="seconds between two things that happen in the shop")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    say("starting a private MariaDB ...")
    with MariaDB() as server, server.database("magento") as database, tempfile.TemporaryDirectory() as folder:
        grants = ("REPLICATION SLAVE, REPLICATION CLIENT ON *.*", f"SELECT ON `{database}`.*")
        server.create_user("magento_cdc", PASSWORD, grants)
        connection = server.connect(database=database)
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        play(shop)
        sandbox = SandboxThread()
        with Daemon(Path(folder), _toml(server.port, database, sandbox.url, options.sink)) as daemon:
            command("mapping", "push", cwd=Path(folder))
            daemon.start()
            port = daemon.port()
            say(f"shop     MariaDB on 127.0.0.1:{server.port}, database {database}")
            say(f"daemon   http://127.0.0.1:{port}/   (/status, /metrics, /ready)")
            say(f"look at  {sandbox.url}\nCtrl-C ends")
            _trade(shop, sandbox, stop, options.seconds, options.pace)
            code = daemon.stop()
        say(f"the daemon ended with {code}; the sandbox held {_counts(fetch(sandbox.url + '/_sandbox/summary'))}")
        sandbox.close()
        connection.close()
    return code


def _trade(shop: Shop, sandbox: SandboxThread, stop: threading.Event, seconds: float | None, pace: float) -> None:
    operations = random_ops(shop, random.Random())
    ends = time.monotonic() + seconds if seconds else None
    said = time.monotonic()
    done = 0
    while not stop.wait(pace) and (ends is None or time.monotonic() < ends):
        next(operations)
        done += 1
        if time.monotonic() - said > SECONDS_A_LINE:
            said = time.monotonic()
            summary = fetch(sandbox.url + "/_sandbox/summary")
            say(f"{done} things happened in the shop; {summary['accepted']} messages; {_counts(summary)}")


def _counts(summary: dict[str, Any]) -> str:
    """What the sandbox holds, on one line."""
    names = {"CONTACT": "contacts", "DEAL": "deals", "LINE_ITEM": "line items", "PRODUCT": "products"}
    return ", ".join(f"{summary['objects'][kind]['synced']} {name}" for kind, name in names.items())


if __name__ == "__main__":
    sys.exit(main())
