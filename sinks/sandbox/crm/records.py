"""Records: those in use, those in the recycle bin, ids that were merged away, and the record of each unique value."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from cdc.model import ObjectType
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.properties import PropertyBook
from sinks.sandbox.crm.types import TYPES

FIRST_ID: Final = 700_001
KEPT_CHANGES: Final = 20
"""Changes that a record remembers."""

Undo = list[Callable[[], None]]
"""Steps that undo a write, in the order in which they were done."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write's changes. ``source``: API, or PEOPLE for a test's change by hand."""

    at_ms: int
    source: str
    values: Mapping[str, str]


@dataclass(slots=True)
class Record:
    """One record. ``properties`` is replaced, never changed in place; ``archived_ms`` 0: in use."""

    id: str
    kind: ObjectType
    properties: Mapping[str, str]
    created_ms: int
    updated_ms: int
    archived_ms: int = 0
    additional_emails: tuple[str, ...] = ()
    merged_ids: tuple[str, ...] = ()
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=KEPT_CHANGES))

    @property
    def emails(self) -> tuple[str, ...]:
        """The primary address first."""
        primary = self.properties.get("email", "")
        return (*((primary,) if primary else ()), *self.additional_emails)


@dataclass(frozen=True, slots=True)
class Trail:
    """A record as it was before a write, for the search index; ``properties`` None: it did not exist."""

    at_ms: int
    kind: ObjectType
    id: str
    properties: Mapping[str, str] | None


