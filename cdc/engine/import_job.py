"""``import``: chosen objects of the replica are rendered and sent once more, at the pace of history.

A command leaves the request in the state. The state thread takes it up within a second, and works it off slice by slice
when nothing else waits. Its progress is kept with every slice, so a killed run goes on from there. A chosen object that
was withheld is sent, together with the objects that it refers to. Use inside a store transaction.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from cdc.engine.parts import Parts
from cdc.log_events import get_logger
from cdc.messages.bulk_members import members
from cdc.model import OBJECT_TYPE, BulkInvalidation, ObjectRef, ObjectType, Value, parse_external_id
from cdc.state.store import Store

log = get_logger(__name__)

SLICE: Final = 200
"""Rows or ids read in one turn of the state thread."""

ALL_TYPES: Final = tuple(kind.value for kind in ObjectType)

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


class Condition(NamedTuple):
    """``column operator value`` on the object's main table. Numbers are
    compared as numbers, everything else as text.
    """

    column: str
    operator: str
    value: str

    def fits(self, held: Value) -> bool:
        """Whether a cell fulfils the condition; NULL fulfils only ``!=``."""
        if held is None:
            return self.operator == "!="
        compare = _COMPARE[self.operator]
        try:
            return compare(Decimal(str(held)), Decimal(self.value))
        except InvalidOperation:
            return compare(str(held), self.value)


def parse_condition(text: str) -> Condition:
    """``status=complete``, ``grand_total >= 100``. Raises ValueError."""
    for sign in sorted(_COMPARE, key=len, reverse=True):
        column, found, value = text.partition(sign)
        if found and column.strip().isidentifier():
            return Condition(column.strip(), sign, value.strip())
    raise ValueError(f"a condition is column, operator ({' '.join(_COMPARE)}) and value, not {text!r}")


class Selection(NamedTuple):
    """The objects that an import sends. ``since_ms``: only orders placed since then, epoch milliseconds. ``ids``: these
    external ids.
    """

    types: tuple[str, ...] = ALL_TYPES
    since_ms: int | None = None
    where: tuple[Condition, ...] = ()
    ids: tuple[str, ...] = ()
    resend: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether no object is left out."""
        is_narrowed = self.since_ms is not None or self.where or self.ids
        return not is_narrowed and set(self.types) >= set(ALL_TYPES)


class ImportJob:
    """The import of one state; there is at most one at a time."""

    def __init__(self, parts: Parts, render: Callable[[ObjectRef, bool], None]) -> None:
        """``render``: renders an object as history; its second argument says whether to send it even if equal."""
        self._parts = parts
        self._render = render
        self._store = parts.store

    @property
    def is_open(self) -> bool:
        """Whether an import was asked for and is not finished."""
        return bool(self._store.meta.import_job.get("is_open"))

    def work(self) -> bool:
        """Work off one slice; False when there is nothing to do, or the import is paused."""
        job = self._store.meta.import_job
        if not job.get("is_open") or self._store.meta.is_import_paused or not self._parts.load.is_complete:
            return False
        # Another process asked for the import, and may have ended a stopped first load by it.
        self._parts.renderer.withholding.reread()
        selection = selection_of(job)
        chosen, place, is_done = self._slice(selection, job)
        for ref in chosen:
            self._render(ref, selection.resend)
        job = {
            **job,
            **place,
            "chosen": _added(job["chosen"], Counter(OBJECT_TYPE[ref.kind].value for ref in chosen)),
            "is_open": not is_done,
        }
        self._store.meta.import_job = job
        if is_done:
            log.info("import_rendered", objects=job["chosen"])
        return True

    def _slice(self, selection: Selection, job: Mapping[str, Any]) -> tuple[list[ObjectRef], dict[str, Any], bool]:
        """The chosen objects of the next slice, the slice's end, and whether it was the last one."""
        if selection.ids:
            at = job["at"]
            refs = [parse_external_id(name, job["namespace"]) for name in selection.ids[at : at + SLICE]]
            return refs, {"at": at + SLICE}, at + SLICE >= len(selection.ids)
        wanted = candidates(self._parts, selection)
        if job["at"] >= len(wanted):
            return [], {}, True
        found = members(self._store, wanted[job["at"]], job["cursor"], SLICE)
        chosen = [ref for ref in found.refs if is_chosen(self._parts, selection, ref)]
        if found.is_last:
            return chosen, {"at": job["at"] + 1, "cursor": -1}, job["at"] + 1 >= len(wanted)
        return chosen, {"cursor": found.cursor}, False


