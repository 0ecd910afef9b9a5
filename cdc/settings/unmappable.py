"""Tables and columns of Magento that no mapping may name: secrets, card data, IP addresses.

The mapping is an allow-list already. This list limits what a merchant can write into it. Names are compared without
case, as the server does. A leaf of the import graph: standard library only. Facts: Magento 2.3 to 2.4.8.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

_TABLES: Final = (
    "admin_adobe_ims_webapi", "admin_passwords", "admin_user", "admin_user_session", "adobe_user_profile", "cache",
    "cache_tag", "core_config_data", "integration", "jwt_auth_revoked", "login_as_customer*", "oauth_consumer",
    "oauth_nonce", "oauth_token*", "password_reset_request_event", "paypal_*", "persistent_session", "session",
    "tfa_*", "vault_payment_token*",
)  # fmt: skip
"""Whole tables: logins, tokens, sessions, settings that hold keys."""

_ANYWHERE: Final = (
    "password", "password_hash", "rp_token", "rp_token_created_at", "protect_code", "remote_ip", "x_forwarded_for",
    "cc_*", "echeck_*", "gateway_token", "public_hash", "link_hash", "confirmation_key", "subscriber_confirm_code",
    "session_cutoff", "session_id", "ip", "ip_address", "user_agent", "api_key", "access_token",
    "refresh_token", "secret",
)  # fmt: skip
"""Columns of any table: modules copy Magento's column names into their own tables."""

_COLUMNS: Final = {
    "customer_entity": ("confirmation", "failures_num", "first_failure", "lock_expires"),
    "wishlist": ("sharing_code",),
    "sales_order_payment": ("additional_information", "additional_data", "last_trans_id", "po_number"),
    "quote_payment": ("additional_information", "additional_data", "last_trans_id", "po_number"),
    "sales_payment_transaction": ("additional_information", "txn_id"),
}


def why_not(table: str, column: str) -> str:
    """Why a mapping may not name this column; "" if it may. Only Magento's own names are known."""
    name, wanted = table.casefold(), column.casefold()
    if any(fnmatchcase(name, pattern) for pattern in _TABLES):
        return f"table {table} holds secrets and is never read"
    if any(fnmatchcase(wanted, pattern) for pattern in (*_ANYWHERE, *_COLUMNS.get(name, ()))):
        return f"column {table}.{column} must not leave the shop and is never read"
    return ""
