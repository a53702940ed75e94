"""Names of collections."""

import re

from runtime.collection_rules.refusal import RuleRefused
from runtime.printable import printable

#: Characters of a name; enough for a sentence, and it fits a column of a terminal.
LONGEST_NAME = 64
_FORM = re.compile(rf"[A-Za-z0-9-]{{1,{LONGEST_NAME}}}")


def require_collection_name(text: str) -> str:
    """Return the name of a collection as it is; two names that differ in letter case are one.

    Raises:
        RuleRefused: it is no name.
    """
    if _FORM.fullmatch(text) is None:
        raise RuleRefused(
            f"{printable(text, limit=80)!r} is no name of a collection: letters A to Z, digits and "
            f"dashes, 1 to {LONGEST_NAME} of them"
        )
    return text
