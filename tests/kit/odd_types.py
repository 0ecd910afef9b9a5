"""Columns that few shops have: every character set, and the rarer types and forms of a definition."""

# ruff: noqa: RUF001  # letters of many scripts

from __future__ import annotations

from typing import Final

from tests.kit.grid import GridColumn

_MARIADB: Final = frozenset({"mariadb"})
_MYSQL: Final = frozenset({"mysql"})

_SAMPLES: Final = {
    "armscii8": "Հայերեն", "ascii": "plain", "big5": "中文﹏碁", "cp1250": "žluťoučký",
    "cp1251": "Привет", "cp1256": "مرحبا", "cp1257": "ąžuolas", "cp850": "été ▓",
    "cp852": "žluť ▓", "cp866": "Привет ⁿ", "cp932": "日本語①～", "dec8": "été œ",
    "eucjpms": "日本語①～", "euckr": "한국어 똠", "gb18030": "中文ḿ😀", "gb2312": "中文", "gbk": "中文镕",
    "geostd8": "ქართული", "greek": "Ελλάδα ʽ", "hebrew": "שלום ‾", "hp8": "été",
    "keybcs2": "žluťoučký", "koi8r": "Привет", "koi8u": "Привіт •", "latin1": "é€\u0081",
    "latin2": "žluť", "latin5": "ığdır", "latin7": "ąžuolas", "macce": "žluť",
    "macroman": "été ∞", "sjis": "日本語\\", "swe7": "Åäö", "tis620": "ภาษาไทย", "ucs2": "é€ḿ",
    "ujis": "日本語\\", "utf16": "é😀", "utf16le": "é😀", "utf32": "é😀", "utf8mb3": "é€",
}  # fmt: skip


def charset_columns(flavor: str) -> list[GridColumn]:
    """VARCHAR, CHAR, TEXT, ENUM and SET in every character set, with characters of its own."""
    columns = []
    for charset, sample in _SAMPLES.items():
        flavors = _MYSQL if charset == "gb18030" else _MARIADB | _MYSQL
        quoted = "'" + sample.replace("\\", "\\\\") + "'"
        for name, kind in (("v", "varchar(20)"), ("c", "char(12)"), ("t", "text")):
            values = (quoted, "''", "'a '", f"CONCAT({quoted}, 'z')")
            columns.append(GridColumn(f"{charset}_{name}", f"{kind} character set {charset}", values, flavors))
        for name, kind in (("e", "enum"), ("s", "set")):
            label = quoted.replace("😀", "é")  # a schema cannot tell an emoji in a label
            definition = f"{kind}({label},'z') character set {charset}"
            columns.append(GridColumn(f"{charset}_{name}", definition, (label, "'z'", "''"), flavors))
    return [column for column in columns if flavor in column.flavors]


def odd_columns(flavor: str) -> list[GridColumn]:
    """Display widths, ZEROFILL, generated and invisible columns, long CHARs, and what only one of the servers has."""
    columns = [
        GridColumn("f7_3", "float(7,3)", ("1.1", "-9999.999", "0", "0.001", "123.456")),
        GridColumn("f12_5", "float(12,5)", ("123456.789", "16777217.03", "-0.00001", "1.1")),
        GridColumn("f_u", "float unsigned zerofill", ("1.5", "0", "123456789")),
        GridColumn("d9_2", "double(9,2)", ("1.1", "-1234567.89", "0.005", "0.015")),
        GridColumn("d30_10", "double(30,10)", ("12345678901234567890.1234567891", "0.1", "-1e-10")),
        GridColumn("f_edge", "float", ("3.402823e38", "-3.402823e38", "1.175494e-38", "1e-45", "123456.5", "-0.0")),
        GridColumn("d_edge", "double", ("1.7976931348623157e308", "5e-324", "-0.0", "9007199254740993")),
        GridColumn("zi", "int(6) zerofill", ("7", "0", "4294967295")),
        GridColumn("zt", "tinyint(3) unsigned zerofill", ("7", "255")),
        GridColumn("zb", "bigint zerofill", ("7", "18446744073709551615")),
        GridColumn("zd", "decimal(9,3) zerofill", ("7.5", "0", "999999.999")),
        GridColumn("c255", "char(255)", ("REPEAT('😀', 255)", "''", "'x '")),
        GridColumn("c64_b", "char(64) character set utf8mb3 collate utf8mb3_bin", ("REPEAT('€', 64)", "''")),
        GridColumn("bin255", "binary(255)", ("REPEAT('x', 255)", "''", "x'00ff'")),
        GridColumn("v255", "varbinary(255)", ("REPEAT(x'ff', 255)", "''")),
        GridColumn("v256", "varbinary(256)", ("REPEAT(x'ff', 256)", "''")),
        GridColumn("v_bin", "varchar(9) character set binary", ("x'ff00'", "''")),
        GridColumn("t_bin", "text collate utf8mb4_bin", ("'é'", "''")),
        GridColumn("b_medium", "mediumblob", ("REPEAT(x'8081', 40000)", "''")),
        GridColumn("b_long", "longblob", ("REPEAT(x'8081', 9000)", "''")),
        GridColumn("e256", "enum(" + ",".join(f"'é{number}'" for number in range(256)) + ")",
                   ("'é254'", "'é255'", "'é0'", "'none'")),
        GridColumn("e255", "enum(" + ",".join(f"'x{number}'" for number in range(255)) + ")", ("'x254'", "'none'")),
        GridColumn("e_comma", "enum('a,b','''','\"','\\\\','  c')", ("'a,b'", "''''", "'\"'", "'\\\\'", "'  c'")),
        GridColumn("e_bin", "enum('x','y') character set binary", ("'x'", "'y'")),
        GridColumn("s64", "set(" + ",".join(f"'m{number}'" for number in range(64)) + ")",
                   ("'m63'", "'m0,m31,m32,m63'", "''", "18446744073709551615")),
        GridColumn("s9", "set('a','b','c','d','e','f','g','h','i')", ("'i'", "'a,i'", "''")),
        *(GridColumn(f"bit{width}", f"bit({width})", ("b'1'", f"b'{'1' * width}'", "b'0'"))
          for width in (2, 7, 8, 15, 16, 17, 24, 31, 32, 33, 40, 48, 56, 63, 64)),
        *(GridColumn(f"d{digits}_{scale}", f"decimal({digits},{scale})",
                     ("9" * (digits - scale) + "." + "9" * scale, "-0." + "0" * max(0, scale - 1) + "1", "0"))
          for digits, scale in ((1, 0), (10, 1), (19, 2), (28, 3), (37, 10), (38, 19), (65, 0), (65, 29), (30, 30))),
        GridColumn("y4", "year(4)", ("0", "'0000'", "1901", "2155", "'70'")),
        GridColumn("g_point", "point", ("POINT(1, 2)", "POINT(-0.5, 1e300)")),
        GridColumn("g_set", "geometrycollection", ("GEOMETRYCOLLECTION(POINT(1, 1))",)),
        *_only_mariadb(), *_only_mysql(),
    ]  # fmt: skip
    return [column for column in columns if flavor in column.flavors]


