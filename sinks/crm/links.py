"""Associations: the pairs that a message needs or no longer has, and the calls that make and end them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cdc.model import ObjectType, Outcome, Reference
from sinks.crm import bodies
from sinks.crm.answers import errors_of
from sinks.crm.api import ASSOCIATIONS
from sinks.crm.faults import Fault, FaultKind, read_fault, record_id_of
from sinks.crm.pieces import body_of, pieces
from sinks.crm.tools import Tools
from sinks.crm.work import Step, Work

MAX_PAIRS: Final = 2000
"""Pairs that one call makes."""

MAX_ENDED: Final = 100
"""Records whose pairs one call ends."""

Pair = tuple[str, str]
"""Record ids: from, to."""


End = tuple[ObjectType, str]
"""A record that another record is linked to: HubSpot may give one number to records of two types."""


class Need(NamedTuple):
    """One link of a message."""

    work: Work
    reference: Reference


def needed(work: Work) -> list[Reference]:
    """The references that are to be linked: those whose records are not linked, or all if that is not known."""
    message = work.message
    wanted = [ref for ref in work.references if ref.object_type in bodies.ASSOCIATED[message.object_type]]
    wanted = [ref for ref in wanted if ref.external_id not in work.inlined]
    # The state may be wrong, or it is a first write: linking again is harmless, a missing link is not.
    if work.links_all or message.may_repeat or not message.was_accepted:
        return wanted
    # Another object with the same record needs no link: a customer who registers takes over the guest's record.
    return [ref for ref in wanted if (ref.object_type, ref.record_id) not in message.linked_records]


def needed_ends(work: Work) -> frozenset[End]:
    """The records that a message's record has to be associated with."""
    kinds = bodies.ASSOCIATED[work.message.object_type]
    known = [ref for ref in work.references if ref.record_id]
    return frozenset((ref.object_type, ref.record_id) for ref in known if ref.object_type in kinds)


def ended(work: Work, kind: ObjectType) -> list[Reference]:
    """Links of ours to records of this type that another reference replaces. A link that merely ends stays, as its
    contact may be kept.
    """
    now = [ref for ref in work.references if ref.object_type is kind]
    kept = {ref.external_id for ref in now}
    records = {ref.record_id for ref in now}
    # Nothing replaces the link, and a contact may stay linked to its old deals.
    if not now:
        return []
    before = [ref for ref in work.message.linked if ref.object_type is kind and ref.external_id not in kept]
    # two objects may share one record: its link is the new reference's
    return [ref for ref in before if ref.record_id and ref.record_id not in records]


@dataclass(slots=True)
class PairAnswer:
    """What became of pairs: ``made``, and faults of single ones."""

    made: set[Pair]
    faults: dict[Pair, Fault]


async def link(tools: Tools, kind: ObjectType, works: Sequence[Work]) -> None:
    """Make and end the links of written messages, and settle these messages."""
    written = [work for work in works if work.step is Step.WRITTEN]
    for other in bodies.ASSOCIATED[kind]:
        # What the links to one type settled is linked again as a whole.
        await _link(tools, kind, other, [work for work in written if work.step is Step.WRITTEN])
    # What the links did not settle otherwise is accepted.
    for work in written:
        if work.step is Step.WRITTEN:
            work.settle(Outcome.ACCEPTED, work.reason, work.detail)


async def _link(tools: Tools, kind: ObjectType, other: ObjectType, works: Sequence[Work]) -> None:
    needs = [Need(work, ref) for work in works for ref in needed(work) if ref.object_type is other]
    pairs = {(need.work.record_id, need.reference.record_id): need for need in needs if need.reference.record_id}
    for need in needs:
        # The other object has no record yet: this link cannot be made now.
        if not need.reference.record_id:
            _not_linked(tools, need)
    if pairs:
        answer = await associate(tools, kind, other, list(pairs))
        failed = {pair: need for pair, need in pairs.items() if pair not in answer.made}
        await _find_own(
            tools, kind, [need.work for pair, need in failed.items() if _is_absent(answer.faults.get(pair))]
        )
        for pair, need in failed.items():
            if need.work.step is Step.WRITTEN:
                _judge(tools, need, answer.faults.get(pair))
    gone = [
        (work.record_id, ref.record_id) for work in works if work.step is Step.WRITTEN for ref in ended(work, other)
    ]
    if gone:
        await archive_pairs(tools, kind, other, gone)


def _is_absent(fault: Fault | None) -> bool:
    """Whether one of the two records is not there."""
    return fault is not None and fault.kind in (FaultKind.BAD_LINK, FaultKind.NOT_FOUND)


async def _find_own(tools: Tools, kind: ObjectType, works: Sequence[Work]) -> None:
    """Settle messages whose own record is gone. This send wrote nothing of them, so it has not noticed until now."""
    unseen = {work.record_id: work for work in works if work.message.only_links}
    # A record that was written just now is there.
    if not unseen:
        return
    records = await tools.batches.read(kind, list(unseen), [tools.table.key])
    for record_id in unseen.keys() - {record.id for record in records}:
        work = unseen[record_id]
        if tools.settings.on_deleted_by_people == "leave":
            work.settle(Outcome.REJECTED, "deleted_by_people", "its record was deleted in HubSpot")
        else:
            # Without a record the next attempt looks for one, or makes it with all properties and links.
            work.record_id, work.is_record_gone = "", True
            work.settle(Outcome.RETRY, "record_gone", "its record was deleted in HubSpot")


