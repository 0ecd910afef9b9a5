"""Applies changes to the replica: LSN rule, merges, primary-key moves, cascades; and notes which objects they affect.

Pure SQLite work inside the caller's transaction. A change is skipped only if the row already contains it: the row's LSN
is past the change's transaction (a chunk that was read later, or a replay).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cdc.model import ABSENT, Absent, Cells, Change, DeleteRule, Image, Op, Row, TableSpec, Value
from cdc.protocols import Mapper
from cdc.replica.affected import AffectedObjects, When
from cdc.replica.cascades import Cascades
from cdc.replica.load_state import LoadState
from cdc.replica.rows import NOT_GIVEN, ReplicaRows, Stored, TableRows
from cdc.replica.tombstones import WHOLE_TABLE, Tombstones
from cdc.replica.unread import Unread, UnreadRow
from cdc.state.store import Store


class Applier:
    """Writes changes and chunk rows into the replica."""

    def __init__(
        self,
        store: Store,
        rows: ReplicaRows,
        mapper: Mapper,
        cascades: Cascades,
        load: LoadState,
        unread: Unread | None = None,
    ) -> None:
        self._store = store
        self._load = load
        self._rows = rows
        self._mapper = mapper
        self._cascades = cascades
        self.unread = unread if unread is not None else Unread(store)
        self._derived = {spec.name for spec in store.tables.values() if spec.derived}
        self.affected_objects = AffectedObjects()
        self._notes = True
        """Whether affected objects are noted. While chunks are loaded the caller decides what is rendered."""
        self.has_partial_images = store.meta.has_partial_images
        """Whether the log ever had partial images. Then a before image may hold little more than the key."""
        self.is_unordered = False
        """Whether rows come in another order than the source's. Then tombstones are kept for a day."""
        self.changes_applied = 0
        self.tombstones = Tombstones(store)

    def take_affected(self) -> AffectedObjects:
        """What was affected since the last call; the list starts again."""
        taken, self.affected_objects = self.affected_objects, AffectedObjects()
        return taken

    # ---------------------------------------------------------------------------------------------- the log

    def apply(self, change: Change, when: When) -> None:
        """Apply one change of a transaction."""
        table = self._rows.tables[change.table]
        self.changes_applied += 1
        if change.op is Op.TRUNCATE:
            # Before the rows go: a chunk read earlier may still bring some of them.
            if self._remembers:
                self.tombstones.add(change.table, WHOLE_TABLE, when.lsn, cascades=False)
            self.unread.drop_table(change.table, when.lsn)
            # TRUNCATE fires no foreign keys, so children stay as they are on the server.
            for stored in table.every():
                self._delete(table, table.key_of(stored), None, when, cascades=False)
            return
        width = table.key_width
        if change.op is Op.DELETE:
            assert change.before is not None
            self._delete(table, _key(change.before, width), change.before, when, cascades=change.cascades)
            return
        after = change.after
        # Topics of several tables have no common order: the parent of this row may be deleted already.
        if self.is_unordered and after is not None:
            after = self._after_parents(table.spec, _key(after, width), after, when.lsn)
            if after is None:
                return
        assert after is not None
        key = old_key = _key(after, width)
        # An image that is not whole may hold the new key in part: what it lacks is as it was.
        if change.op is Op.UPDATE and change.before is not None:
            old_key = _key(change.before, width)
            key = tuple(o if isinstance(n, Absent) else n for n, o in zip(key, old_key, strict=True))
        # First the cheap look at memory: almost every log has whole images and no unread rows.
        if (change.image or self.unread.any) and self._is_to_be_read(table, key, old_key, change, when):
            return
        if key != old_key:  # delete + insert; InnoDB cascades ON UPDATE, never ON DELETE, for a moved key
            held = table.get(old_key)
            self._delete(table, old_key, change.before, when, cascades=False)
            self._write(table, key, after, when, before=change.before, merged_from=held)
            return
        self._write(table, key, after, when, before=change.before)

    def _is_to_be_read(
        self, table: TableRows, key: Sequence[Value], old_key: Sequence[Value], change: Change, when: When
    ) -> bool:
        """Whether an INSERT or UPDATE ends here: its row has to be read first, or is not kept."""
        name, unread = table.spec.name, self.unread
        # The whole row is here, so nothing has to be read any more.
        if change.image is Image.WHOLE:
            unread.drop(name, key, when.lsn)
            return False
        # Noted in the state as well: a restart must not trust before-images that hold only keys.
        if not self.has_partial_images:
            self.has_partial_images = self._store.meta.has_partial_images = True
        held = table.get(key)
        # The row is newer than the change, or deleted since: reading it would bring nothing.
        if when.is_in(held) or (held is None and self._buried(name, key, when)):
            return False
        is_unread = unread.holds(name, old_key) or unread.holds(name, key)
        # The key moved, and the row is still held under its old key.
        if held is None:
            held = table.get(old_key)
        # The image and the row held make the whole row together.
        if held is not None and not is_unread and change.image is Image.PARTIAL:
            return False
        # A row of another type or store (an attribute nobody maps): reading each of those would load the shop
        # for nothing.
        if held is None and not is_unread and self._is_rejected(table.spec, change):
            return True
        # Whatever the read brings, the row is not under its old key any more.
        if key != old_key:
            self._delete(table, old_key, change.before, when, cascades=False)
        unread.add(UnreadRow(name, tuple(key), when.lsn, when.commit_ms))
        return True

    def _is_rejected(self, spec: TableSpec, change: Change) -> bool:
        """Whether a row that the replica does not have is certainly not to be kept, by its image.

        ``TableSpec.kept_by`` are all columns that ``Mapper.keep`` reads. If the image has all of them, ``keep``
        decides. If the image shows that none of them changed, and the replica holds every row to keep, the row was not
        kept before and is not to be kept now.
        """
        row = _row_of(spec, change.after) or {}
        known = spec.kept_by.intersection(row)
        # Without named columns any column may decide, so nothing is sure.
        if not spec.kept_by or spec.keys_only:
            return False
        # The image holds all that decides.
        if known == spec.kept_by:
            return not self._mapper.keep(spec.name, row, self._rows)
        is_unchanged = not known and change.image is Image.PARTIAL
        return is_unchanged and not self._may_bring_rows and self.unread.can_read

    def take_read(self, row: UnreadRow, cells: Cells | None, lsn: int) -> None:
        """Take a row that had to be read; None if the server does not have it. It contains everything before ``lsn``.

        Nothing happens if the log has changed the row since: then the row is read again, or is whole by now.
        """
        # The log has spoken of the row after the read began.
        if not self.unread.is_current(row):
            return
        table, when = self._rows.tables[row.table], When(lsn, False, row.commit_ms)
        settled = self._after_parents(table.spec, row.key, cells, lsn) if cells is not None else None
        if settled is None:
            # Deleted, or its parent was: the replica must not keep it.
            self._gone(table, row.key, when)
        self.unread.drop(row.table, row.key, row.lsn)
        if settled is not None:
            self._write(table, row.key, settled, when)

    def _gone(self, table: TableRows, key: Sequence[Value], when: When) -> None:
        """A row that was read does not exist. Its children depend on how it was deleted, so they are read too."""
        # Not held, or held in a newer version: nothing to take away.
        held = table.get(key)
        if held is None or when.is_in(held):
            return
        row = table.as_row(held)
        for foreign in self._cascades.of_parent.get(table.spec.name, ()):
            # Whether they were deleted or set NULL depends on how the parent went, which the log has not said
            # yet.
            children = self._rows.tables[foreign.child]
            for stored in children.find(foreign.child_column, row.get(foreign.parent_column)):
                self.unread.add(UnreadRow(foreign.child, children.key_of(stored), when.lsn, when.commit_ms))
        self._delete(table, key, None, when, cascades=False)

    def reread(self) -> None:
        """A transaction was undone: read the values kept in memory again."""
        self.take_affected()
        self.has_partial_images = self._store.meta.has_partial_images

    @property
    def _may_bring_rows(self) -> bool:
        """Whether a read may still bring rows that are older than the log, or newer.

        Then deletions leave tombstones, and a change that the row already contains still affects objects.
        """
        return not self._load.is_complete

    @property
    def _remembers(self) -> bool:
        """Whether deletions leave tombstones: rows may arrive that were read before the deletion."""
        return not self._load.is_complete or self.is_unordered or self.unread.any

    def _write(
        self,
        table: TableRows,
        key: Sequence[Value],
        cells: Cells,
        when: When,
        *,
        before: Cells | None = None,
        merged_from: Stored | None = None,
        known: Stored | None = NOT_GIVEN,
    ) -> None:
        """``known``: the row held, if it was read already."""
        held = table.get(key) if known is NOT_GIVEN else known
        spec = table.spec
        # Never write an older state over a newer one, and never bring back what was deleted later.
        if when.is_in(held) or (held is None and self._buried(spec.name, key, when)):
            self._note_skipped(table, (before, cells), held, when)
            return
        row = self._new_row(table, key, cells, held if held is not None else merged_from)
        old = table.row(key) if held is not None else _row_of(spec, before)
        # The mapper does not want rows of this kind, or not any more.
        if not spec.keys_only and not self._mapper.keep(spec.name, row, self._rows):
            if held is not None:
                self._delete(table, key, None, when, cascades=False)
            return
        values = tuple(map(row.get, table.columns))
        # Nothing changed in the mapped columns, so no object needs to be rendered.
        if held is not None and values == held[:-1]:
            if self._load.is_topic_read_again:  # note the row as met: a row that the topic does not bring is gone
                table.put(values, when.row_lsn)
            if before != cells:  # a read brought what this change did
                self._note_skipped(table, (before, cells), held, when)
            return
        table.put(values, when.row_lsn, held, None if spec.transient else row)
        # Labels and names were built from reference rows.
        if spec.reference:
            self._rows.forget_references()
        # Tables kept for keys only bear no object.
        if self._notes and not spec.keys_only:
            now = table.as_row(values) if spec.transient else row
            self.affected_objects.add(self._mapper.affected(spec.name, old, now, self._rows), when.commit_ms)
            self._note_before(table, before, held, values, when)

    def _note_skipped(self, table: TableRows, images: Sequence[Cells | None], held: Stored | None, when: When) -> None:
        """The replica already contains the change: it is a replay, or a read was ahead of the log.

        The affected objects still have to be compared with what was sent: the read may have been made for another
        object.
        """
        # Outside a load and a replay every change is applied once, so a row that is ahead can only be a repeat.
        if not (when.replayed or self._may_bring_rows) or table.spec.keys_only or not self._notes:
            return
        now = table.as_row(held) if held is not None else None
        for image in images:
            if image is not None:
                affected = self._mapper.affected(table.spec.name, _row_of(table.spec, image), now, self._rows)
                self.affected_objects.add(affected, when.commit_ms)

    def _note_before(
        self, table: TableRows, before: Cells | None, held: Stored | None, after: Sequence[Value] | None, when: When
    ) -> None:
        """The replica's row was ahead of the log. Only the log shows which objects the row affected before
        the change.
        """
        # When the load is complete, before-image and row held are the same.
        if not self._may_bring_rows or held is None or before is None:
            return
        row, image = table.as_row(held), _row_of(table.spec, before) or {}
        # A difference means that a read was ahead of the log: the objects of the old values are known to the
        # log alone.
        if any(row.get(column, value) != value for column, value in image.items()):
            now = table.as_row(tuple(after)) if after is not None else None
            self.affected_objects.add(self._mapper.affected(table.spec.name, image, now, self._rows), when.commit_ms)

    def _new_row(self, table: TableRows, key: Sequence[Value], cells: Cells, held: Stored | None) -> dict[str, Value]:
        """The new row: the image's cells laid over the replica's row, derived columns computed again."""
        spec = table.spec
        row: dict[str, Value]
        if ABSENT in cells:
            row = dict(table.as_row(held)) if held is not None else {}
            cells_given = zip(spec.columns, cells, strict=True)
            row.update({column: cell for column, cell in cells_given if cell is not ABSENT})  # type: ignore[misc]
            row.update(zip(spec.key, key, strict=True))  # the image may leave even its key to the before-image
        else:  # nearly every image
            row = dict(zip(spec.columns, cells, strict=True))  # type: ignore[arg-type]  # no cell is ABSENT
        if spec.name in self._derived:
            made = self._mapper.derive(spec.name, row)
            # Columns that derived ones are made of are missing: what was derived before stays.
            if not made and held is not None:
                made = {column: value for column, value in table.as_row(held).items() if column in spec.derived}
            row.update(made)
        return row

    def _delete(
        self, table: TableRows, key: Sequence[Value], before: Cells | None, when: When, *, cascades: bool
    ) -> None:
        spec = table.spec
        held = table.get(key)
        # What is held is newer than this deletion: the row came again.
        if when.is_in(held):
            self._note_skipped(table, (before,), held, when)
            if cascades:  # the row came anew since; children that this pass or an older read brought did not
                self._cascade(spec, key, _row_of(spec, before), when)
            return
        self.unread.drop(spec.name, key, when.lsn)
        # A chunk that was read before this deletion may still arrive, and must not bring the row back.
        if self._remembers:
            self.tombstones.add(spec.name, key, when.lsn, cascades=cascades)
        old = table.row(key) if held is not None else _row_of(spec, before)
        if held is not None:
            table.delete(key, held)
            if spec.reference:
                self._rows.forget_references()
        elif table.listener is not None:
            # Nothing held: a relay must still tell its followers, who may hold the row.
            table.listener.delete(spec, key, None)
        if old is not None and not spec.keys_only and self._notes:
            self.affected_objects.add(self._mapper.affected(spec.name, old, None, self._rows), when.commit_ms)
            self._note_before(table, before, held, None, when)
        if cascades:
            self._cascade(spec, key, old, when)

    def _cascade(self, spec: TableSpec, key: Sequence[Value], old: Row | None, when: When) -> None:
        """Do what the server did to the children below the binlog, recursively (InnoDB goes 15 levels deep)."""
        for foreign in self._cascades.of_parent.get(spec.name, ()):
            # The before-image may lack the parent's column; if it is a part of the key, the key has it.
            value = old.get(foreign.parent_column) if old is not None else None
            if value is None and foreign.parent_column in spec.key:
                value = key[spec.key.index(foreign.parent_column)]
            if value is None:
                continue
            children = self._rows.tables[foreign.child]
            for stored in children.find(foreign.child_column, value):
                child = children.key_of(stored)
                if self.unread.holds(foreign.child, child):  # its parent may be another by now: reading it tells
                    self.unread.add(UnreadRow(foreign.child, child, when.lsn, when.commit_ms))
                elif foreign.rule is DeleteRule.CASCADE:
                    # Recursive: the children's children go as well.
                    self._delete(children, child, None, when, cascades=True)
                else:
                    self._set_null(children, stored, foreign.child_column, when)

    def _set_null(self, table: TableRows, stored: Stored, column: str, when: When) -> None:
        cells: list[object] = [ABSENT] * len(table.spec.columns)
        # The key stays, so that the row is found; all other columns are as they were.
        for at, name in enumerate(table.spec.columns):
            if name in table.spec.key:
                cells[at] = stored[table.columns.index(name)]
        cells[table.spec.columns.index(column)] = None
        self._write(table, table.key_of(stored), tuple(cells), when)  # type: ignore[arg-type]  # cells by construction

    # ------------------------------------------------------------------------------------ chunks and tombstones

    def load(self, table: str, rows: Iterable[Cells], lsn: int, commit_ms: int = 0) -> int:
        """Write rows read from the server, which certainly contain everything before ``lsn``. Returns how many.

        No object is noted as affected: the caller decides what is rendered, and when.
        """
        target = self._rows.tables[table]
        when = When(lsn, False, commit_ms)
        chunk = [(_key(cells, target.key_width), cells) for cells in rows]
        found = target.get_many([key for key, _ in chunk])
        self._notes = False
        try:
            with self._rows.gathering():
                for key, cells in chunk:
                    held = found.get(key)
                    # A row of the log that is newer than the chunk wins.
                    if held is None or held[-1] < lsn:
                        settled = self._after_parents(target.spec, key, cells, lsn)
                        if settled is not None:
                            self._write(target, key, settled, when, known=held)
        finally:
            self._notes = True
        return len(chunk)

    def _after_parents(self, spec: TableSpec, key: Sequence[Value], cells: Cells, lsn: int) -> Cells | None:
        # Nothing older can arrive, so no parent's deletion has to be remembered.
        if not self._remembers:
            return cells
        return self.tombstones.after_parents(spec, key, cells, lsn, self._cascades.of_child.get(spec.name, ()))

    def _buried(self, table: str, key: Sequence[Value], when: When) -> bool:
        """Whether the row was deleted after this image."""
        if not self._remembers:
            return False
        return max(self.tombstones.last(table, key)[0], self.tombstones.last(table, WHOLE_TABLE)[0]) > when.lsn


def _key(cells: Cells, width: int) -> tuple[Value, ...]:
    return cells[:width]  # type: ignore[return-value]  # key columns come first and are always in the image


def _row_of(spec: TableSpec, cells: Cells | None) -> Row | None:
    if cells is None:
        return None
    if ABSENT in cells:
        return {c: v for c, v in zip(spec.columns, cells, strict=True) if v is not ABSENT}  # type: ignore[misc]
    return dict(zip(spec.columns, cells, strict=True))  # type: ignore[arg-type]  # no cell is ABSENT