def candidates(parts: Parts, selection: Selection) -> list[BulkInvalidation]:
    """The bulk invalidations that name every object of the chosen types."""
    return [one for one in parts.mapper.everything() if OBJECT_TYPE[one.kind].value in selection.types]


def is_chosen(parts: Parts, selection: Selection, ref: ObjectRef) -> bool:
    """Whether the selection includes this object of the chosen types."""
    if selection.since_ms is not None:
        # contacts and products have no place in time: those that a chosen order refers to go with it
        placed = parts.mapper.placed_ms(ref, parts.rows)
        if placed is None or placed < selection.since_ms:
            return False
    if not selection.where:
        return True
    row = parts.mapper.main_row(ref, parts.rows)
    return row is not None and all(one.fits(row.get(one.column)) for one in selection.where)


def refs_of(parts: Parts, selection: Selection, namespace: str) -> Iterator[ObjectRef]:
    """All chosen objects, read in slices: what ``import --dry-run`` counts."""
    if selection.ids:
        yield from (parse_external_id(name, namespace) for name in selection.ids)
        return
    for invalidation in candidates(parts, selection):
        cursor: int | str = -1
        while True:
            found = members(parts.store, invalidation, cursor, SLICE)
            yield from (ref for ref in found.refs if is_chosen(parts, selection, ref))
            if found.is_last:
                break
            cursor = found.cursor


def ask(store: Store, selection: Selection, namespace: str) -> bool:
    """Leave the request for the daemon; False if another import is not finished yet."""
    if store.meta.import_job.get("is_open"):
        return False
    # An import of everything ends a stopped first load: what comes into scope later is to be sent as the settings say.
    if selection.is_everything:
        store.meta.is_history_stopped = False
    store.meta.import_job = {
        "is_open": True, "at": 0, "cursor": -1, "chosen": {}, "namespace": namespace,
        "selection": {**selection._asdict(), "where": [list(one) for one in selection.where]},
    }  # fmt: skip
    return True


def selection_of(job: Mapping[str, Any]) -> Selection:
    """The selection in the request."""
    held = job["selection"]
    return Selection(
        tuple(held["types"]), held["since_ms"], tuple(Condition(*one) for one in held["where"]), tuple(held["ids"]),
        held["resend"],
    )  # fmt: skip


def pause(store: Store, *, is_paused: bool) -> None:
    """Read no table and send no history until this is taken back. Live changes go on."""
    store.meta.is_import_paused = is_paused


def stop(store: Store) -> bool:
    """End the import where it is. Messages that are rendered are still sent. False if there is no import."""
    job = store.meta.import_job
    if not job.get("is_open"):
        return False
    store.meta.import_job = {**job, "is_open": False}
    return True


def status(store: Store) -> dict[str, object]:
    """For /status and ``import status``: whether an import is running, and the
    objects that it has rendered, by type.
    """
    job = store.meta.import_job
    return {
        "is_open": bool(job.get("is_open")), "is_paused": store.meta.is_import_paused,
        "rendered": dict(job.get("chosen", {})),
    }  # fmt: skip


def _added(held: Mapping[str, int], more: Counter[str]) -> dict[str, int]:
    return dict(Counter(held) + more)


def types_of(words: Sequence[str]) -> tuple[str, ...]:
    """``contacts``, ``products``, ``deals`` (with their line items) as object types. Raises ValueError."""
    known = {
        "contacts": (ObjectType.CONTACT,), "products": (ObjectType.PRODUCT,),
        "deals": (ObjectType.DEAL, ObjectType.LINE_ITEM), "line_items": (ObjectType.LINE_ITEM,),
        "carts": (ObjectType.CART,),
    }  # fmt: skip
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return tuple(dict.fromkeys(kind.value for word in words for kind in known[word]))
