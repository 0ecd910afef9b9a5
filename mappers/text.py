"""Texts in properties: trimmed, without control characters, at most 65,536 characters, HTML turned into plain text.

Pure. The limit is HubSpot's for a property value. Merchants paste anything into descriptions, and Magento stores it as
HTML (Page Builder adds style blocks). So any HTML must become text in linear time.
"""

from __future__ import annotations

import html
import re
from typing import Final

from cdc.model import Value

LIMIT: Final = 65_536  # characters; HubSpot's limit for one property value

_BLANKS = re.compile(r"[\t\n\v\f\r\x85]")  # control characters that part words: a space takes their place
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # a lone surrogate cannot be written as UTF-8

# every alternative either matches or fails without looking past the next "<", so that hostile text stays linear
_UNSEEN = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s{0,9}>|\Z)", re.DOTALL | re.IGNORECASE)
_INLINE = "a|abbr|b|bdi|bdo|cite|code|data|del|dfn|em|font|i|ins|kbd|mark|q|s|small|span|strong|sub|sup|time|u|var|wbr"
_REST = r"""(?:[^"'<>]|"[^"<]*"|'[^'<]*')*+>"""  # attributes: a quoted > does not end the tag
# the second form of each is for a quote that is never closed
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})\b(?:{_REST}|[^<>]*>)", re.IGNORECASE)
_TAG = re.compile(rf"</?[a-z!?](?:{_REST}|[^<>]*>)", re.IGNORECASE)


def clean(value: Value) -> str:
    """A value as text: "" for NULL; control characters removed (those that separate words become a space);
    trimmed; cut.
    """
    if value is None:
        return ""
    # Modules store text in binary columns.
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = value.strip() if isinstance(value, str) else str(value)
    if len(text) <= LIMIT and text.isprintable():  # nearly always: no control character, nothing to cut
        return text
    text = _UNSENDABLE.sub("", _BLANKS.sub(" ", text)).strip()
    return text if len(text) <= LIMIT else text[:LIMIT].rstrip()


def from_html(value: Value) -> str:
    """The readable text of HTML: tags removed, then entities decoded, then white space collapsed.

    A block's tag separates words, an inline tag does not. Comments, scripts and styles are removed with their content.
    """
    if value is None:
        return ""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    # Most texts have no tags, and the patterns cost time.
    if "<" in text:
        text = _TAG.sub(" ", _INLINE_TAG.sub("", _UNSEEN.sub(" ", text)))
    # Entities are decoded last, so that an escaped < does not become a tag.
    if "&" in text:
        text = html.unescape(text)
    return clean(" ".join(text.split()))


def lines(value: Value, joint: str = ", ") -> str:
    """The lines of a text (a street), each trimmed, joined without the empty lines."""
    # A street has its lines in one text; other values have none.
    if not isinstance(value, str):
        return clean(value)
    return clean(joint.join(part for part in map(clean, value.split("\n")) if part))
