"""What people do in HubSpot by hand: without API calls, quota or rules of sending."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.model import ObjectType
from sinks.sandbox.crm.account import CrmAccount
from sinks.sandbox.crm.merging import merge
from sinks.sandbox.crm.records import Record

SOURCE = "PEOPLE"


class People:
    """Actions on one account. Each raises CrmRefusalError or ValueError where HubSpot would not let people do it."""

    def __init__(self, account: CrmAccount) -> None:
        self._account = account

    def create(self, kind: ObjectType, values: Mapping[str, str]) -> Record:
        """Make a record."""
        outcome = self._account.write("create", kind, {"inputs": [{"properties": dict(values)}]}, source=SOURCE)
        return outcome.written[0].record

    def edit(self, kind: ObjectType, record_id: str, values: Mapping[str, str]) -> None:
        """Change properties of a record."""
        body = {"inputs": [{"id": record_id, "properties": dict(values)}]}
        if self._account.write("update", kind, body, source=SOURCE).problems:
            raise ValueError(f"there is no {kind} {record_id}")

    def delete(self, kind: ObjectType, record_id: str) -> None:
        """Put a record into the recycle bin."""
        self._account.records.archive(self._live(kind, record_id), self._account.now_ms())

    def restore(self, kind: ObjectType, record_id: str) -> None:
        """Take a record out of the recycle bin."""
        found = self._account.records.bin[kind].get(record_id)
        if found is None:
            raise ValueError(f"{kind} {record_id} is not in the recycle bin")
        self._account.records.restore(found)

    def purge(self, kind: ObjectType, record_id: str) -> None:
        """Delete a record for good, out of the recycle bin too."""
        found = self._account.records.bin[kind].get(record_id) or self._live(kind, record_id)
        self._account.links.drop_all(found)
        self._account.records.purge(found)

    def merge(self, kind: ObjectType, primary_id: str, other_id: str) -> Record:
        """Merge the second record into the first."""
        account = self._account
        primary, other = self._live(kind, primary_id), self._live(kind, other_id)
        if primary is other:
            raise ValueError("a record cannot be merged with itself")
        return merge(account.records, account.links, account.behaviour, primary, other, account.now_ms(), SOURCE)

    def add_email(self, record_id: str, address: str) -> None:
        """Give a contact an additional address."""
        self._account.records.add_email(self._live(ObjectType.CONTACT, record_id), address)

    def link(self, kind: ObjectType, record_id: str, other: ObjectType, other_id: str, label: str = "") -> None:
        """Associate two records; with a label: that one too."""
        links = self._account.links
        direction = (kind, other)
        types = [links.default_type(direction)]
        if label:
            known = {text: number for number, text in links.labels.get(direction, {}).items()}
            types.append(known[label] if label in known else links.make_label(direction, label))
        links.add(direction, self._live(kind, record_id).id, self._live(other, other_id).id, types, [])

    def unlink(self, kind: ObjectType, record_id: str, other: ObjectType, other_id: str) -> None:
        """End all associations of a pair."""
        if not self._account.links.remove((kind, other), record_id, other_id):
            raise ValueError(f"{kind} {record_id} and {other} {other_id} are not associated")

    def _live(self, kind: ObjectType, record_id: str) -> Record:
        found = self._account.records.live[kind].get(record_id)
        if found is None:
            raise ValueError(f"there is no {kind} {record_id}")
        return found
