"""Accounts, addresses, the newsletter, stored contact forms."""

from __future__ import annotations

from tests.kit.events.stage import Scene, World


def _registers(world: World) -> None:
    world.customers["newcomer"] = world.shop.register(newsletter=True)


def _registers_bare(world: World) -> None:
    world.customers["bare"] = world.shop.register(with_address=False, store=3)


def _same_email(world: World) -> None:
    """The same person registers on the other website: another account with the same email."""
    shop = world.shop
    account = shop.db.get("customer_entity", entity_id=world.customers["newcomer"])
    person = type(shop.person())(**{**vars(shop.person()), "email": account["email"]})
    world.customers["newcomer at the outlet"] = shop.register(person, store=3)


def _profile(world: World) -> None:
    world.shop.edit_customer(
        world.customers["newcomer"], group_id=2, dob="1980-02-29", gender=2, lastname="Newname-Oldname"
    )


def _attribute(world: World) -> None:
    world.shop.set_loyalty_tier(world.customers["newcomer"], world.shop.option("loyalty_tier", "Gold"))


def _attribute_emptied(world: World) -> None:
    world.shop.set_loyalty_tier(world.customers["newcomer"], None)


def _new_address(world: World) -> None:
    world.shop.add_address(world.customers["bare"], default=True)


def _other_address(world: World) -> None:
    world.shop.add_address(world.customers["bare"])


def _default(world: World) -> int:
    account = world.shop.db.get("customer_entity", entity_id=world.customers["bare"])
    return int(account["default_billing"])


def _edited_address(world: World) -> None:
    world.shop.edit_customer_address(
        _default(world), telephone="+00 555 0142", street="1 Quay\nFloor 2", company="Sons"
    )


def _address_gone(world: World) -> None:
    world.shop.delete_customer_address(_default(world))


def _zone(world: World) -> None:
    """A custom attribute of the default billing address: a row of a table of its own."""
    address = world.shop.add_address(world.customers["bare"], default=True)
    world.shop.set_delivery_zone(address, world.shop.option("delivery_zone", "Island"))


def _zone_renamed(world: World) -> None:
    world.shop.rename_option("delivery_zone", "Island", "Islands")


def _zone_emptied(world: World) -> None:
    world.shop.set_delivery_zone(_default(world), None)


def _zone_of_another(world: World) -> None:
    """An address that has a zone already becomes the default one: no value is written."""
    shop, who = world.shop, world.customers["bare"]
    address = shop.add_address(who)
    shop.set_delivery_zone(address, shop.option("delivery_zone", "Mainland"))
    shop.edit_customer(who, default_billing=address)


def _new_email(world: World) -> None:
    """Every order that carries the old email is saved, one by one: a matter of one contact."""
    world.shop.change_email(world.customers["regular"], "regular.shopper@example.com")


def _password(world: World) -> None:
    world.shop.change_password(world.customers["regular"])


def _reader(world: World) -> None:
    world.shop.subscribe("reader@example.com")


def _subscribes(world: World) -> None:
    world.shop.subscribe(
        world.shop.db.get("customer_entity", entity_id=world.customers["collector"])["email"],
        customer=world.customers["collector"],
    )


def _unsubscribes(world: World) -> None:
    world.shop.unsubscribe("regular.shopper@example.com")


def _reader_registers(world: World) -> None:
    """A row that was a guest's is adopted by the account with its email."""
    shop = world.shop
    person = type(shop.person())(**{**vars(shop.person()), "email": "reader@example.com"})
    world.customers["reader"] = shop.register(person)


def _all_unconfirmed(world: World) -> None:
    """One statement over all of the newsletter's rows: one event in the log."""
    with world.shop.db.transaction():
        world.shop.db.execute(f"UPDATE {world.shop.db.table('newsletter_subscriber')} SET subscriber_status = 4")


def _deleted(world: World) -> None:
    world.shop.delete_customer(world.customers["newcomer at the outlet"])


def _deleted_with_order(world: World) -> None:
    """The orders lose their customer silently, and with it the contact."""
    world.shop.delete_customer(world.customers["by phone"])


def _group_renamed(world: World) -> None:
    with world.shop.db.transaction():
        world.shop.db.update("customer_group", {"customer_group_id": 2}, customer_group_code="Trade")


def _message(world: World, email: str, text: str, customer: int | None = None) -> int:
    with world.shop.db.transaction():
        return world.shop.db.insert(
            "vb_contact_us_history", contact_name="Pat", email=email, message=text, customer_id=customer
        )


def _form_stranger(world: World) -> None:
    world.documents["note"] = _message(world, "asks@example.com", "Do you ship to the moon?")


def _form_customer(world: World) -> None:
    _message(world, "whoever@example.com", "Where is my parcel?", world.customers["regular"])


def _form_answered(world: World) -> None:
    """The row is written again when somebody answers: nothing that is mapped changes."""
    with world.shop.db.transaction():
        world.shop.db.update("vb_contact_us_history", {"note_id": world.documents["note"]}, phone="+00 555 0100")


def _form_deleted(world: World) -> None:
    with world.shop.db.transaction():
        world.shop.db.delete("vb_contact_us_history", note_id=world.documents["note"])


PEOPLE: tuple[Scene, ...] = (
    ("customer-registers", _registers),
    ("customer-registers-bare", _registers_bare),
    ("customer-same-email", _same_email),
    ("customer-profile", _profile),
    ("customer-attribute", _attribute),
    ("customer-attribute-emptied", _attribute_emptied),
    ("customer-address-default", _new_address),
    ("customer-address-other", _other_address),
    ("customer-address-edited", _edited_address),
    ("customer-address-deleted", _address_gone),
    ("customer-email", _new_email),
    ("customer-password", _password),
    ("customer-newsletter-guest", _reader),
    ("customer-newsletter", _subscribes),
    ("customer-newsletter-ends", _unsubscribes),
    ("customer-newsletter-adopted", _reader_registers),
    ("customer-newsletter-many", _all_unconfirmed),
    ("customer-group-renamed", _group_renamed),
    ("customer-deleted", _deleted),
    ("customer-deleted-with-order", _deleted_with_order),
    ("form-stranger", _form_stranger),
    ("form-customer", _form_customer),
    ("form-answered", _form_answered),
    ("form-deleted", _form_deleted),
)

ADDRESSES: tuple[Scene, ...] = (
    ("customer-address-attribute", _zone),
    ("customer-address-attribute-renamed", _zone_renamed),
    ("customer-address-attribute-emptied", _zone_emptied),
    ("customer-address-attribute-of-another", _zone_of_another),
    ("customer-address-attribute-deleted", _address_gone),  # its values go with it silently
)
