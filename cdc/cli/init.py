"""``init``: a first settings file, from questions or from Magento's own env.php, and the GRANT that the
database needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from cdc.cli.common import say
from cdc.errors import ConfigError
from cdc.settings.names import DEFAULT_FILE

SINKS: Final = {"crm": "access_token_file", "bridge": "api_key_file", "jsonl": ""}
"""Kind of sink → the setting that names the file with its key."""

_KEYS: Final = ("host", "dbname", "username", "table_prefix")
_DEFAULT_PORT: Final = 3306


def init(
    env_php: Annotated[
        Path | None,
        typer.Option("--from", help="Magento's app/etc/env.php: host, database and prefix are taken from it."),
    ] = None,
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path(DEFAULT_FILE),
    user: Annotated[str, typer.Option(help="Database user of magento-cdc; it is not Magento's own.")] = "magento_cdc",
    sink: Annotated[str | None, typer.Option(help="crm, bridge or jsonl.", metavar="KIND")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the proposed answers, ask nothing.")] = False,
) -> None:
    """Write a first settings file, and print the statements that create the database user.

    Asks for values that it cannot know. It never asks for secrets: the settings file names the files that hold them.
    """
    if to.exists():
        raise ConfigError([f"{to} is there already; name another file with --to"], source="command line")
    found = _env_php(env_php) if env_php else {}
    known_host, known_port = _address(found.get("host", "127.0.0.1"))

    def ask(question: str, proposed: str) -> str:
        return proposed if yes else str(typer.prompt(question, default=proposed))

    host = ask("database server", known_host)
    port = ask("its port", known_port)
    if not port.isdecimal():
        raise ConfigError([f"{port} is no port"], source="command line")
    database = ask("the store's database", found.get("dbname", "magento"))
    prefix = found.get("table_prefix", "") if yes or env_php else typer.prompt("table prefix", "", show_default=False)
    kind = sink or ask(f"where messages go ({', '.join(SINKS)})", "crm")
    if kind not in SINKS:
        raise ConfigError([f"{kind} is no kind of sink; write one of {', '.join(SINKS)}"], source="command line")
    text = settings_text(host, int(port), database, prefix, user, kind)
    to.write_text(text, encoding="utf-8")
    say(f"{to} is written. Put the secrets into the files that it names, readable for the daemon's user alone.")
    say("Make the database user, with a password of your own:")
    print(grants(user, database))
    say(f"Then: magento-cdc --config {to} check")


def settings_text(host: str, port: int, database: str, prefix: str, user: str, kind: str) -> str:
    """The settings file: values for settings without a good default, only the names of the rest."""
    from cdc.settings.documentation import as_toml
    from cdc.settings.source import SourceSettings

    lines = [
        "# Made by `magento-cdc init`. All settings with their defaults: magento-cdc settings",
        "[source]",
        f"host = {as_toml(host)}",
        *([f"port = {port}"] if port != _DEFAULT_PORT else []),
        f"user = {as_toml(user)}",
        'password_file = "db-password"',
        f"database = {as_toml(database)}",
        *([f"table_prefix = {as_toml(prefix)}"] if prefix else []),
        f"server_id = {SourceSettings().server_id}  # unique among the server's replicas",
        "",
        "[sink]",
        f"kind = {as_toml(kind)}",
        *([f'{SINKS[kind]} = "hubspot-token"'] if SINKS[kind] else ['path = "messages.jsonl"']),
        "",
        "[state]",
        'dir = "state"',
    ]
    return "\n".join(lines) + "\n"


def grants(user: str, database: str) -> str:
    """The statements that create the user with the rights of a run, and no more."""
    name = "'" + user.replace("'", "''") + "'@'%'"
    schema = "`" + database.replace("`", "``") + "`"
    return (
        f"CREATE USER {name} IDENTIFIED BY '...';\n"
        f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {name};\n"
        f"GRANT SELECT ON {schema}.* TO {name};"
    )


def _env_php(path: Path) -> Mapping[str, str]:
    """Host, database, user and prefix of the default connection. PHP is read as text and never executed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"--from {path}: {getattr(error, 'strerror', None) or 'is not text'}"]) from None
    section = re.search(r"'db'\s*=>\s*(?:\[|array\s*\()(.*)", text, re.DOTALL)
    found = {}
    for key in _KEYS:
        value = re.search(rf"'{key}'\s*=>\s*'((?:[^'\\]|\\.)*)'", section[1]) if section else None
        if value:
            found[key] = re.sub(r"\\(.)", r"\1", value[1])
    if "dbname" not in found:
        raise ConfigError([f"--from {path}: holds no 'db' => 'connection' => 'default' with a 'dbname'"])
    return found


def _address(host: str) -> tuple[str, str]:
    """Host and port, which env.php writes as one text."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and port.isdecimal() else (host, str(_DEFAULT_PORT))