class Records:
    """All records of an account."""

    def __init__(self, book: PropertyBook, behaviour: Behaviour) -> None:
        self._book = book
        self._behaviour = behaviour
        self.live: dict[ObjectType, dict[str, Record]] = {kind: {} for kind in TYPES}
        self.bin: dict[ObjectType, dict[str, Record]] = {kind: {} for kind in TYPES}
        self.merged_into: dict[ObjectType, dict[str, str]] = {kind: {} for kind in TYPES}
        self.trail: deque[Trail] = deque()
        self._holders: dict[tuple[ObjectType, str], dict[str, str]] = {}
        self._binned: dict[tuple[ObjectType, str], dict[str, str]] = {}
        self._next_id = FIRST_ID

    # ---------------------------------------------------------------------------------------------------- look

    def get(self, kind: ObjectType, record_id: str) -> Record | None:
        """The record in use with this id, or the one into which it was merged."""
        found = self.live[kind].get(record_id)
        if found is None and self._behaviour.merged_ids == "survivor":
            found = self.live[kind].get(self.survivor_id(kind, record_id))
        return found

    def survivor_id(self, kind: ObjectType, record_id: str) -> str:
        """The id at the end of a chain of merges."""
        while record_id in self.merged_into[kind]:
            record_id = self.merged_into[kind][record_id]
        return record_id

    def find(self, kind: ObjectType, name: str, value: str) -> Record | None:
        """The record in use that holds a unique value; an additional email finds its contact."""
        record_id = self._holders.get((kind, name), {}).get(_key(kind, name, value))
        return self.live[kind].get(record_id) if record_id is not None else None

    def other_holder(self, kind: ObjectType, name: str, value: str, own_id: str) -> str:
        """The id of another record that has the value already; "" if it is free."""
        wanted = _key(kind, name, value)
        held = self._holders.get((kind, name), {}).get(wanted, "")
        if held and held != own_id and not self._is_free_email(kind, name, wanted, held):
            return held
        if self._behaviour.archived_keeps_unique and name != "email":
            kept = self._binned.get((kind, name), {}).get(wanted, "")
            return kept if kept != own_id else ""
        return ""

    def _is_free_email(self, kind: ObjectType, name: str, wanted: str, holder_id: str) -> bool:
        """Whether an address is only an additional one, in an account that lets new contacts have such addresses."""
        if name != "email" or self._behaviour.additional_email_is_taken:
            return False
        return wanted in self.live[kind][holder_id].additional_emails

    def unique_names(self, kind: ObjectType) -> tuple[str, ...]:
        """Properties whose values only one record may have."""
        return self._book.unique_names(kind)

    @property
    def lets_additional_emails_be_taken(self) -> bool:
        """Whether a new contact may have an address that is an additional address of another contact."""
        return not self._behaviour.additional_email_is_taken

    def peek_id(self) -> str:
        """The id of the next new record."""
        return str(self._next_id)

    def count(self, kind: ObjectType) -> int:
        """Records in use."""
        return len(self.live[kind])

    # -------------------------------------------------------------------------------------------------- change

    def new_id(self) -> str:
        """The next record id; all object types share one sequence of numbers."""
        self._next_id += 1
        return str(self._next_id - 1)

    def add(self, kind: ObjectType, values: Mapping[str, str], now_ms: int, source: str, undo: Undo) -> Record:
        """Create a record. The caller has checked for conflicts."""
        record = Record(self.new_id(), kind, _non_empty(values), now_ms, now_ms)
        record.changes.append(Change(now_ms, source, dict(values)))
        self.live[kind][record.id] = record
        self._index(record)
        self._note(Trail(now_ms, kind, record.id, None))
        undo.append(lambda: self._remove(record))
        return record

    def _remove(self, record: Record) -> None:
        self._unindex(record)
        del self.live[record.kind][record.id]
        self.trail.pop()

    def write(
        self, record: Record, values: Mapping[str, str], now_ms: int, source: str, undo: Undo
    ) -> Mapping[str, str]:
        """Set properties of a record. Returns the changed ones. The caller has checked for conflicts."""
        wanted = dict(values)
        additional = record.additional_emails
        if record.kind is ObjectType.CONTACT and "email" in wanted:
            additional = self._emails_after(record, wanted)
        changed = {name: value for name, value in wanted.items() if record.properties.get(name, "") != value}
        if not changed and additional == record.additional_emails:
            return {}
        before = (record.properties, record.additional_emails, record.updated_ms)
        self._set(record, _non_empty({**record.properties, **changed}), additional, now_ms)
        record.changes.append(Change(now_ms, source, changed))
        self._note(Trail(now_ms, record.kind, record.id, before[0]))
        undo.append(lambda: self._take_back(record, *before))
        return changed

    def _take_back(self, record: Record, properties: Mapping[str, str], emails: tuple[str, ...], at_ms: int) -> None:
        self._set(record, properties, emails, at_ms)
        record.changes.pop()
        self.trail.pop()

    def _emails_after(self, record: Record, wanted: dict[str, str]) -> tuple[str, ...]:
        """A contact's additional addresses after ``email`` is written. Removes ``email`` from ``wanted`` if it does not
        change.
        """
        new, old = wanted["email"], record.properties.get("email", "")
        rest = record.additional_emails
        if new in rest:
            if self._behaviour.writing_additional_email == "keep":
                del wanted["email"]
                return rest
            others = tuple(address for address in rest if address != new)
            return (*others, old) if old else others
        if old and new and new != old and self._behaviour.old_email_on_change == "additional":
            return (*rest, old)
        return rest

    def _set(self, record: Record, properties: Mapping[str, str], emails: tuple[str, ...], at_ms: int) -> None:
        self._unindex(record)
        record.properties, record.additional_emails, record.updated_ms = properties, emails, at_ms
        self._index(record)

    def archive(self, record: Record, now_ms: int) -> None:
        """Put a record into the recycle bin."""
        self._unindex(record)
        del self.live[record.kind][record.id]
        record.archived_ms = now_ms
        self.bin[record.kind][record.id] = record
        for name, value in self._unique_values(record):
            self._binned.setdefault((record.kind, name), {})[_key(record.kind, name, value)] = record.id
        self._note(Trail(now_ms, record.kind, record.id, record.properties))

    def restore(self, record: Record) -> None:
        """Take a record out of the recycle bin. ValueError if one of its unique values is taken by now."""
        for name, value in self._unique_values(record):
            if self.find(record.kind, name, value) is not None:
                raise ValueError(f"{record.id} cannot be restored: another record has its {name}")
        self._forget_binned(record)
        del self.bin[record.kind][record.id]
        record.archived_ms = 0
        self.live[record.kind][record.id] = record
        self._index(record)

    def purge(self, record: Record) -> None:
        """Delete a record for good, out of the recycle bin too."""
        if record.archived_ms:
            self._forget_binned(record)
            del self.bin[record.kind][record.id]
        else:
            self._unindex(record)
            del self.live[record.kind][record.id]

    def replace(self, survivor: Record, gone: Record, properties: Mapping[str, str], now_ms: int) -> None:
        """Merge ``gone`` into ``survivor``, which gets ``properties`` and all addresses of both."""
        emails = dict.fromkeys((*survivor.emails, *gone.emails))
        primary = properties.get("email", "")
        self._unindex(gone)
        del self.live[gone.kind][gone.id]
        self._set(survivor, properties, tuple(address for address in emails if address != primary), now_ms)
        survivor.merged_ids = (*survivor.merged_ids, gone.id, *gone.merged_ids)
        self.merged_into[gone.kind][gone.id] = survivor.id

    def rename(self, record: Record, new_id: str) -> None:
        """Give a record another id; the old id leads to it, as after a merge."""
        self._unindex(record)
        del self.live[record.kind][record.id]
        self.merged_into[record.kind][record.id] = new_id
        record.merged_ids = (*record.merged_ids, record.id)
        record.id = new_id
        self.live[record.kind][new_id] = record
        self._index(record)

    def add_email(self, record: Record, address: str) -> None:
        """Give a contact an additional address, as people do by hand. ValueError if another contact has it."""
        if self.other_holder(record.kind, "email", address, record.id):
            raise ValueError("another contact has this address")
        self._set(record, record.properties, (*record.additional_emails, address.lower()), record.updated_ms)

    def _note(self, trail: Trail) -> None:
        """Remember the earlier record, for as long as the search index is behind."""
        oldest = trail.at_ms - self._behaviour.search_lag_ms
        while self.trail and self.trail[0].at_ms < oldest:
            self.trail.popleft()
        self.trail.append(trail)

    # --------------------------------------------------------------------------------------------------- index

    def _unique_values(self, record: Record) -> Iterator[tuple[str, str]]:
        for name in self._book.unique_names(record.kind):
            value = record.properties.get(name, "")
            if value:
                yield name, value
        for address in record.additional_emails:
            yield "email", address

    def _index(self, record: Record) -> None:
        for name, value in self._unique_values(record):
            holders = self._holders.setdefault((record.kind, name), {})
            key = _key(record.kind, name, value)
            # A primary address wins over an additional one that another contact got by a merge.
            if name == "email" and value in record.additional_emails and key in holders:
                continue
            holders[key] = record.id

    def _unindex(self, record: Record) -> None:
        for name, value in self._unique_values(record):
            holders = self._holders.get((record.kind, name), {})
            key = _key(record.kind, name, value)
            if holders.get(key) == record.id:
                del holders[key]

    def _forget_binned(self, record: Record) -> None:
        for name, value in self._unique_values(record):
            kept = self._binned.get((record.kind, name), {})
            if kept.get(_key(record.kind, name, value)) == record.id:
                del kept[_key(record.kind, name, value)]


def _key(kind: ObjectType, name: str, value: str) -> str:
    return value.strip().lower() if kind is ObjectType.CONTACT and name == "email" else value


def _non_empty(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
