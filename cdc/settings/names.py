"""Names that commands need before any setting is read. A leaf that imports nothing."""

ENV_PREFIX = "MAGENTO_CDC__"
DEFAULT_FILE = "magento-cdc.toml"
