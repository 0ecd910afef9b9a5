"""The settings of the mapping: the forms that are taken, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import ConfigError
from cdc.model import ObjectType
from cdc.settings.config import load
from cdc.settings.json_path import parse_path
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import AttributeProperty, ColumnProperty, PropertyType


def faults(folder: Path, text: str) -> tuple[str, ...]:
    """The faults of a settings file."""
    (folder / "magento-cdc.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(folder / "magento-cdc.toml")
    assert raised.value.exit_code == 2
    return raised.value.faults


def test_a_column_alone_is_text() -> None:
    """The short form is a column's name."""
    made = MappingSettings.model_validate({"deal": {"properties": {"note": "customer_note"}}}).deal.properties["note"]

    assert made == ColumnProperty(column="customer_note")
    assert made.type is PropertyType.TEXT


def test_properties_of_ones_own_are_listed_for_the_receiver() -> None:
    """Each with its HubSpot name and type."""
    settings = MappingSettings.model_validate(
        {"deal": {"properties": {"a": "x", "b": {"column": "y", "type": "money", "target": "shop_b"}}}}
    )

    assert settings.custom_properties()[ObjectType.DEAL] == {
        "a": ("", PropertyType.TEXT),
        "b": ("shop_b", PropertyType.MONEY),
    }


SECRETS = [
    ("deal", "remote_ip"), ("deal", "protect_code"), ("deal", "x_forwarded_for"), ("deal", "Protect_Code"),
    ("contact", "password_hash"), ("contact", "rp_token"), ("contact", "rp_token_created_at"),
    ("contact", "confirmation"), ("contact", "failures_num"), ("contact", "first_failure"),
    ("contact", "lock_expires"), ("contact", "session_cutoff"), ("deal", "cc_last_4"), ("line_item", "echeck_type"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "column"), SECRETS)
def test_what_must_stay_in_the_shop_is_refused_by_name(tmp_path: Path, section: str, column: str) -> None:
    """Secrets, card data and computers' addresses can be mapped by no one."""
    [fault] = faults(tmp_path, f"[mapping.{section}.properties]\nx = {{ column = '{column}' }}\n")

    assert fault.startswith(f"mapping.{section}.properties: x: column ")
    assert f".{column} must not leave the shop" in fault


def test_personal_data_may_be_mapped_on_purpose() -> None:
    """What is only sent when mapped can be mapped."""
    MappingSettings.model_validate({"contact": {"properties": {"gender": "gender", "vat": "taxvat"}}})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("note = { colum = 'x' }", "did you mean column?"),
        ("note = { column = 'x', jsn = '$.a' }", "did you mean json?"),
        ("note = { column = 'x', type = 'tekst' }", "type = 'tekst'"),
        ("note = { column = 'x; DROP' }", "is no name of a table or column"),
        ("note = 'guest_id'", "the replica needs this name"),
        ("note = { column = 'x', json = 'a.b' }", "is no path into JSON"),
        ("note = { column = 'x', format = '%d' }", 'type = "date"'),
        ("note = { column = 'x', type = 'date', format = '%d/%m' }", "must name year, month and day"),
        ("note = { column = 'x', target = 'My Note' }", "a HubSpot property's name"),
        ("hs_assoc__deal_id = 'x'", "hs_assoc__ is the bridge's own"),
        ("'my note' = 'x'", "a property's name"),
        ("note = 7", "must be a table"),
        ("note = { column = 'x', lookup = { table = 't', key = 'id', label = '{ }' } }", "label names no column"),
        ("note = { column = 'x', lookup = { table = 't', key = 'id', label = '{api_key}' } }", "must not leave"),
        ("note = { column = 'x', lookup = { table = 'admin_user', key = 'id', label = 'x' } }", "holds secrets"),
        (
            "note = { column = 'x', type = 'date', lookup = { table = 't', key = 'id', label = 'x' } }",
            "lookup makes a text",
        ),
    ],
)
def test_a_wrong_property_is_told_with_its_name(tmp_path: Path, setting: str, said: str) -> None:
    """Each fault names the setting and what is wrong."""
    [fault, *_] = sorted(faults(tmp_path, f"[mapping.deal.properties]\n{setting}\n"), key=lambda line: said not in line)

    assert fault.startswith("mapping.deal.properties.")
    assert said in fault


@pytest.mark.parametrize("text", ["", "$", "a", "$.", "$a", "$.a[", "$.a[x]", "$.a..b", "$[-1]", "$.a b", "$[*]"])
def test_a_path_is_a_dollar_and_steps(text: str) -> None:
    """Nothing of JSONPath beyond members and places."""
    with pytest.raises(ValueError, match="is no path into JSON"):
        parse_path(text)


EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "deploy" / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    """Each file of deploy/examples can be taken into a settings file as it stands, and maps something."""
    assert load(path).mapping != MappingSettings()


def test_an_attribute_alone_is_read_as_its_definition_says() -> None:
    """The short form is an attribute's code; no type means the attribute's own."""
    settings = MappingSettings.model_validate({"product": {"attributes": {"brand": "manufacturer"}}})

    assert settings.product.attributes["brand"] == AttributeProperty(code="manufacturer")
    assert settings.custom_properties()[ObjectType.PRODUCT] == {"brand": ("", PropertyType.TEXT)}


