"""How complete the knowledge of some clients is, in words: what stands beside every count."""

from collections.abc import Mapping

#: The conditions of clients, in the order of tables: condition -> words after a number.
CONDITIONS = {
    "complete": "complete up to their last report",
    "gaps": "with gaps",
    "silent": "silent",
    "quiet": "quiet",
    "duplicate identity": "with a duplicate identity",
}


def completeness(clients: Mapping[str, int]) -> str:
    """One sentence: `of 5,000 clients 4,812 are complete up to their last report, 120 with gaps`.

    Args:
        clients: condition -> number of clients.
    """
    total = sum(clients.values())
    if not total:
        return "no clients"
    parts = [
        f"{count:,} {words}" for name, words in CONDITIONS.items() if (count := clients.get(name))
    ]
    first, *others = parts
    number, words = first.split(" ", 1)
    verb = "is" if number == "1" else "are"
    noun = "client" if total == 1 else "clients"
    return ", ".join([f"of {total:,} {noun} {number} {verb} {words}", *others])
