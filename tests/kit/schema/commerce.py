"""Adobe Commerce's catalogue: rows per scheduled version. Written anew over a shop's empty tables.

A product is a number of ``sequence_product``; its rows hang on it, its values on its rows.
"""

from __future__ import annotations

from pymysql.connections import Connection

_VALUES = {
    "varchar": "VARCHAR(255)", "int": "INT", "decimal": "DECIMAL(20,6)", "text": "MEDIUMTEXT", "datetime": "DATETIME",
}  # fmt: skip


def turn_into_commerce(connection: Connection, prefix: str = "") -> None:
    """Replace the catalogue's tables, with their triggers; all rows in them are lost."""
    with connection.cursor() as cursor:
        for statement in _statements(prefix):
            cursor.execute(statement)


def _statements(prefix: str) -> list[str]:
    products = f"`{prefix}catalog_product_entity`"
    made = ["SET FOREIGN_KEY_CHECKS=0"]
    for table in ("", *(f"_{kind}" for kind in _VALUES)):
        made.append(f"DROP TABLE `{prefix}catalog_product_entity{table}`")
    made.append(f"DROP TABLE `{prefix}catalog_product_website`")
    made.append(
        f"CREATE TABLE `{prefix}sequence_product` (sequence_value INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY)"
    )
    made.append(
        f"CREATE TABLE {products} (row_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, "
        "entity_id INT UNSIGNED NOT NULL, created_in BIGINT UNSIGNED NOT NULL, updated_in BIGINT UNSIGNED NOT NULL, "
        "attribute_set_id SMALLINT UNSIGNED NOT NULL DEFAULT 4, type_id VARCHAR(32) NOT NULL DEFAULT 'simple', "
        "sku VARCHAR(64) NOT NULL, has_options SMALLINT NOT NULL DEFAULT 0, required_options SMALLINT NOT NULL "
        "DEFAULT 0, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP NOT NULL DEFAULT "
        "CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (created_in), KEY (updated_in), "
        f"CONSTRAINT `{prefix}P_SEQ` FOREIGN KEY (entity_id) REFERENCES `{prefix}sequence_product` (sequence_value) "
        "ON DELETE CASCADE)"
    )
    for kind, column in _VALUES.items():
        made.append(
            f"CREATE TABLE `{prefix}catalog_product_entity_{kind}` (value_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, "
            "attribute_id SMALLINT UNSIGNED NOT NULL, store_id SMALLINT UNSIGNED NOT NULL DEFAULT 0, "
            f"value {column} NULL, row_id INT UNSIGNED NOT NULL, UNIQUE KEY (row_id, attribute_id, store_id), "
            f"CONSTRAINT `{prefix}P_{kind}` FOREIGN KEY (row_id) REFERENCES {products} (row_id) ON DELETE CASCADE)"
        )
    made.append(
        f"CREATE TABLE `{prefix}catalog_product_website` (product_id INT UNSIGNED NOT NULL, "
        "website_id SMALLINT UNSIGNED NOT NULL, PRIMARY KEY (product_id, website_id), "
        f"CONSTRAINT `{prefix}P_WEB` FOREIGN KEY (product_id) REFERENCES `{prefix}sequence_product` (sequence_value) "
        "ON DELETE CASCADE)"
    )
    return [*made, "SET FOREIGN_KEY_CHECKS=1"]
