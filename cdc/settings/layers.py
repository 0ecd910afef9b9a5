"""Lays settings of a stronger source over those of a weaker source: command line over environment over
file. A leaf, pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

_FILE: Final = "_file"
_NEAR: Final = 0.85  # all names share a long beginning, so that less would find one for anything


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both trees merged, key by key; ``above`` wins.

    A secret and the file that may hold it are two spellings of one setting. A stronger source that sets one of them
    removes the other of a weaker source. An empty file name removes the file.
    """
    merged = dict(below)
    for key, value in above.items():
        for other in (f"{key}{_FILE}", key.removesuffix(_FILE)):
            if other != key and other not in above and _is_pair(key, merged, above):
                merged.pop(other, None)
        under = merged.get(key)
        if key.endswith(_FILE) and value == "":
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = laid_over(under if isinstance(under, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _is_pair(key: str, merged: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether the key is a secret whose file the weaker source names, or the file of a secret that the
    weaker source sets.
    """
    return f"{key}{_FILE}" in merged or (key.endswith(_FILE) and key.removesuffix(_FILE) in merged)


def misspelt_variables(variables: Iterable[str], prefix: str, names: Collection[str]) -> list[tuple[str, str]]:
    """Variables that look like ours and are not read, each with the name that may be meant ("" if none is near).

    ``prefix`` ends in two underscores. Kubernetes makes such variables for Services (MAGENTO_CDC_SERVICE_HOST), so they
    are reported, and are not an error. ``names``: dotted names of all settings.
    """
    single = prefix[:-1]
    known = [f"{prefix}{name.replace('.', '__').upper()}" for name in names]
    found = []
    for variable in sorted(variables):
        upper = variable.upper()
        if upper.startswith(single) and not upper.startswith(prefix):
            spelled = upper.replace("_", "")
            exact = [name for name in known if name.replace("_", "") == spelled]
            near = exact or difflib.get_close_matches(upper, known, n=1, cutoff=_NEAR)
            found.append((variable, near[0] if near else ""))
    return found
