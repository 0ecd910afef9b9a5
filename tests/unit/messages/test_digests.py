"""Digests of messages, and the bits of their properties."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.messages.digests import body_of, message_digest
from cdc.messages.property_bits import KEPT, PropertyBits
from cdc.state.store import Store

_PROPERTIES = st.dictionaries(st.sampled_from(["email", "name", "city", "phone"]), st.sampled_from(["", "a", "b"]))


@given(_PROPERTIES, st.sampled_from(["", "email"]), st.sampled_from([b"", b"mark"]))
def test_a_digest_is_the_same_with_and_without_the_body_at_hand(
    properties: dict[str, str], email_name: str, email: bytes
) -> None:
    """The body spares writing the properties once more; it changes no digest, nor do empty properties."""
    made = message_digest(properties, "[]", email_name, email, body_of(properties))

    filled = {name: value for name, value in properties.items() if value}
    assert made == message_digest(properties, "[]", email_name, email)
    assert made == message_digest(filled, "[]", email_name, email)


@given(_PROPERTIES, _PROPERTIES)
def test_messages_with_other_values_have_other_digests(one: dict[str, str], two: dict[str, str]) -> None:
    """Two digests are equal only where all values are."""
    filled = [{name: value for name, value in properties.items() if value} for properties in (one, two)]
    digests = [message_digest(properties, "[]", "", b"", body_of(properties)) for properties in (one, two)]

    assert (digests[0] == digests[1]) == (filled[0] == filled[1])


def test_bits_of_an_undone_transaction_are_forgotten(tmp_path: Path) -> None:
    """A bit that was given in an undone transaction is given anew, or two names would share it."""
    store = Store(tmp_path, ())
    bits = PropertyBits(store)
    with store.transaction():
        assert bits.masks(["name"]) == 1

    def undo() -> None:
        with store.transaction():
            assert bits.masks(["name", "undone"]) == 0b11
            raise LookupError

    with pytest.raises(LookupError):
        undo()
    bits.reread()
    with store.transaction():
        assert bits.masks(["city", "name"]) == 0b11
        assert bits.masks(["name", "undone"]) == 0b101
    assert bits.names(0b111) == ("name", "city", "undone")
    store.close()


def test_many_sets_of_properties_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Remembered sets are bounded, and each set has the bits of its names."""
    store = Store(tmp_path, ())
    bits = PropertyBits(store)
    names = [f"p{number}" for number in range(12)]
    with store.transaction():
        for number in range(2 * KEPT):
            chosen = [name for at, name in enumerate(names) if number >> at & 1]
            assert set(bits.names(bits.masks(chosen))) == set(chosen)
            assert len(bits._masks) <= KEPT
    store.close()
