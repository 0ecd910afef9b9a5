"""All kinds of objects: the one list of descriptors. Parents of tables come before their children."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.model import Kind
from mappers.objects import cart, cart_item, cart_object, customer, guest, line_item, order, product
from mappers.objects.descriptor import ObjectDescriptor

DESCRIPTORS: Final[Mapping[Kind, ObjectDescriptor]] = {
    descriptor.kind: descriptor
    for descriptor in (
        customer.DESCRIPTOR,
        guest.DESCRIPTOR,
        product.DESCRIPTOR,
        order.DESCRIPTOR,
        line_item.DESCRIPTOR,
        cart.DESCRIPTOR,
        cart_object.DESCRIPTOR,
        cart_item.DESCRIPTOR,
    )
}
