"""The sandbox's content: accepted messages, records, sync-errors, requests. Pure state; time is passed in.

There are two steps, as in the bridge: ``accept`` queues messages, ``validate_next`` applies them in order of arrival.
An *object* is one external id; a *record* is what HubSpot would have. Contacts share a record by email, so several
objects may have one record.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.model import ObjectType
from sinks.bridge.mapping import MAPPED, default_settings
from sinks.sandbox.validation import Verdict, validate
from sinks.sandbox.watch import Watch
from sinks.sandbox.wire import DEFAULT_STORE, LINKS, MAX_BATCH, Accepted, Refusal, SyncSettings, key_in
from sinks.sandbox.wire_v1 import read_messages, read_settings
from sinks.sandbox.wire_v2 import read_messages as read_messages_v2

HISTORY: Final = 20
"""Accepted messages kept per object."""

REQUESTS: Final = 300
"""Requests kept."""

Key = tuple[ObjectType, str]


@dataclass(slots=True)
class Record:
    """A HubSpot record: properties by HubSpot name, without empty ones."""

    hubspot_id: int
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Object:
    """One external id.

    ``properties``: by the sender's names, from messages that passed validation, without empty ones.
    """

    object_type: ObjectType
    external_id: str
    record: Record | None = None
    deleted: bool = False
    properties: dict[str, str] = field(default_factory=dict)
    links: dict[ObjectType, tuple[str, ...]] = field(default_factory=dict)
    linked_by: dict[Key, None] = field(default_factory=dict)
    history: deque[Accepted] = field(default_factory=lambda: deque(maxlen=HISTORY))
    processed_ms: int = 0
    store_id: str = DEFAULT_STORE

    @property
    def key(self) -> str:
        """The key under which it is kept."""
        return key_in(self.store_id, self.external_id)

    @property
    def name(self) -> str:
        """Its name in lists of all stores: the external id; in another store than the default, with that store's id."""
        return self.external_id if self.store_id == DEFAULT_STORE else f"{self.store_id}/{self.external_id}"

    @property
    def is_synced(self) -> bool:
        return self.record is not None and not self.deleted


