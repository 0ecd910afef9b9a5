"""The settings of ``[kafka.values]``: what messages without a schema do not say. A leaf of the import graph."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cdc.settings.section import SettingsSection


class KafkaValues(SettingsSection):
    """The Debezium connector's settings, under its own names. They count only where its messages have no schema."""

    decimal_handling_mode: Literal["precise", "string", "double"] = Field(
        "precise", description="the connector's decimal.handling.mode; double may lose digits"
    )
    time_precision_mode: Literal["adaptive_time_microseconds", "adaptive", "connect", "isostring"] = Field(
        "adaptive_time_microseconds", description="the connector's time.precision.mode"
    )
    bigint_unsigned_handling_mode: Literal["long", "precise"] = Field(
        "long", description="the connector's bigint.unsigned.handling.mode"
    )
    binary_handling_mode: Literal["bytes", "base64", "base64-url-safe", "hex"] = Field(
        "bytes", description="the connector's binary.handling.mode"
    )
    unavailable_value_placeholder: str = Field(
        "__debezium_unavailable_value", description="the connector's unavailable.value.placeholder"
    )
    add_fields_prefix: str = Field("__", description="add.fields.prefix of ExtractNewRecordState")
    types: dict[str, str] = Field(
        default_factory=dict,
        description='types of modules\' own columns, e.g. "mp_delivery.delivery_date" = "date"; Magento\'s are known',
    )
