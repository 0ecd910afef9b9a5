"""Values that must not be sent as they are (``[mapping.privacy]``): left out, cut, or replaced by a keyed hash.

Pure. It is applied to every object last, by the property's neutral name, whatever its source. A property that is left
out becomes empty: a value that was sent before is cleared; if none was, nothing is sent.
"""

from __future__ import annotations

import difflib
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cdc.errors import ConfigError
from cdc.model import ObjectType
from cdc.settings.mapping_columns import PropertyType
from cdc.settings.mapping_rules import Privacy as Asked
from cdc.settings.mapping_rules import Treatment
from mappers.sources import Source

_AS_TEXT: Final = (PropertyType.TEXT, PropertyType.DATE)
"""Types that HubSpot stores as text: a cut date may be a year. A hash in place of a number would make its
message fail.
"""

_ESSENTIAL: Final = {(ObjectType.DEAL, "stage")}
_ONLY_WHOLE: Final = {(ObjectType.CONTACT, "email")}


class Privacy:
    """The treatments in the settings. ConfigError for a property that does not exist, or that HubSpot would
    then refuse.
    """

    def __init__(self, asked: Asked, known: Iterable[Source]) -> None:
        types = {(source.object_type, source.name): source.type for source in known}
        self._key: Final = asked.key.get_secret_value().encode()
        self._treatments: Final[dict[ObjectType, Mapping[str, Treatment]]] = {
            ObjectType.CONTACT: asked.contact,
            ObjectType.PRODUCT: asked.product,
            ObjectType.DEAL: asked.deal,
            ObjectType.LINE_ITEM: asked.line_item,
            # What must not be seen on a deal must not be seen on the cart that it began with.
            ObjectType.CART: asked.deal,
        }
        # All faults at once, so that one run names them all.
        if faults := list(self._faults(types)):
            raise ConfigError(faults)

    def of(self, object_type: ObjectType, properties: Mapping[str, str]) -> Mapping[str, str]:
        """The properties as they may leave the shop."""
        treatments = self._treatments[object_type]
        # Nothing is asked for this type, so the mapping is not copied.
        if not treatments:
            return properties
        return {name: self._treated(value, treatments.get(name)) for name, value in properties.items()}

    def treatment(self, object_type: ObjectType, name: str) -> str:
        """The treatment of a property, in words; "" for none."""
        match self._treatments[object_type].get(name):
            case None:
                return ""
            case "leave_out":
                return "left out"
            case "hash":
                return "hashed"
            case length:
                return f"first {length} characters"

    def fingerprint(self) -> str:
        """A text that changes with the key, so that another key renders everything again; it does not
        reveal the key.
        """
        return self._hashed("magento-cdc: which key this is") if self._key else ""

    def _treated(self, value: str, treatment: Treatment | None) -> str:
        # An empty value says nothing, and its hash would look like one.
        if treatment is None or not value:
            return value
        # Empty: what was sent before is cleared in HubSpot.
        if treatment == "leave_out":
            return ""
        return self._hashed(value) if treatment == "hash" else value[: int(treatment)].rstrip()

    def _hashed(self, value: str) -> str:
        return hmac.new(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def _faults(self, types: Mapping[tuple[ObjectType, str], PropertyType]) -> Iterator[str]:
        for object_type, treatments in self._treatments.items():
            # These are a deal's, and many name no property of a cart.
            if object_type is ObjectType.CART:
                continue
            for name, treatment in treatments.items():
                where = f"mapping.privacy.{object_type.lower()}.{name}"
                kind = types.get((object_type, name))
                # A misspelt property would be sent as it is, which is what the merchant wanted to prevent.
                if kind is None:
                    names = [known for of_type, known in types if of_type is object_type]
                    close = difflib.get_close_matches(name, names, n=1)
                    yield f"{where}: there is no such property" + (f"; did you mean {close[0]}?" if close else "")
                elif (object_type, name) in _ESSENTIAL:
                    # HubSpot requires a stage.
                    yield f"{where}: a deal cannot be without its stage"
                elif treatment != "leave_out" and ((object_type, name) in _ONLY_WHOLE or kind not in _AS_TEXT):
                    # HubSpot checks the form of these values.
                    yield f"{where}: HubSpot would refuse a hashed or cut value; leave the property out instead"