def _only_mariadb() -> list[GridColumn]:
    return [
        GridColumn("u", "uuid", ("'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'",
                                 "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'019a1b2c-3d4e-7f60-8123-456789abcdef'",
                                 "'20202020-2020-2020-2020-202020202020'"), _MARIADB),
        GridColumn("ip4", "inet4", ("'192.0.2.1'", "'0.0.0.0'", "'255.255.255.255'", "'32.32.32.32'"), _MARIADB),
        GridColumn("ip6", "inet6", ("'2001:db8::ff00:42:8329'", "'::'", "'::ffff:192.0.2.1'", "'::192.0.2.1'",
                                    "'2001:0:0:1::1'", "'1:0:0:2:0:0:0:3'", "'::1'", "'2001:db8:0:1:1:1:1:1'",
                                    "'0:0:1::'", "'1:0:2:0:3:4:5:6'", "'1::'", "'::1:2'"), _MARIADB),
        GridColumn("packed_bin", "varbinary(400) compressed", ("REPEAT(x'ff', 300)", "''", "x'00'"), _MARIADB),
        GridColumn("packed_latin", "varchar(400) compressed character set latin1", ("REPEAT('é', 300)", "''"),
                   _MARIADB),
        GridColumn("packed_blob", "blob compressed", ("REPEAT(x'ff', 3000)", "''"), _MARIADB),
        GridColumn("packed_long", "longtext compressed", ("REPEAT('é', 70000)", "''"), _MARIADB),
    ]  # fmt: skip


def _only_mysql() -> list[GridColumn]:
    documents = (
        "JSON_OBJECT('ts', CAST('2026-01-31 23:59:58.123456' AS DATETIME(6)), 'y', CAST(2026 AS YEAR))",
        "JSON_ARRAY(CAST('-838:59:59' AS TIME), CAST('00:00:00.000001' AS TIME(6)), CAST('-00:00:00.5' AS TIME(1)))",
        "JSON_ARRAY(CAST(-0.5 AS DECIMAL(1,1)), CAST(REPEAT('9', 65) AS DECIMAL(65,0)), 1e308, 5e-324, -0.0, 1e-7)",
        "JSON_ARRAY(x'ff00', CAST('é' AS CHAR CHARACTER SET latin1), b'1', 18446744073709551615, -9223372036854775808)",
        "CAST(CONCAT(REPEAT('[', 100), REPEAT(']', 100)) AS JSON)",
        "CAST(CONCAT(REPEAT('{\"a\":', 99), '1', REPEAT('}', 99)) AS JSON)",
        "JSON_OBJECT('', 1, REPEAT('k', 300), 2, 'é', JSON_ARRAY(), '😀', JSON_OBJECT())",
        "CAST(CONCAT('[', REPEAT('1,', 66000), '1]') AS JSON)",
        "CAST(CONCAT('{\"x\":\"', REPEAT('é', 66000), '\"}') AS JSON)",
        "JSON_ARRAY(32767, 32768, -32768, -32769, 65535, 65536, 2147483647, 2147483648, -2147483649, 4294967296)",
        "JSON_ARRAY(0.1e0, 1e15, 1e16, 123456789.125e0, 1.5e-10, 100.0e0, 2.5, 1.10)",
        "JSON_ARRAY(CAST('0000-00-00' AS DATE), ST_GeomFromText('POINT(1 2)'), NULL, TRUE)",
        "'\"\\\\u0000\\\\b\\\\f\\\\t\\\\r \\\\u2028 \\\\/\"'",
    )  # fmt: skip
    return [
        GridColumn("doc", "json", documents, _MYSQL),
        GridColumn("srid", "point srid 4326", ("ST_GeomFromText('POINT(1 2)', 4326)",), _MYSQL),
        GridColumn("vec3", "vector(3)", ("STRING_TO_VECTOR('[1, 2, 3]')",), _MYSQL),
        GridColumn("vec_big", "vector(2000)", ("STRING_TO_VECTOR(CONCAT('[', REPEAT('1.5,', 1999), '0]'))",), _MYSQL),
    ]
