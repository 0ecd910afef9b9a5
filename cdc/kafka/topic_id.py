"""A topic's own id, which another topic of the same name does not have (KIP-516, brokers since 2.8).

aiokafka knows metadata requests up to version 5, and ids came with version 10. So this module builds the request
itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka has no types
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _Response(Response):  # type: ignore[misc]  # the same
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(
            ("node_id", Int32), ("host", CompactString()), ("port", Int32), ("rack", CompactString()),
            ("tags", TaggedFields),
        )),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        ("topics", CompactArray(
            ("error_code", Int16), ("name", CompactString()), ("topic_id", _Uuid), ("is_internal", Boolean),
            ("partitions", CompactArray(
                ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32),
                ("replicas", CompactArray(Int32)), ("isr", CompactArray(Int32)), ("offline", CompactArray(Int32)),
                ("tags", TaggedFields),
            )),
            ("operations", Int32), ("tags", TaggedFields),
        )),
        ("operations", Int32),
        ("tags", TaggedFields),
    )  # fmt: skip


class _Struct(RequestStruct):  # type: ignore[misc]  # the same
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString()), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Ask(Request[_Struct]):  # type: ignore[misc]  # the same
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        names: list[tuple[bytes, str, dict[int, bytes]]] = [(bytes(16), topic, {}) for topic in self._topics]
        return request_struct_class(names, False, False, False, {})


async def topic_ids(topics: Sequence[str], connect: Mapping[str, Any]) -> dict[str, str]:
    """Topic → its id in hex, "" from a broker that is too old for ids. Topics that do not exist are left out.

    Raises aiokafka's KafkaError.
    """
    client = AIOKafkaClient(**connect)
    try:
        await client.bootstrap()
        answer = await client.send(client.get_random_node(), _Ask(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return dict.fromkeys(topics, "")
    finally:
        await client.close()
    return {name: identity.hex() for code, name, identity, *_ in answer.topics if not code}


__all__ = ["KafkaError", "topic_ids"]
