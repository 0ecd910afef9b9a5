"""Which values of a rendered object are sent, by what it ever had: an empty value is sent only to clear a value.

The ledger's bitmap has a bit for each property that ever held a value, and one for contacts that only carts make.
"""

from __future__ import annotations

from typing import Final

from cdc.messages.property_bits import PropertyBits
from cdc.model import Rendered
from cdc.protocols import Mapper
from cdc.settings.mapping_switches import CARTS_OF_CONTACTS

OF_CARTS_ONLY: Final = "(made by carts alone)"
"""Stands among the names of properties, and is none: the contact ends with its carts."""


class EverSet:
    """Reads and sets the bits. ``mapper``: says whether carts are sent."""

    def __init__(self, bits: PropertyBits, mapper: Mapper) -> None:
        self._bits = bits
        self._has_carts = mapper.cart_rules is not None
        self.reread()

    def reread(self) -> None:
        """A transaction was undone: look for the bits again."""
        # Without a bit no contact ever had the property.
        self._dropped = {} if self._has_carts else self._bits.held(CARTS_OF_CONTACTS)

    def settle(self, made: Rendered, ever: int) -> tuple[dict[str, str], int]:
        """The values to send, and the bitmap from now on."""
        properties = {name: value for name, value in made.properties.items() if value}
        filled = self._bits.masks(properties)
        # A value that was set once must be sent empty, or the receiver would keep it for ever.
        if ever & ~filled:
            mask = self._bits.mask
            properties |= {name: "" for name, value in made.properties.items() if not value and ever & mask(name)}
        ever |= filled
        # Carts were switched off: nothing is rendered any more that would clear these.
        for name, bit in self._dropped.items():
            if ever & bit and name not in properties:
                properties[name] = ""
        if made.is_of_carts:
            ever |= self._bits.mask(OF_CARTS_ONLY)
        else:
            ever &= ~self._bits.held_mask(OF_CARTS_ONLY)
        return properties, ever

    def is_of_carts(self, ever: int) -> bool:
        """Whether only carts made the contact."""
        return bool(ever & self._bits.held_mask(OF_CARTS_ONLY))
