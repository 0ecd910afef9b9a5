"""Decides which member sends: the member to which Kafka's group protocol assigns the only partition of a topic.

``<prefix>.leader.<account>`` holds nothing; its one partition is the lock. The leader publishes the state of each
object to the compacted topic ``<prefix>.receipts.<account>``, and followers copy it. Four things make it safe:

* a lease: the leader commits an offset to the group from time to time, and sends only within the session's length after
  its last successful commit. A process that was frozen finds its lease expired;
* a fence: receipts are written by a transactional producer with a fixed name. A new leader starts that producer, which
  ends every transaction of the old leader. Only then it reads the receipts to their end: no more can come;
* a wait: a new leader waits ``sink.timeout_s`` after the fence. No request of the old leader can still be running;
* a minimum: every later ``changed_at`` is above all values that the old leader may have sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, ProducerFenced
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from cdc.engine.state_thread import StateThread
from cdc.errors import SetupError, SourceDisconnectedError
from cdc.kafka.connect import client_arguments
from cdc.kafka.foreign import BadRecordError
from cdc.kafka.topic_id import topic_ids
from cdc.log_events import get_logger
from cdc.members import handover
from cdc.members.kafka_clients import DRAIN_S, send_records, stop_client
from cdc.members.object_states import pack_state, unpack_state
from cdc.members.records import LEADER, Leader, leader_value, object_key, read_key, read_leader, receipts_topic
from cdc.members.roster import Roster, client_id
from cdc.members.shared_topics import make_shared_topics
from cdc.model import Position
from cdc.protocols import Clock
from cdc.settings.config import Settings

log = get_logger(__name__)

POLL_S: Final = 0.1
"""How often the group is asked, and how often receipts are read or published."""
PUBLISH: Final = 1000
"""Objects published in one Kafka transaction."""
RETRY_S: Final = 2.0


class Sending(Protocol):
    """The part of delivery that leadership uses."""

    @property
    def in_flight(self) -> int:
        """Messages on the wire."""
        ...

    def wake(self) -> None:
        """Sending is allowed from now on."""
        ...


class Leadership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One member's leadership. ``run`` in the event loop until cancelled, then ``close``.

    ``end``: blocks until everything in the topics is read, and returns that position; called in a thread.
    """

    def __init__(
        self, settings: Settings, state: StateThread, clock: Clock, end: Callable[[], Position | None]
    ) -> None:
        self._settings = settings
        self._kafka = settings.kafka
        self._connect = client_arguments(settings.kafka)
        self._state = state
        self._clock = clock
        self._end = end
        self._sending: Sending | None = None
        account = settings.kafka.account or settings.sink.kind
        self._lock = TopicPartition(f"{settings.kafka.prefix}.leader.{account}", 0)
        self._receipts = TopicPartition(receipts_topic(settings), 0)
        self.roster = Roster(self._connect, self._lock.topic)
        self._group: AIOKafkaConsumer | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self._taking: asyncio.Task[None] | None = None
        self._publishing = asyncio.Lock()
        self._lease_s = 0.0
        self._member = ""
        self.role = "joining"
        self.leader: Leader | None = None
        self.takeovers = 0

    @property
    def may_send(self) -> bool:
        """Whether a request may begin now."""
        return self.role == "leader" and time.monotonic() < self._lease_s

    def status(self) -> dict[str, object]:
        """For ``/status``."""
        return {
            "role": self.role,
            "generation": self.leader.generation if self.leader else 0,
            "leader_is_us": self.leader is not None and self.leader.member == self._member,
            "lock": self._lock.topic,
            "receipts": self._receipts.topic,
            "members": self.roster.as_list(self._member, self.leader.member if self.leader else ""),
            "members_fault": self.roster.fault,
        }

    # ----------------------------------------------------------------------------------------------------- running

    async def run(self, sending: Sending) -> None:
        """Join, follow, lead. Waits for a cluster that cannot be reached. ``sending`` is told when the role changes."""
        self._sending = sending
        while True:
            try:
                await self._open()
                break
            except (KafkaError, OSError) as error:
                await self.close()
                log.warning("leadership_unreachable", reason=repr(error), retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
        while True:
            try:
                await self._turn()
            except ProducerFenced:
                await self._step_down("another member took over")
            except (KafkaError, OSError, SourceDisconnectedError) as error:
                log.warning("leadership_delayed", limit="kafka", reason=repr(error))
                await asyncio.sleep(POLL_S)

    async def _turn(self) -> None:
        assert self._group is not None
        self._connect.renew(self._group, self._reader, self._producer)
        await self._group.getmany(timeout_ms=int(POLL_S * 1000))  # so that the group knows that we are alive
        is_ours = self._lock in self._group.assignment()
        if self.role == "leader":  # lease and receipts belong to the leader only
            await self._renew()
            await self._publish()
        elif self._taking is None or self._taking.done():  # a takeover under way is not disturbed
            self.role = "taking over" if is_ours else "follower"
            await self._look_at_takeover()
            await self._read(once=True)
            if is_ours:
                self._taking = asyncio.create_task(self._take_over(), name="takeover")

    async def _look_at_takeover(self) -> None:
        """Log why a takeover failed, and wait before the next: each takeover starts
        a producer, which ends the one before.
        """
        taking, self._taking = self._taking, None
        error = taking.exception() if taking is not None and not taking.cancelled() else None
        if error is None:  # nothing failed
            return
        if not isinstance(error, KafkaError | OSError | SourceDisconnectedError):
            raise error
        log.warning("takeover_failed", limit="kafka", reason=repr(error), retry_in_s=RETRY_S)
        await asyncio.sleep(RETRY_S)

    async def _open(self) -> None:
        await make_shared_topics(self._connect, self._lock.topic, self._receipts.topic, self._kafka.replication)
        self._member = await self._state.call(lambda store: store.meta.member_id())
        await self._know_receipts()
        self.leader = await self._state.call(handover.last_leader)
        self._reader = AIOKafkaConsumer(
            **self._connect, group_id=None, auto_offset_reset="none", isolation_level="read_committed",
            enable_auto_commit=False, max_partition_fetch_bytes=1 << 20,
        )  # fmt: skip
        await self._reader.start()
        self._reader.assign([self._receipts])
        held = await self._state.call(lambda store: store.meta.receipts_offset)
        first = (await self._reader.beginning_offsets([self._receipts]))[self._receipts]
        if first > (held or 0):  # compaction has taken receipts that this state never read
            raise SetupError(
                f"topic {self._receipts.topic} begins at offset {first}, and this member has read it up to {held or 0}:"
                " the receipts in between are gone, so this member cannot know what HubSpot holds",
                hint="set its cleanup.policy to compact alone, and start a member that still has its state folder; if"
                " there is none, remove the topic: all is sent once more, and what the shop deleted meanwhile stays in"
                " HubSpot",
            )
        self._reader.seek(self._receipts, held or 0)
        session_ms = int(self._kafka.session_timeout_s * 1000)
        self._group = AIOKafkaConsumer(
            **{**self._connect, "client_id": client_id(self._member)}, group_id=self._lock.topic,
            auto_offset_reset="latest", enable_auto_commit=False,
            session_timeout_ms=session_ms, heartbeat_interval_ms=max(200, session_ms // 10),
            rebalance_timeout_ms=session_ms + int(DRAIN_S * 1000),
            partition_assignment_strategy=(StickyPartitionAssignor,),
        )  # fmt: skip
        self._group.subscribe([self._lock.topic], listener=self)
        await self._group.start()

    async def _know_receipts(self) -> None:
        """Read a new receipts topic from its beginning: it lacks the outcomes so far, and the state's offsets are of
        the old topic.
        """
        topic, found = self._receipts.topic, await topic_ids([self._receipts.topic], self._connect)
        identity = found.get(topic, "")
        if not await self._state.call(lambda store: handover.receipts_are(store, topic, identity)):
            log.warning("receipts_made_anew", topic=topic, action="the next leader publishes all receipts again")

    # ---------------------------------------------------------------------------------------------------- following

    async def _read(self, *, once: bool) -> None:
        """Copy receipts: all that are there, or with ``once`` one batch."""
        assert self._reader is not None
        while True:
            try:
                batches = await self._reader.getmany(timeout_ms=0 if once else 200, max_records=PUBLISH)
            except OffsetOutOfRangeError as error:
                raise SetupError(
                    f"topic {self._receipts.topic} no longer holds the receipts that come next",
                    hint="set its cleanup.policy to compact alone, and start this member again",
                ) from error
            records = batches.get(self._receipts, [])
            if records:
                await self._take(records)
            if once:  # the turn must stay short
                return
            end = (await self._reader.end_offsets([self._receipts]))[self._receipts]
            if await self._reader.position(self._receipts) >= end:
                return

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
        states: list[handover.ObjectState] = []
        for record in records:
            try:
                if record.key == LEADER:
                    self.leader = read_leader(record.value)
                else:
                    states.append(unpack_state(read_key(record.key), record.value))
            except BadRecordError as error:
                log.error("bad_receipt", limit="receipts", offset=record.offset, reason=str(error))
        engine, after, leader = self._state.engine, records[-1].offset + 1, self.leader
        is_other = leader is not None and leader.member != self._member
        await self._state.call(lambda _: handover.take(engine, states, after, forget_own=is_other, leader=leader))

    # ------------------------------------------------------------------------------------------------------ leading

    async def _take_over(self) -> None:
        """Fence, read to the end, wait, lead. Cancelled if the partition goes to another member meanwhile."""
        started_s = time.monotonic()
        producer = AIOKafkaProducer(
            **self._connect, transactional_id=self._receipts.topic, acks="all", transaction_timeout_ms=10_000
        )
        try:
            await producer.start()
            fenced_s = time.monotonic()
            await self._read(once=False)
            await self._catch_up()
            before = self.leader
            led = await self._state.call(handover.led_generation)
            is_from_other = before is not None and (before.member, before.generation) != (self._member, led)
            if is_from_other:  # its requests may still be under way
                wait_s = fenced_s + self._settings.sink.timeout_s - time.monotonic()
                log.info("takeover_waits", seconds=round(max(0.0, wait_s), 1), reason="requests of the last leader")
                await asyncio.sleep(max(0.0, wait_s))
                await self._read(once=False)
            await self._look_at_copy(before)
            engine, now_ms = self._state.engine, self._clock.now_ms()
            mapping = engine.rendering.mapping_version
            if before is not None and before.mapping != mapping:
                log.warning(
                    "mapping_differs", reason="the last leader rendered by another mapping", account=self._lock.topic
                )
            leader = Leader(self._member, (before.generation if before else 0) + 1, mapping)
            await self._state.call(lambda store: handover.ask_to_lead(store, leader.generation))
            await send_records(producer, self._receipts, [(LEADER, leader_value(leader))])
            await self._state.call(lambda _: handover.lead(engine, now_ms if is_from_other else None, leader))
        except BaseException:
            await stop_client(producer)
            raise
        self._producer, self.leader = producer, leader
        self.takeovers += 1
        await self._renew()
        self.role = "leader"
        log.info("leader", generation=leader.generation, seconds=round(time.monotonic() - started_s, 1))
        if self._sending is not None:
            self._sending.wake()

    async def _look_at_copy(self, before: Leader | None) -> None:
        """Log it if this state is a copy: the receipts that were just read show what was accepted since the
        copy was made.
        """
        why = await self._state.call(lambda store: handover.why_restored(store, before))
        if why:
            log.error(
                "state_restored",
                reason=why,
                position=str(self._state.engine.positions.position),
                action="what HubSpot accepted since was read from the receipts, and what differs is sent",
                hint="stop a second member that runs on a copy of this folder; else `magento-cdc verify --all` tells"
                " whether anything differs",
            )

    async def _catch_up(self) -> None:
        """Wait until everything in the topics is applied: the last messages were rendered from those rows."""
        end = await asyncio.to_thread(self._end)
        engine = self._state.engine

        def is_there(_: object) -> bool:
            return engine.load.is_complete and (end is None or engine.positions.current() >= engine.positions.lsn(end))

        while not await self._state.call(is_there):  # noqa: ASYNC110  # the state thread tells nobody
            await asyncio.sleep(POLL_S)

    async def _renew(self) -> None:
        """Send on for another session, if the group still counts this member as its leader."""
        assert self._group is not None
        now_s = time.monotonic()
        if self._lease_s - now_s > self._kafka.session_timeout_s * 0.7:  # a commit per turn would load the brokers
            return
        was_over = now_s >= self._lease_s
        await self._group.commit({self._lock: OffsetAndMetadata(0, "")})
        self._lease_s = now_s + self._kafka.session_timeout_s
        if was_over and self._sending is not None:
            self._sending.wake()

    async def _publish(self) -> None:
        """Publish the outcomes since the last time.

        A cancelled call goes on in the background until it ends: a commit that is cut short makes aiokafka's producer
        unusable.
        """
        await asyncio.shield(asyncio.ensure_future(self._publish_all()))

    async def _publish_all(self) -> None:
        async with self._publishing:  # the turn, a change of leader and the end may all come at once
            if self._producer is not None:
                await self._publish_by(self._producer)

    async def _publish_by(self, producer: AIOKafkaProducer) -> None:
        engine = self._state.engine
        while states := await self._state.call(lambda _: handover.to_publish(engine, PUBLISH)):
            last = await send_records(producer, self._receipts, [(object_key(s.ref), pack_state(s)) for s in states])
            if self.role == "leader":
                await self._renew()  # there may be more to tell than a lease is long
            await self._state.call(partial(handover.published, states=tuple(states), next_offset=last + 1))

    async def _step_down(self, reason: str) -> None:
        if self.role == "leader":
            log.warning("leader_no_more", reason=reason)
        self.role, self._lease_s = "follower", 0.0
        producer, self._producer = self._producer, None
        engine = self._state.engine
        await self._state.call(lambda _: handover.follow(engine))
        if producer is not None:
            await stop_client(producer)

    # ----------------------------------------------------------------------------------------- the group's callbacks

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Before the group assigns partitions anew: stop, wait for requests in flight, publish their outcomes."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)
            self._taking = None
        if self.role != "leader":  # nothing of ours is at stake
            return
        self.role = "leaving"
        await self._hand_over()
        await self._step_down("the Kafka group assigns its partitions again")

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Nothing to do: the next turn of ``run`` sees the assignment."""

    async def _hand_over(self) -> None:
        deadline_s = time.monotonic() + DRAIN_S
        while (  # noqa: ASYNC110  # the sending side announces nothing
            self._sending is not None and self._sending.in_flight and time.monotonic() < deadline_s
        ):
            await asyncio.sleep(POLL_S / 5)
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._publish()

    async def close(self) -> None:
        """Publish the rest and leave the group, so that another member takes over at once. May be called twice."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)
        if self.role == "leader":  # receipts first, then the group is left
            self.role = "leaving"
            await self._hand_over()
        self.role, self._lease_s = "gone", 0.0
        for client in (self._producer, self._group, self._reader):
            if client is not None:
                await stop_client(client)
        self._producer = self._group = self._reader = None
