"""Batch calls with an exact result for every input: written, refused with its fault, or unmentioned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cdc.errors import (
    BatchRefusedError,
    OutcomeUnknownError,
    SinkError,
    SinkSwitchedOffError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from cdc.model import ObjectType
from sinks.crm.answers import BatchAnswer, Record, is_batch, missing_of, read_writes, records_of
from sinks.crm.api import Api
from sinks.crm.faults import Fault, FaultKind, read_fault
from sinks.crm.pieces import body_of, pieces

if TYPE_CHECKING:
    from cdc.protocols import Requests
    from sinks.hubspot.http_faults import Reply

TOO_LARGE: Final = 413


class RefusedCallError(BatchRefusedError):
    """A whole call was refused; ``fault`` has the reason."""

    def __init__(self, message: str, fault: Fault = Fault(FaultKind.UNCLEAR), *, status: int = 0) -> None:  # noqa: B008  # frozen
        super().__init__(message, status=status)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a write. ``trace``: unique in the call, so that HubSpot gives each input its own result.

    ``identity``: the key or the record id, which names the input where an answer repeats no trace id.
    """

    trace: str
    identity: str
    body: Mapping[str, Any]

    @property
    def sent(self) -> Mapping[str, Any]:
        """The input in the form of the call's body."""
        return {**self.body, "objectWriteTraceId": self.trace}