def _judge(tools: Tools, need: Need, fault: Fault | None) -> None:
    work = need.work
    if fault is not None and _is_absent(fault):
        _not_linked(tools, need)
        return
    reason = fault.code if fault is not None else "not_mentioned"
    text = fault.text if fault is not None else "HubSpot's answer does not mention the association"
    work.settle(Outcome.WRITTEN, reason, text, retry_after_s=tools.memory.retry_s(work.key))


def _not_linked(tools: Tools, need: Need) -> None:
    """The reference has no record: the object is written, and linked when the other one is written anew."""
    name = need.reference.external_id
    tools.memory.warn("crm_link_target_gone", name)
    need.work.reason, need.work.detail = "link_target_gone", f"HubSpot has no record of {name}"
    if tools.settings.on_deleted_by_people == "recreate":
        need.work.gone.append(name)


async def associate(tools: Tools, kind: ObjectType, other: ObjectType, pairs: Sequence[Pair]) -> PairAnswer:
    """Link pairs by HubSpot's default association, which is harmless to repeat. What no answer names is sent alone."""
    answer = PairAnswer(set(), {})
    for chunk in pieces(list(dict.fromkeys(pairs)), _ends, tools.batches.api.max_body, most=MAX_PAIRS):
        await _associate_all(tools, kind, other, chunk, answer)
    return answer


async def _associate_all(
    tools: Tools, kind: ObjectType, other: ObjectType, pairs: Sequence[Pair], answer: PairAnswer
) -> None:
    made, faults, is_refused = await _associate(tools, kind, other, pairs)
    answer.made |= made
    answer.faults |= faults
    rest = [pair for pair in pairs if pair not in made]
    if len(pairs) == 1 or not rest:
        return
    half = (len(rest) + 1) // 2
    # errors of association batches may name no pair: alone, the pair is what the error is about; a call that is
    # refused as a whole says nothing of most of its pairs, so it is halved
    pieces = [rest[:half], rest[half:]] if is_refused else [[pair] for pair in rest]
    for piece in pieces:
        await _associate_all(tools, kind, other, piece, answer)


async def _associate(
    tools: Tools, kind: ObjectType, other: ObjectType, pairs: Sequence[Pair]
) -> tuple[set[Pair], dict[Pair, Fault], bool]:
    """The pairs made, the fault of a pair that was sent alone, and whether the call was refused as a whole."""
    api = tools.batches.api
    what = f"{len(pairs)} link(s) of {kind.value} to {other.value}"
    path = api.paths.associations(kind, other, "batch/associate/default")
    body = body_of([_ends(pair) for pair in pairs])
    reply = await api.call(tools.batches.requests, "POST", path, what=what, body=body, family=ASSOCIATIONS, writes=True)
    content = reply.content()
    content = content if isinstance(content, Mapping) else {}
    if not reply.is_ok:
        return set(), {pairs[0]: read_fault(content, reply.status)} if len(pairs) == 1 else {}, True
    seen = set(_pairs_of(content))
    made = {pair for pair in pairs if pair in seen or pair[::-1] in seen}
    errors = errors_of(content)
    faults = {pairs[0]: read_fault(errors[0])} if len(pairs) == 1 and errors else {}
    return made - faults.keys(), faults, False


def _pairs_of(content: Mapping[str, Any]) -> Iterator[Pair]:
    """The directed pairs of an answer; the default association brings two for each input."""
    results = content.get("results")
    for item in results if isinstance(results, list) else []:
        ends = [item.get(name) for name in ("from", "to")] if isinstance(item, Mapping) else []
        ids = [record_id_of(end.get("id")) for end in ends if isinstance(end, Mapping)]
        if len(ids) == 2 and all(ids):
            yield ids[0], ids[1]


async def archive_pairs(tools: Tools, kind: ObjectType, other: ObjectType, pairs: Sequence[Pair]) -> None:
    """End our own association of these pairs. What is not there needs no ending."""
    types = bodies.association_types(kind, other)
    api = tools.batches.api

    def form(pair: Pair) -> Mapping[str, Any]:
        return {**_ends(pair), "types": types}

    for chunk in pieces(list(dict.fromkeys(pairs)), form, api.max_body, most=MAX_ENDED):
        body = body_of([form(pair) for pair in chunk])
        path = api.paths.associations(kind, other, "batch/labels/archive")
        what = f"{len(chunk)} link(s) of {kind.value} to {other.value} to end"
        reply = await api.call(
            tools.batches.requests, "POST", path, what=what, body=body, family=ASSOCIATIONS, writes=True
        )
        if not reply.is_ok and reply.status != 404:
            raise api.refused(reply, what)


def _ends(pair: Pair) -> Mapping[str, Any]:
    """An association's input, in the direction in which the path names the types."""
    return {"from": {"id": pair[0]}, "to": {"id": pair[1]}}
