"""The members of an account, as Kafka's group protocol knows them: each that has sent its heartbeats lately.

A member's client id in the group is ``magento-cdc@<host>#<first letters of its id>``. The record of the leader names
the same id, so the roster also tells which member leads. It is for people only: nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

LOOK_S: Final = 10.0
_OURS: Final = re.compile(r"^magento-cdc@(?P<host>[\w.-]+)#(?P<id>\w+)$")
_ID_LETTERS: Final = 8


class RosterEntry(NamedTuple):
    """One member. ``host``: its own name, "" if it is not one of ours; ``address``: from where it is connected;
    ``id``: the first letters of its id.
    """

    host: str
    address: str
    id: str


def client_id(member: str) -> str:
    """The client id by which this member is known in the group. ``member``: its id."""
    host = re.sub(r"[^\w.-]", "-", socket.gethostname())
    return f"magento-cdc@{host}#{member[:_ID_LETTERS]}"


def entries(members: Iterable[Sequence[Any]]) -> list[RosterEntry]:
    """The entries of the group's members as the broker describes them, in order of their names. Pure."""
    found = []
    for _, client, address, *_ in members:
        ours = _OURS.match(str(client))
        found.append(RosterEntry(ours["host"] if ours else "", str(address).lstrip("/"), ours["id"] if ours else ""))
    return sorted(found)


class Roster:
    """Asks the brokers for the group's members from time to time. ``keep`` in the event loop until cancelled."""

    def __init__(self, connect: Mapping[str, Any], group: str) -> None:
        self._connect = connect
        self._group = group
        self._entries: list[RosterEntry] = []
        self.fault = "not asked yet"
        """Why the members are not known; "" if they are."""

    def as_list(self, own: str, leader: str) -> list[dict[str, object]]:
        """For ``/status``. ``own``, ``leader``: ids of this member and of the leader, "" if unknown."""
        return [
            {
                "host": entry.host,
                "address": entry.address,
                "id": entry.id,
                "is_us": bool(entry.id) and own.startswith(entry.id),
                "leads": bool(entry.id) and leader.startswith(entry.id),
            }
            for entry in self._entries
        ]

    async def keep(self) -> None:
        """Ask every ``LOOK_S`` seconds. An answer that fails leaves no members: an old list would pass for news."""
        while True:
            try:
                self._entries, self.fault = await self._look(), ""
            except (KafkaError, OSError, TimeoutError) as error:
                self._entries, self.fault = [], f"Kafka does not describe group {self._group}: {error!r}"
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> list[RosterEntry]:
        admin = AIOKafkaAdminClient(**self._connect)
        try:
            async with asyncio.timeout(LOOK_S):
                await admin.start()
                [answer] = await admin.describe_consumer_groups([self._group])
        finally:
            await admin.close()
        [(code, _, _, _, _, members, *_)] = answer.groups
        if code:
            raise for_code(code)(self._group)
        return entries(members)
