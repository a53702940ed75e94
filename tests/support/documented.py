"""The commands of docs/operations.md, so that tests run the documented ones."""

import re

from tests.support.paths import OPERATIONS

PAGE = OPERATIONS


def blocks(heading: str, language: str) -> list[str]:
    """The code blocks of one section, in order.

    Args:
        heading: of the section, without its marks.
        language: of the blocks: `sh` or `sql`.
    """
    page = PAGE.read_text(encoding="utf-8")
    section = re.search(
        rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", _unmarked(page), re.M | re.S
    )
    assert section is not None, f"{PAGE.name} has no section {heading!r}"
    found = re.findall(rf"^```{language}\n(.*?)^```$", page[slice(*section.span(2))], re.M | re.S)
    assert found, f"{heading!r} has no {language} block"
    return found


def _unmarked(page: str) -> str:
    """Blank out each `#` in code blocks, which would look like a heading; same length."""
    return re.sub(
        r"^```.*?^```$", lambda block: block[0].replace("#", " "), page, flags=re.M | re.S
    )
