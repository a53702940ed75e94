"""GUIDs as ConfigMgr writes them: `GUID:` and 36 characters, or bare; in any letter case."""

import re
from uuid import UUID

# UUID() alone would also take braces, urn:, missing hyphens, underscores and foreign digits.
_FORM = re.compile(r"(?:GUID:\s*)?([0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12})", re.I | re.A)


def parse_guid(text: str) -> UUID | None:
    """Read a GUID, with or without its prefix; None for any other text."""
    found = _FORM.fullmatch(text)
    return None if found is None else UUID(found[1])


def render_guid(guid: UUID) -> str:
    """Write a GUID with the prefix, in capitals."""
    return f"GUID:{str(guid).upper()}"
