"""The settings of a topic on the brokers that decide whether the topic can hold a whole store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError, for_code

_REFUSED: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
FOREVER: Final = -1


class Retention(NamedTuple):
    """Which records a topic drops. ``policy``: its cleanup.policy. ``tombstone_ms``: how long deletions stay in a
    compacted topic.
    """

    policy: str
    retention_ms: int
    retention_bytes: int
    tombstone_ms: int

    @property
    def is_compacted(self) -> bool:
        """Whether the topic drops older records of a key."""
        return "compact" in self.policy

    @property
    def loses_rows(self) -> bool:
        """Whether the topic drops a row's last record by age or size."""
        return "delete" in self.policy and (self.retention_ms, self.retention_bytes) != (FOREVER, FOREVER)


def retention_of(settings: Mapping[str, str]) -> Retention:
    """The topic's own settings, brokers' defaults included."""

    def number(name: str) -> int:
        return int(settings.get(name, FOREVER))

    policy = settings.get("cleanup.policy", "delete")
    return Retention(policy, number("retention.ms"), number("retention.bytes"), number("delete.retention.ms"))


async def topic_settings(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """Topic → its settings. Topics that do not exist, or whose settings we may not read, are left out.

    Raises aiokafka's KafkaError.
    """
    found: dict[str, dict[str, str]] = {}
    if not topics:
        return found
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    for answer in await admin.describe_configs(asked):
        for code, reason, _, name, entries in answer.resources:
            error = for_code(code)
            if code and error not in _REFUSED:
                raise error(reason)
            if not code:
                found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def retentions(topics: Sequence[str], connect: Mapping[str, Any]) -> dict[str, Retention]:
    """Topic → its retention, for topics whose settings we may read. Raises aiokafka's KafkaError."""
    admin = AIOKafkaAdminClient(**connect)
    try:
        await admin.start()
        return {topic: retention_of(held) for topic, held in (await topic_settings(admin, topics)).items()}
    finally:
        await admin.close()
