"""What the sandbox does otherwise than HubSpot's files of 2026-09, on purpose. Each has its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Deviation:
    """Problems whose text fits ``pattern``, on paths that fit ``path``, with a status that fits ``status``."""

    pattern: str
    reason: str
    path: str = ""
    status: str = ""

    def fits(self, problem: str, path: str, status: int) -> bool:
        """Whether a problem is meant."""
        return bool(
            re.fullmatch(self.pattern, problem)
            and re.search(self.path, path)
            and re.fullmatch(self.status or ".*", str(status))
        )


DEVIATIONS: Final = (
    Deviation(
        "answer status 207: not in the file",
        "the files fold errors into the one response, HubSpot's rendered pages of September still list 207; the "
        "switch partial_status gives 200",
    ),
    Deviation(
        "answer status 200: not in the file",
        "a create that is refused in part: versions differ in their codes, and no client may lean on one; the switch "
        "partial_status gives 200",
        path="/batch/create$",
    ),
    Deviation(
        "answer category: missing",
        "two bodies were seen live without a category: a numeric id that is not there, and an unknown object type",
        status="400|404|405|415",
    ),
    Deviation(
        "answer category: missing",
        "a body of 429 has errorType and policyName instead of a category",
        status="429",
    ),
    Deviation(
        "answer (errorType|policyName|groupName): unknown",
        "a body of 429 has these members",
        status="429",
    ),
    Deviation(
        "answer status: unknown", "every error body that was recorded has status: error beside the listed members"
    ),
    Deviation(
        "answer (error|identityProfile): unknown",
        "the fat form of a taken email, seen since 2024; the switch conflict_form chooses it",
        status="409",
    ),
    Deviation(
        r"answer errors\[\]\.subCategory: str where object is wanted",
        "the file says object, all bodies that were recorded have a text (crm.associations.INVALID_IDENTIFIER)",
    ),
    Deviation(
        r"answer (results\[\]\.)?warnings: unknown",
        "announced for 2026-09 (values that were normalized), missing from the file of August",
    ),
    Deviation(
        r"request (inputs\[\]\.)?associations: missing",
        "required by the file, and creates without it were seen to work live",
    ),
    Deviation(
        r"request (propertiesWithHistory|properties|sorts|after|limit|filterGroups): missing",
        "required by the file; HubSpot's own pages call reads and searches without them",
        path="/(read|search)$",
    ),
    Deviation(
        r"request properties\.\*: float where string is wanted",
        "HubSpot takes numbers and gives them back as texts; a test sends such a call on purpose",
    ),
    Deviation(
        "request hasUniqueValue: unknown",
        "a change that HubSpot ignores with 200; a test sends it on purpose",
        path="/crm/properties/",
    ),
    Deviation(
        r"request sorts\[\]: dict where string is wanted",
        "the file says texts; HubSpot's pages on searches show objects with propertyName and direction",
        path="/search$",
    ),
    Deviation(
        "answer the body: str where object is wanted",
        "413 is the answer of a gateway on the way, which knows nothing of HubSpot's bodies; max_body chooses it",
        status="413",
    ),
    Deviation(
        "path: no file has it",
        "reading one record's associations by GET is version 4's path; the sandbox gives it the dated form too",
        path="/associations/[^/]+$",
    ),
)
