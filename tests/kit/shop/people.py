"""Invented shoppers. No name here is anyone's on purpose, and every address of theirs ends in example.com."""

from __future__ import annotations

import random
from dataclasses import dataclass

_FIRST = (
    "Ada", "Bram", "Célia", "Dario", "Elif", "Fenna", "Göran", "Hana", "Ivo", "Jolana", "Kofi", "Łucja", "Milo", "Nour",
    "Oona", "Pavel", "Quirin", "Rosa", "Søren", "Tove", "Ugo", "Vesna", "Wanda", "Xenia", "Yara", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Almond", "Birchwood", "Copperfield", "Dunmore", "Elderberry", "Fjordhaven", "Greengage", "Hazelnut", "Ironbridge",
    "Juniper", "Kettlewell", "Larkspur", "Møllebak", "Nettlecombe", "Oakhanger", "Pebbleton", "Quillfeather",
    "Rookwood", "Saltmarsh", "Thistledown", "Underhill", "Vinterberg", "Wolframstraße", "Yarrow",
)  # fmt: skip
STREETS = ("Lindenweg", "Rue du Moulin", "High Street", "Via delle Rose", "Kanaalkade", "Calle del Río", "Torggatan")
_PLACES = (
    ("Musterstadt", "Hessen", "12345", "DE"), ("Exemploville", "Bretagne", "99000", "FR"),
    ("Sampleton", "Kent", "ZZ1 1ZZ", "GB"), ("Voorbeeldam", "Utrecht", "0000 AA", "NL"),
    ("Testholm", "Skåne", "000 00", "SE"), ("Anytown", "Ohio", "00000", "US"),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Someone who may buy: names, email and one postal address, in Magento's column terms."""

    firstname: str
    lastname: str
    email: str
    company: str | None
    street: str
    city: str
    region: str
    postcode: str
    country_id: str
    telephone: str

    def address(self) -> dict[str, object]:
        """The columns that customer and order addresses have in common."""
        return {
            "firstname": self.firstname, "lastname": self.lastname, "company": self.company, "street": self.street,
            "city": self.city, "region": self.region, "postcode": self.postcode, "country_id": self.country_id,
            "telephone": self.telephone,
        }  # fmt: skip


def invent(rng: random.Random, number: int) -> Person:
    """A person; ``number`` keeps emails apart within one shop, the rest of it between shops of other seeds."""
    first, last = rng.choice(_FIRST), rng.choice(LAST_NAMES)
    city, region, postcode, country = rng.choice(_PLACES)
    street = f"{rng.choice(STREETS)} {rng.randint(1, 199)}"
    if rng.random() < 0.25:
        street += f"\nFloor {rng.randint(1, 9)}"  # a second street line, joined as Magento joins it
    return Person(
        firstname=first,
        lastname=last,
        email=f"shopper{number}.{rng.getrandbits(32):08x}@example.com",
        company=f"{last} & Co" if rng.random() < 0.3 else None,
        street=street,
        city=city,
        region=region,
        postcode=postcode,
        country_id=country,
        telephone=f"+00 555 {rng.randint(0, 9999):04d}",
    )