class Batches:
    """Batch calls of one send."""

    def __init__(self, api: Api, requests: Requests) -> None:
        self.api = api
        self.requests = requests

    async def read(
        self, kind: ObjectType, ids: Sequence[str], properties: Sequence[str], *, by: str = "", archived: bool = False
    ) -> list[Record]:
        """The records with these ids, or with these values of the unique property ``by``. Missing records are left out.

        Raises RefusedCallError if ``by`` is not unique in this account.
        """
        found: list[Record] = []
        rest: dict[str, Any] = {"properties": list(properties), "propertiesWithHistory": []}
        # Without idProperty HubSpot takes the ids for record ids.
        if by:
            rest["idProperty"] = by
        for piece in pieces(list(dict.fromkeys(ids)), _by_id, self.api.max_body, rest=rest):
            found += await self._read(kind, piece, rest, by, archived)
        return found

    async def _read(
        self, kind: ObjectType, ids: Sequence[str], rest: Mapping[str, Any], by: str, archived: bool
    ) -> list[Record]:
        body = body_of([_by_id(one) for one in ids], rest)
        what = f"{len(ids)} {kind.value} record(s)" + (f" by {by}" if by else "")
        query = {"archived": "true"} if archived else None
        path = self.api.paths.objects(kind, "batch/read")
        reply = await self.api.call(self.requests, "POST", path, what=what, body=body, query=query)
        if reply.is_ok:
            return records_of(self._batch(reply, what))
        fault = _fault_of(reply)
        # The property is gone or not unique: no half of the batch could do better.
        if fault.kind is FaultKind.NOT_UNIQUE or fault.kind is FaultKind.UNKNOWN_PROPERTY:
            raise self._refusal(reply, what, fault)
        if fault.kind is FaultKind.NOT_FOUND and len(ids) == 1:
            return []
        if len(ids) == 1:  # an id or address that HubSpot cannot even look for belongs to no record
            return []
        # Half of the batch may be fine, so it is split until the odd id is alone.
        half = len(ids) // 2
        first = await self._read(kind, ids[:half], rest, by, archived)
        return first + await self._read(kind, ids[half:], rest, by, archived)

    async def write(
        self, kind: ObjectType, verb: str, inputs: Sequence[Input], *, identity: str = ""
    ) -> dict[str, Record | Fault | None]:
        """Create or update: trace id → record, fault, or None for an input that HubSpot did not mention.

        ``identity``: the property to which ``Input.identity`` belongs; "": it is a record id. An unmentioned input is
        sent once more, alone. Raises RefusedCallError if a whole call is refused for a reason that names no input.
        """
        outcomes: dict[str, Record | Fault | None] = {}
        for chunk in pieces(inputs, lambda one: one.sent, self.api.max_body):
            answer = await self._write(kind, verb, chunk, identity)
            # HubSpot may leave an input out of its answer. Alone it must be answered, or the outcome stays
            # open.
            silent = [one for one in chunk if one.trace not in answer.records and one.trace not in answer.faults]
            for one in silent if len(chunk) > 1 else ():
                alone = await self._write(kind, verb, [one], identity)
                answer.records |= alone.records
                answer.faults |= alone.faults
            outcomes |= {one.trace: answer.records.get(one.trace) or answer.faults.get(one.trace) for one in chunk}
        return outcomes

    async def _write(self, kind: ObjectType, verb: str, inputs: Sequence[Input], identity: str) -> BatchAnswer:
        body = body_of([one.sent for one in inputs])
        what = f"{len(inputs)} {kind.value} record(s) to {verb}"
        path = self.api.paths.objects(kind, f"batch/{verb}")
        reply = await self.api.call(self.requests, "POST", path, what=what, body=body, writes=True)
        identities = {one.identity: one.trace for one in inputs}
        if reply.is_ok:
            content = self._batch(reply, what, error=OutcomeUnknownError)
            answer = read_writes(content, [one.trace for one in inputs], identities, identity)
            # A missing scope hits every input of the type.
            if any(fault.kind is FaultKind.SCOPES for fault in answer.faults.values()):
                raise SinkUnauthorizedError(f"the token may not {verb} {kind.value} records", hint="see `check`")
            return answer
        return await self._refused(reply, what, kind, verb, inputs, identity)

    async def _refused(
        self, reply: Reply, what: str, kind: ObjectType, verb: str, inputs: Sequence[Input], identity: str
    ) -> BatchAnswer:
        """A call was refused as a whole: the inputs that the answer names get the fault, the others are sent again
        without them.
        """
        fault = _fault_of(reply)
        if fault.kind is FaultKind.SCOPES:
            raise SinkUnauthorizedError(self.api.refused(reply, what).message, hint="see `check`")
        # Then updates by key would hit wrong records.
        if fault.kind is FaultKind.NOT_UNIQUE and identity:
            raise key_lost(identity, kind)
        # Nothing left to separate.
        if len(inputs) == 1:
            # It will not shrink by waiting, so it becomes a dead letter and the others go on.
            if reply.status == TOO_LARGE:
                fault = Fault(FaultKind.INVALID, "REQUEST_TOO_LARGE")
            return BatchAnswer(faults={inputs[0].trace: fault})
        # Something on the way takes less than sink.max_batch_kb: whatever fits in halves is delivered.
        if reply.status == TOO_LARGE:
            half = len(inputs) // 2
            answer = await self._write(kind, verb, inputs[:half], identity)
            more = await self._write(kind, verb, inputs[half:], identity)
            return BatchAnswer({**answer.records, **more.records}, {**answer.faults, **more.faults})
        faulty = set(_named_inputs(reply, fault, inputs))
        rest = [one for one in inputs if one.trace not in faulty]
        # Refused as a whole without naming anybody: sending it again would change nothing.
        if not faulty:
            raise self._refusal(reply, what, fault)
        answer = await self._write(kind, verb, rest, identity) if rest else BatchAnswer()
        answer.faults |= dict.fromkeys(faulty, fault)
        return answer

    def _refusal(self, reply: Reply, what: str, fault: Fault) -> RefusedCallError:
        return RefusedCallError(self.api.refused(reply, what).message, fault, status=reply.status)

    async def archive(self, kind: ObjectType, ids: Sequence[str]) -> None:
        """Move these records to the recycle bin. A missing record is not a fault."""
        for chunk in pieces(list(dict.fromkeys(ids)), _by_id, self.api.max_body):
            what = f"{len(chunk)} {kind.value} record(s) to archive"
            path = self.api.paths.objects(kind, "batch/archive")
            body = body_of([_by_id(one) for one in chunk])
            reply = await self.api.call(self.requests, "POST", path, what=what, body=body, writes=True)
            # 404: it is gone already, which is what was wanted.
            if not reply.is_ok and reply.status != 404:
                raise self._refusal(reply, what, _fault_of(reply))

    def _batch(self, reply: Reply, what: str, *, error: type[SinkError] = SinkUnavailableError) -> Any:
        """The JSON of a 2xx. An answer that cannot come from a batch call (a proxy's page) confirms nothing."""
        content = reply.content()
        # A proxy's page with status 200 must never count as "written".
        if not is_batch(content):
            raise error(
                f"{self.api.http.address} answered {reply.status} to {what} with something that is no batch answer",
                hint="does sink.base_url lead to the API itself?",
            )
        return content


def key_lost(key: str, kind: ObjectType) -> SinkSwitchedOffError:
    """The key property disappeared while running: no message is at fault, and no record may be created
    without a key.
    """
    return SinkSwitchedOffError(
        f"the account's property {key} on {kind.value} is gone or not unique any more",
        hint="restore it in HubSpot, or run `magento-cdc mapping push`",
    )


def _by_id(one: str) -> Mapping[str, str]:
    return {"id": one}


def _fault_of(reply: Reply) -> Fault:
    content = reply.content()
    return read_fault(content if isinstance(content, Mapping) else {}, reply.status)


def _named_inputs(reply: Reply, fault: Fault, inputs: Sequence[Input]) -> Iterator[str]:
    content = reply.content()
    # HubSpot names the ids that it does not find.
    if fault.kind is FaultKind.NOT_FOUND and isinstance(content, Mapping):
        missing = set(missing_of(content))
        yield from (one.trace for one in inputs if one.identity in missing)
    elif fault.kind in (FaultKind.UNKNOWN_PROPERTY, FaultKind.READ_ONLY):
        # It names properties; every input that has one of them is refused.
        for one in inputs:
            if not one.body.get("properties", {}).keys().isdisjoint(fault.properties):
                yield one.trace
