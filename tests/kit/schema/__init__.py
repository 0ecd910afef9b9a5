"""Magento's tables as DDL, from the short notation of the ``.tables`` files beside this module.

    [sales_order]                                   a table
    entity_id: int unsigned auto                    a column, AUTO_INCREMENT
    state status: varchar(32) null                  two columns of one type; NOT NULL unless ``null``
    updated_at: timestamp = now, ticks              a default; ``ticks``: ON UPDATE CURRENT_TIMESTAMP
    primary entity_id
    unique increment_id store_id
    customer_id -> customer_entity.entity_id set null    a foreign key with its ON DELETE rule

The columns, their order and the rules are those of Magento Open Source 2.4.8 as declared. Secondary indexes are left
out: nothing in a log shows them. With ``changelogs``, the tables and triggers of indexers that run "on schedule" come
too, as most live stores have them: each changed product row then writes several rows of noise. With ``whole``, all 37
tables that have such triggers are there; without, those of ``merchandising.tables``, which nothing mapped hangs on, are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pymysql.connections import Connection

_MERCHANDISING = "merchandising"
_FILES = ("store", "catalog", "customer", "sales", "noise", _MERCHANDISING)
_SEQUENCES = ("order", "invoice", "shipment", "creditmemo")
STORES_WITH_SEQUENCES = (0, 1, 2, 3)

_FLAT, _PRICE, _RULE, _SEARCH = (
    "catalog_product_flat", "catalog_product_price", "catalogrule_product", "catalogsearch_fulltext",
)  # fmt: skip
_ATTRIBUTE, _CATEGORY, _STOCK = "catalog_product_attribute", "catalog_product_category", "cataloginventory_stock"

_CATEGORIES = ("catalog_category_flat", "catalog_category_product")

CHANGELOGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "catalog_category_entity": ("entity_id", _CATEGORIES),
    "catalog_category_entity_datetime": ("entity_id", _CATEGORIES[:1]),
    "catalog_category_entity_decimal": ("entity_id", _CATEGORIES[:1]),
    "catalog_category_entity_int": ("entity_id", _CATEGORIES),
    "catalog_category_entity_text": ("entity_id", _CATEGORIES[:1]),
    "catalog_category_entity_varchar": ("entity_id", _CATEGORIES[:1]),
    "catalog_category_product": ("product_id", (_CATEGORY, _RULE, _SEARCH)),
    "catalog_product_entity": ("entity_id", (_FLAT, _PRICE, _RULE, _SEARCH)),
    "catalog_product_entity_datetime": ("entity_id", (_FLAT, _PRICE, _RULE, _SEARCH)),
    "catalog_product_entity_decimal": ("entity_id", (_FLAT, _PRICE, _ATTRIBUTE, _RULE, _SEARCH)),
    "catalog_product_entity_gallery": ("entity_id", (_FLAT,)),
    "catalog_product_entity_int": ("entity_id", (_CATEGORY, _FLAT, _PRICE, _ATTRIBUTE, _STOCK, _RULE, _SEARCH)),
    "catalog_product_entity_media_gallery_value": ("entity_id", (_FLAT,)),
    "catalog_product_entity_text": ("entity_id", (_FLAT, _RULE, _SEARCH)),
    "catalog_product_entity_tier_price": ("entity_id", (_FLAT, _PRICE, _RULE)),
    "catalog_product_entity_varchar": ("entity_id", (_FLAT, _ATTRIBUTE, _RULE, _SEARCH)),
    "catalog_product_website": ("product_id", (_CATEGORY, _PRICE, _SEARCH)),
    "catalog_product_link": ("product_id", (_PRICE, _ATTRIBUTE, _STOCK, _RULE, _SEARCH)),
    "catalog_product_super_link": ("product_id", (_SEARCH,)),
    "catalog_product_bundle_selection": ("parent_product_id", (_SEARCH,)),
    "cataloginventory_stock_item": ("product_id", (_STOCK,)),
    "catalogrule": ("rule_id", ("catalogrule_rule",)),
    "catalogrule_product_price": ("product_id", (_PRICE, _SEARCH)),
    "cms_page": ("page_id", ("cms_page_grid",)),
    "customer_entity": ("entity_id", ("customer_dummy",)),
    "customer_entity_datetime": ("entity_id", ("customer_dummy",)),
    "customer_entity_decimal": ("entity_id", ("customer_dummy",)),
    "customer_entity_int": ("entity_id", ("customer_dummy",)),
    "customer_address_entity": ("parent_id", ("customer_dummy",)),
    "inventory_source_item": ("source_item_id", ("inventory",)),
    "sales_order": ("entity_id", ("sales_order_data_exporter",)),
    "sales_order_item": ("order_id", ("sales_order_data_exporter",)),
    "sales_order_status": ("status", ("sales_order_status_data_exporter",)),
    "sales_payment_transaction": ("order_id", ("sales_order_data_exporter",)),
    "store": ("website_id", ("store_data_exporter",)),
    "store_group": ("website_id", ("store_data_exporter",)),
    "store_website": ("website_id", ("store_data_exporter",)),
}
"""Table → (the column that its triggers note, the views whose ``<view>_cl`` table gets a row)."""


@dataclass(frozen=True)
class ForeignKey:
    """``column`` refers to ``parent``.``parent_column``; ``on_delete`` is ``cascade`` or ``set null``."""

    column: str
    parent: str
    parent_column: str
    on_delete: str


@dataclass
class Table:
    """One table; ``columns`` maps a column's name to its definition in SQL, in table order."""

    name: str
    columns: dict[str, str] = field(default_factory=dict)
    primary: list[str] = field(default_factory=list)
    unique: list[list[str]] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)

    def ddl(self, prefix: str = "") -> str:
        """The CREATE TABLE statement; the prefix also goes before names of keys, as Magento does it."""
        lines = [f"`{name}` {definition}" for name, definition in self.columns.items()]
        lines.append(f"PRIMARY KEY ({_quoted(self.primary)})")
        for columns in self.unique:
            lines.append(f"UNIQUE KEY `{_key_name(prefix, self.name, *columns)}` ({_quoted(columns)})")
        for key in self.foreign_keys:
            name = _key_name(prefix, self.name, key.column, key.parent)
            lines.append(
                f"CONSTRAINT `{name}` FOREIGN KEY (`{key.column}`) REFERENCES `{prefix}{key.parent}` "
                f"(`{key.parent_column}`) ON DELETE {key.on_delete.upper()}"
            )
        body = ",\n  ".join(lines)
        return f"CREATE TABLE `{prefix}{self.name}` (\n  {body}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"