@pytest.mark.parametrize(
    ("section", "text", "said"),
    [
        ("customer.attributes", "x = 'rp_token'", "must not leave the shop"),
        ("customer.address_attributes", "x = 'ip_address'", "must not leave the shop"),
        ("contact.billing_address", "x = 'remote_ip'", "must not leave the shop"),
        ("product.attributes", "x = 'no code!'", "is no attribute code"),
        ("product.attributes", "x = { cod = 'color' }", "did you mean code?"),
        ("deal.properties", "x = { column = 'y', type = 'option' }", "is for attributes"),
        ("deal.attributes", "x = 'y'", "there is no such setting"),
    ],
)
def test_a_wrong_attribute_is_told_with_its_name(tmp_path: Path, section: str, text: str, said: str) -> None:
    """Each fault names the setting and what is wrong."""
    found = faults(tmp_path, f"[mapping.{section}]\n{text}\n")

    assert any(fault.startswith(f"mapping.{section}") and said in fault for fault in found), found


def test_a_property_has_one_source(tmp_path: Path) -> None:
    """A column and an attribute of one name would be decided by chance."""
    text = "[mapping.contact.properties]\nx = 'taxvat'\n[mapping.customer.attributes]\nx = 'tier'\n"

    [fault] = faults(tmp_path, text)
    assert "property x of a CONTACT is made twice: from customer_entity and from attributes of the customer" in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("table = 'vault_payment_token'\nkey = 'customer_id'\nproperties.x = 'details'", "holds secrets"),
        ("table = 'quote'\nkey = 'entity_id'\nproperties.x = 'password_hash'", "must not leave the shop"),
        ("table = 'a table'\nkey = 'order_id'\nproperties.x = 'y'", "is no name of a table or column"),
        ("table = 't'\nkey = 'lsn'\nproperties.x = 'y'", "the replica needs this name"),
        ("table = 't'\nkey = 'order_id'\nproperties = {}", "at least 1"),
        ("table = 't'\nproperties.x = 'y'", "key"),
        ("table = 't'\nkey = 'order_id'\nproperties.delivery = 'y'", "made twice: from sales_order and from t"),
        ("table = 't'\nkey = 'order_id'\nobject = 'line'\nproperties.x = 'y'", "'deal', 'contact' or 'product'"),
    ],
)
def test_a_wrong_satellite_is_told(tmp_path: Path, text: str, said: str) -> None:
    """Secret tables and columns are refused by name, as is a property that something else makes already."""
    found = faults(tmp_path, f"[mapping.deal.properties]\ndelivery = 'x'\n[[mapping.satellites]]\n{text}\n")

    assert any(said in fault for fault in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("table = 'oauth_token'\nemail = 'x'", "holds secrets"),
        ("table = 't'\nemail = 'email'\nproperties.x = 'ip_address'", "must not leave the shop"),
        ("table = 't'\nemail = 'email'\nproperties.email = 'mail'", "made from the form's own key email"),
        ("table = 't'\nemail = { column = 'x', type = 'number' }", "email is a text"),
        ("table = 't'", "email"),
        ("table = 'dates'\nemail = 'x'", "is a satellite and a contact form"),
    ],
)
def test_a_wrong_contact_form_is_told(tmp_path: Path, text: str, said: str) -> None:
    """Secrets are refused by name; a table serves one purpose."""
    satellite = "[[mapping.satellites]]\ntable = 'dates'\nkey = 'order_id'\nproperties.x = 'x'\n"
    found = faults(tmp_path, f"{satellite}[[mapping.contact_forms]]\n{text}\n")

    assert any(said in fault for fault in found), found


def test_a_contact_form_may_add_to_default_properties() -> None:
    """Its names are told to the receiver; one that a column makes as well keeps that column's target."""
    settings = MappingSettings.model_validate(
        {
            "contact": {"properties": {"vat": {"column": "taxvat", "target": "vat_id"}}},
            "contact_forms": [{"table": "t", "email": "mail", "properties": {"firstname": "name", "vat": "vat"}}],
        }
    )

    assert settings.custom_properties()[ObjectType.CONTACT] == {
        "vat": ("vat_id", PropertyType.TEXT),
        "firstname": ("", PropertyType.TEXT),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("websites = { only = ['a'], without = ['b'] }", "keep one"),
        ("product_visibility = { only = ['hidden'] }", "'not_visible'"),
        ("test_orders = [{ column = 'remote_ip', equals = '127.0.0.1' }]", "must not leave the shop"),
        ("test_orders = [{ column = 'status' }]", "a rule needs one of"),
    ],
)
def test_a_wrong_filter_is_told(tmp_path: Path, text: str, said: str) -> None:
    """Each fault names the setting and what is wrong."""
    [fault] = faults(tmp_path, f"[mapping.filter]\n{text}\n")

    assert fault.startswith("mapping.filter.")
    assert said in fault
