"""The two topics that members of one account share: the lock, which holds nothing, and the receipts, compacted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

_COMPACTED: Final = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}


async def make_shared_topics(connect: Mapping[str, Any], lock: str, receipts: str, replication: int) -> None:
    """Create the missing topics, on as many brokers as there are, up to ``replication``.

    Raises aiokafka's KafkaError.
    """
    admin = AIOKafkaAdminClient(**connect)
    await admin.start()
    try:
        replicas = min(replication, len((await admin.describe_cluster())["brokers"]))
        wanted = [NewTopic(lock, 1, replicas), NewTopic(receipts, 1, replicas, topic_configs=_COMPACTED)]
        answer = await admin.create_topics(wanted)
        for _, code, *rest in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(*rest)
    finally:
        await admin.close()
