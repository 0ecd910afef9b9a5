"""The small shop's assortment: every type of product that Magento's core sells."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.kit.shop import Selection, Shop


@dataclass
class Assortment:
    """Product ids by a short name, and lists of what can be ordered how."""

    ids: dict[str, int] = field(default_factory=dict)
    variants: list[int] = field(default_factory=list)

    def __getitem__(self, name: str) -> int:
        return self.ids[name]


def stock_up(shop: Shop) -> Assortment:
    """Create all products."""
    made = Assortment()
    ids = made.ids
    html = {"description": "<p>Holds <b>0.3&nbsp;l</b>.</p>\n<ul><li>dishwasher safe</li></ul>", "cost": "4.10"}
    ids["mug"] = shop.create_product("MUG-01", "Stoneware mug", "12.50", values=html)
    ids["notebook"] = shop.create_product(
        "NB-A5", "Notebook A5", "7.90", values={"short_description": "Dotted & numbered pages"}, websites=(1, 2)
    )
    ids["poster"] = shop.create_product("POSTER-70", "Poster “Tides” 🌊", "18.00", websites=(1, 2))
    ids["cap"] = shop.create_product("CAP-BLU", "Cap", "19.95", values={"color": shop.option("color", "Blue")})
    ids["wrapping"] = shop.create_product("WRAP", "Gift wrapping", "3.50", type_id="virtual")
    ids["pattern"] = shop.create_product("PATTERN-PDF", "Knitting pattern (PDF)", "6.00", type_id="downloadable")
    for color in ("Black", "Blue"):
        for size in ("S", "M"):
            made.variants.append(
                shop.create_product(
                    f"SHIRT-{color[:3].upper()}-{size}",
                    f"Shirt {color} {size}",
                    "29.00",
                    values={
                        "visibility": 1,
                        "color": shop.option("color", color),
                        "size": shop.option("size", size),
                        "materials": ",".join(str(shop.option("materials", one)) for one in ("Cotton", "Wool")),
                    },
                )
            )
    ids["shirt"] = shop.create_product("SHIRT", "Shirt", type_id="configurable", variants=made.variants)
    ids["starter"] = shop.create_product(
        "STARTER", "Starter set", type_id="bundle", selections=[Selection(ids["mug"], 2), Selection(ids["notebook"])],
        values={"price_type": 0, "sku_type": 0, "weight_type": 0, "shipment_type": 1},
    )  # fmt: skip
    ids["giftbox"] = shop.create_product(
        "GIFTBOX", "Gift box", "49.00", type_id="bundle",
        selections=[Selection(ids["cap"]), Selection(ids["notebook"])],
        values={"price_type": 1, "sku_type": 1, "weight_type": 1, "shipment_type": 0},
    )  # fmt: skip
    ids["stationery"] = shop.create_product(
        "STATIONERY", "Stationery", type_id="grouped", members=[ids["notebook"], ids["poster"]]
    )
    shop.store_override(ids["mug"], 2, "name", "Tasse en grès")
    shop.store_override(ids["cap"], 2, "name", "Casquette")
    return made
