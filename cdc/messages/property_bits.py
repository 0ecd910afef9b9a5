"""Bit numbers of property names, for the ledger's bitmaps of properties that ever held a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cdc.state.store import Store

KEPT: Final = 1000
"""Sets of names whose bits are remembered: objects of one kind mostly have values in the same properties."""


class PropertyBits:
    """The state's table ``property_bit``. A name gets its bit at its first use and keeps it for ever."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bits: dict[str, int] = {}
        self._masks: dict[tuple[str, ...], int] = {}
        self.reread()

    def reread(self) -> None:
        """A transaction was undone: forget its bits."""
        self._masks.clear()
        self._bits = {name: bit for bit, name in self._store.db.execute("SELECT bit, name FROM property_bit")}

    def mask(self, name: str) -> int:
        """The property's bit as a mask."""
        held = self._bits.get(name)
        # A bit is never given again: old bitmaps of the ledger would change their meaning.
        if held is None:
            held = len(self._bits)
            self._store.db.execute("INSERT INTO property_bit (bit, name) VALUES (?, ?)", (held, name))
            self._bits[name] = held
        return 1 << held

    def masks(self, names: Iterable[str]) -> int:
        """The bits of all these properties."""
        key = tuple(names)
        known = self._masks.get(key)
        if known is not None:
            return known
        bits = 0
        for name in key:
            bits |= self.mask(name)
        # The merchant's own properties may be filled in any combination.
        if len(self._masks) >= KEPT:
            self._masks.clear()
        self._masks[key] = bits
        return bits

    def held(self, names: Iterable[str]) -> dict[str, int]:
        """The masks of those of these properties that have a bit already."""
        return {name: 1 << self._bits[name] for name in names if name in self._bits}

    def held_mask(self, name: str) -> int:
        """The property's bit as a mask; 0 if it has none yet."""
        held = self._bits.get(name)
        return 0 if held is None else 1 << held

    def names(self, bits: int) -> tuple[str, ...]:
        """The properties of this bitmap."""
        return tuple(name for name, bit in self._bits.items() if bits >> bit & 1)


def pack(bits: int) -> bytes:
    """A bitmap as bytes."""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def unpack(packed: bytes) -> int:
    """A bitmap from the bytes that ``pack`` made."""
    return int.from_bytes(packed, "little")