@dataclass(slots=True)
class SyncError:
    """The newest error of one object; a later success resolves it."""

    object_type: ObjectType
    external_id: str
    changed_at: int
    errored_at: int
    kind: str
    details: str
    resolved: bool = False
    store_id: str = DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the bridge with its bodies. ``status`` 0: the connection was cut or left hanging."""

    at_ms: int
    method: str
    what: str
    messages: int
    size: int
    status: int
    number: int = 0
    request: str = ""
    answer: str = ""


class SandboxStore:
    """The whole content of the sandbox. Not thread-safe: one event loop uses it."""

    def __init__(self, *, ready: bool = True, drop_older: bool = False) -> None:
        """``ready``: installed, with this project's settings; else both have to be pushed first.

        ``drop_older``: ignore a message that is older than the one applied before (no source says whether HubSpot did).
        """
        self._ready = ready
        self._drop_older = drop_older
        self.installed = ready
        self.stores: dict[str, dict[str, Any]] = {}
        if ready:  # tests of set-up begin uninstalled
            self.install()
        self.settings: SyncSettings | None = read_settings(default_settings()) if ready else None
        self.reset()

    def reset(self) -> None:
        """Forget all messages, records, errors and requests. Install and settings stay."""
        self.objects: dict[ObjectType, dict[str, Object]] = {kind: {} for kind in MAPPED}
        self.errors: dict[Key, SyncError] = {}  # oldest first
        self.requests: deque[Request] = deque(maxlen=REQUESTS)
        self.counts: Counter[str] = Counter()
        self.watch = Watch()
        self.waiting: deque[Accepted] = deque()
        self.to_fail: dict[str, tuple[str, str]] = {}  # external id → error type and details, once each
        self.accepted = 0
        self._by_email: dict[str, Record] = {}
        self._next_hubspot_id = 1001

    def install(self) -> None:
        """As version 1's install does: version 1's traffic goes to the store ``default``."""
        self.installed = True
        self.stores.setdefault(DEFAULT_STORE, {"id": DEFAULT_STORE, "label": "Custom", "adminUri": None})

    def put_store(self, store: dict[str, Any]) -> None:
        """As version 2 does: the first store's creation installs the bridge."""
        self.installed = True
        self.stores[store["id"]] = store

    # ------------------------------------------------------------------------------------------------ accept

    def accept(self, object_type: ObjectType, body: Any, now_ms: int) -> list[Accepted]:
        """Take one request's messages into the queue, all or none. Refusal if its form is wrong."""
        messages = self.read(object_type, body, now_ms)
        self.take(messages)
        return messages

    def read(self, object_type: ObjectType, body: Any, now_ms: int) -> list[Accepted]:
        """The messages of a request of version 1, not taken yet. Refusal if its form is wrong."""
        with self._noted(body, object_type, now_ms):
            return read_messages(body, object_type, first=self.accepted + 1, now_ms=now_ms)

    def read_v2(self, body: Any, now_ms: int) -> list[Accepted]:
        """The messages of a request of version 2, not taken yet. Refusal if its form is wrong or there is no store."""
        items = body.get("messages") if isinstance(body, dict) else None
        with self._noted(items, None, now_ms):
            messages = read_messages_v2(body, first=self.accepted + 1, now_ms=now_ms)
            if body["storeId"] not in self.stores:  # version 2 knows several stores
                raise Refusal(f"there is no store {body['storeId']!r}")
            return messages

    @contextmanager
    def _noted(self, items: Any, object_type: ObjectType | None, now_ms: int) -> Iterator[None]:
        """Count the requests that are refused for their form."""
        try:
            yield
        except Refusal as refusal:
            self.counts["refused_requests"] += 1
            count = len(items) if isinstance(items, list) else 0
            self.counts["refused_messages"] += count
            if count > MAX_BATCH:  # too many is a fault of the sender's batching
                self.watch.note_oversized(object_type, count, now_ms)
            else:
                self.watch.note_malformed(refusal.message, now_ms)
            raise

    def take(self, messages: Sequence[Accepted]) -> None:
        """Queue messages that ``read`` gave, and check whether the sender keeps the rules."""
        if not messages:
            return
        self.watch.batch(messages)
        links = self._links(messages[0].object_type)
        held = self.objects[messages[0].object_type]
        for message in messages:
            self.accepted += 1
            message.order = self.accepted
            self.watch.arrival(message, self.last_accepted, links)
            target = held.get(message.key)
            if target is not None and self._changes_email(target, message):
                self.watch.note_email(message)
            if target is None:
                target = Object(message.object_type, message.external_id, store_id=message.store_id)
                held[message.key] = target
            target.history.append(message)
        self.waiting.extend(messages)

    def _changes_email(self, target: Object, message: Accepted) -> bool:
        """Whether a known or waiting contact is sent another email than its first one."""
        if target.object_type is not ObjectType.CONTACT or message.action != "UPSERT":
            return False
        since: list[Accepted] = []  # the messages since its last deletion that were not refused
        for earlier in target.history:
            since = [] if earlier.action == "DELETE" else [*since, earlier]
        sent = (self._email_of(earlier) for earlier in since if earlier.verdict in ("", "ok"))
        first = next(filter(None, sent), "")
        return bool(first) and self._email_of(message) not in ("", first)

    def _links(self, object_type: ObjectType) -> Mapping[str, ObjectType]:
        """Names that carry this type's associations; before there are settings, HubSpot's own names."""
        return self.settings.links(object_type) if self.settings is not None else LINKS

    def last_accepted(self, object_type: ObjectType, key: str) -> Accepted | None:
        """The newest accepted message of an object, validated or not."""
        held = self.objects[object_type].get(key)
        return held.history[-1] if held is not None and held.history else None

    # ------------------------------------------------------------------------------------------------ validation

    def validate_next(self, now_ms: int, limit: int | None = None, *, arrived_by_ms: int | None = None) -> int:
        """Validate up to ``limit`` waiting messages (all, if None) in the order they came; gives how many.

        ``arrived_by_ms``: only those that came no later.
        """
        count = 0
        while self.waiting and (limit is None or count < limit):
            if arrived_by_ms is not None and self.waiting[0].arrived_ms > arrived_by_ms:  # not old enough yet
                break
            self._validate(self.waiting.popleft(), now_ms)
            count += 1
        return count

    def _validate(self, message: Accepted, now_ms: int) -> None:
        target = self.objects[message.object_type][message.key]
        record = target.record or self._same_contact(message)
        asked_for = self.to_fail.pop(message.external_id, None)
        verdict = (
            Verdict(*asked_for)
            if asked_for is not None
            else validate(
                message,
                self.settings,
                installed=self.installed,
                held=record.properties if record is not None else {},
                is_there=lambda other, name: self._is_there(other, key_in(message.store_id, name)),
            )
        )
        target.processed_ms = now_ms
        message.verdict = verdict.error or "ok"
        key = (message.object_type, message.key)
        if verdict.error:
            self.counts["errors"] += 1
            self.errors.pop(key, None)  # so that the newest error stands last
            self.errors[key] = _error_of(message, verdict, now_ms)
            return
        error = self.errors.get(key)
        if error is not None:
            error.resolved = True
        if message.action == "DELETE":
            target.deleted = True  # the record stays: DELETE only ends the syncing of this id
        elif not (self._drop_older and self._is_older(target, message)):
            self._apply(target, message, verdict, record)

    @staticmethod
    def _is_older(target: Object, message: Accepted) -> bool:
        done = (m.changed_at for m in target.history if m.verdict == "ok" and m is not message)
        return message.changed_at < max(done, default=message.changed_at)

    def _is_there(self, object_type: ObjectType, key: str) -> bool:
        held = self.objects[object_type].get(key)
        return held is not None and held.is_synced

    def _email_of(self, message: Accepted) -> str:
        rows = self.settings.rows.get(ObjectType.CONTACT, {}) if self.settings is not None else {}
        names = (name for name, row in rows.items() if row.target == "email")
        return next((message.properties[n] for n in names if message.properties.get(n)), "").lower()

    def _same_contact(self, message: Accepted) -> Record | None:
        """The record into which a new contact id is merged: the record with its email."""
        if message.object_type is not ObjectType.CONTACT or message.action != "UPSERT":
            return None
        return self._by_email.get(self._email_of(message))

    def _apply(self, target: Object, message: Accepted, verdict: Verdict, record: Record | None) -> None:
        values = dict(verdict.values)
        if record is None:  # the first message of this id
            record = Record(self._next_hubspot_id)
            self._next_hubspot_id += 1
            if message.object_type is ObjectType.CONTACT:
                self._by_email[values["email"].lower()] = record
        elif message.object_type is ObjectType.CONTACT:
            values.pop("email", None)  # the bridge never changes the email of a contact it knows
        target.record = record
        target.deleted = False
        _set(record.properties, values)
        links = self._links(message.object_type)
        _set(target.properties, {name: text for name, text in message.properties.items() if name not in links})
        for other, ids in verdict.links.items():
            self._link(target, other, tuple(key_in(target.store_id, name) for name in ids))

    def _link(self, target: Object, other: ObjectType, ids: tuple[str, ...]) -> None:
        """``ids``: the keys of what it is linked to from now on."""
        me = (target.object_type, target.key)
        for key in target.links.pop(other, ()):
            self.objects[other][key].linked_by.pop(me, None)
        if ids:  # an empty list only ends the links
            target.links[other] = ids
        for key in ids:
            self.objects[other][key].linked_by[me] = None

    # -------------------------------------------------------------------------------------------------- look

    def error_list(self, *, with_resolved: bool) -> list[SyncError]:
        """Sync-errors, newest first."""
        return [error for error in reversed(self.errors.values()) if with_resolved or not error.resolved]

    def state(self, store_id: str | None = None) -> dict[str, dict[str, Any]]:
        """Everything validated, in one canonical form: external id → type, deleted, properties, associations.

        Of one store; without one of all, external ids of another store than the default with ``<store>/`` before them.
        """
        found = {}
        for object_type, held in self.objects.items():
            for target in held.values():
                if target.record is not None and store_id in (None, target.store_id):
                    found[target.external_id if store_id else target.name] = {
                        "type": object_type.value,
                        "deleted": target.deleted,
                        "properties": dict(sorted(target.properties.items())),
                        "associations": {
                            kind.value: sorted(self.objects[kind][key].external_id for key in keys)
                            for kind, keys in sorted(target.links.items())
                        },
                    }
        return dict(sorted(found.items()))

    def summary(self) -> dict[str, Any]:
        """Counts of everything."""
        opened = [error for error in self.errors.values() if not error.resolved]
        return {
            "objects": {kind.value: _count(held.values()) for kind, held in self.objects.items()},
            "accepted": self.accepted,
            "waiting": len(self.waiting),
            "errors": {
                "open": len(opened),
                "resolved": len(self.errors) - len(opened),
                "ever": self.counts["errors"],
                "by_type": dict(sorted(Counter(error.kind for error in opened).items())),
            },
            "requests": {
                "all": self.counts["requests"],
                "refused": self.counts["refused_requests"],
                "refused_messages": self.counts["refused_messages"],
            },
            "violations": dict(sorted(self.watch.counts.items())),
            "installed": self.installed,
            "enabled": self.settings is not None and self.settings.enabled,
        }

    def note_request(self, request: Request) -> None:
        """Remember a request to the bridge."""
        self.counts["requests"] += 1
        self.requests.append(request)


def _set(held: dict[str, str], values: Mapping[str, str]) -> None:
    """Set properties: missing names keep their values, empty values are cleared."""
    for name, text in values.items():
        if text:
            held[name] = text
        else:
            held.pop(name, None)


def _error_of(message: Accepted, verdict: Verdict, now_ms: int) -> SyncError:
    return SyncError(
        message.object_type,
        message.external_id,
        message.changed_at,
        now_ms,
        verdict.error,
        verdict.details,
        store_id=message.store_id,
    )


def _count(held: Any) -> dict[str, int]:
    counts = {"synced": 0, "deleted": 0, "never_applied": 0}
    for target in held:
        counts["never_applied" if target.record is None else "deleted" if target.deleted else "synced"] += 1
    return counts