@cache
def tables() -> dict[str, Table]:
    """Every table of the kit by name, changelog tables left out. Do not change what it returns."""
    found: dict[str, Table] = {}
    for file in _FILES:
        for line in _lines(file):
            if line.startswith("["):
                table = found[line[1:-1]] = Table(line[1:-1])
            elif line:
                _read_line(table, line)
    for kind in _SEQUENCES:
        for store in STORES_WITH_SEQUENCES:
            name = f"sequence_{kind}_{store}"
            found[name] = Table(name, {"sequence_value": "int unsigned NOT NULL AUTO_INCREMENT"}, ["sequence_value"])
    return found


def _lines(file: str) -> list[str]:
    return (Path(__file__).parent / f"{file}.tables").read_text().splitlines()


def statements(prefix: str = "", *, changelogs: bool = True, whole: bool = False) -> list[str]:
    """The DDL of the schema, one statement an item, to be run in one connection."""
    left_out = set() if whole else {line[1:-1] for line in _lines(_MERCHANDISING) if line.startswith("[")}
    made = [
        "SET FOREIGN_KEY_CHECKS=0",
        *(table.ddl(prefix) for name, table in tables().items() if name not in left_out),
    ]
    if changelogs:
        noted = {name: views for name, (_, views) in CHANGELOGS.items() if name not in left_out}
        views = dict.fromkeys(view for views in noted.values() for view in views)
        log_columns = {"version_id": "int unsigned NOT NULL AUTO_INCREMENT", "entity_id": "int unsigned NOT NULL"}
        made += (Table(f"{view}_cl", log_columns, ["version_id"]).ddl(prefix) for view in views)
        for name in noted:
            made += _triggers(tables()[name], prefix)
    return [*made, "SET FOREIGN_KEY_CHECKS=1"]


def load(connection: Connection, prefix: str = "", *, changelogs: bool = True, whole: bool = False) -> None:
    """Make the tables in the connection's database."""
    with connection.cursor() as cursor:
        for statement in statements(prefix, changelogs=changelogs, whole=whole):
            cursor.execute(statement)


def _read_line(table: Table, line: str) -> None:
    head, colon, definition = line.partition(": ")
    first, _, rest = line.partition(" ")
    if colon:
        table.columns |= dict.fromkeys(head.split(), _definition(definition))
    elif first == "primary":
        table.primary = rest.split()
    elif first == "unique":
        table.unique.append(rest.split())
    else:
        parent, _, on_delete = rest.removeprefix("-> ").partition(" ")
        parent_table, parent_column = parent.split(".")
        table.foreign_keys.append(ForeignKey(first, parent_table, parent_column, on_delete))


def _definition(short: str) -> str:
    kind, _, default = short.partition(" = ")
    ticks = default.endswith(", ticks")
    default = default.removesuffix(", ticks")
    auto = kind.endswith(" auto")
    kind = kind.removesuffix(" auto")
    null = kind.endswith(" null")
    parts = [kind.removesuffix(" null"), "NULL" if null else "NOT NULL"]
    if default:
        parts.append(f"DEFAULT {'CURRENT_TIMESTAMP' if default == 'now' else default}")
    elif null and not kind.startswith(("text", "mediumtext", "longtext", "blob", "mediumblob")):
        parts.append("DEFAULT NULL")  # spelled out: a bare TIMESTAMP NULL means other things on old servers
    parts += ["ON UPDATE CURRENT_TIMESTAMP"] * ticks + ["AUTO_INCREMENT"] * auto
    return " ".join(parts)


def _triggers(table: Table, prefix: str) -> list[str]:
    """Insert, update and delete triggers; the update's looks away when only ``updated_at`` changed."""
    column, views = CHANGELOGS[table.name]
    differs = " OR ".join(f"NOT(NEW.`{name}` <=> OLD.`{name}`)" for name in table.columns if name != "updated_at")

    def notes(row: str) -> str:
        return " ".join(
            f"INSERT IGNORE INTO `{prefix}{view}_cl` (`entity_id`) VALUES ({row}.`{column}`);" for view in views
        )

    bodies = {"insert": notes("NEW"), "update": f"IF ({differs}) THEN {notes('NEW')} END IF;", "delete": notes("OLD")}
    return [
        f"CREATE TRIGGER `{prefix}trg_{table.name}_after_{event}` AFTER {event.upper()} ON `{prefix}{table.name}` "
        f"FOR EACH ROW BEGIN {body} END"
        for event, body in bodies.items()
    ]


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _key_name(*parts: str) -> str:
    """At most 64 characters; a longer one keeps its end, which tells keys of one table apart."""
    return "_".join(part for part in parts if part).upper()[-64:].lstrip("_")
