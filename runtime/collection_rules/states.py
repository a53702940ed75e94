"""State names in rules: the id of a state by the name that the topic catalogue has for it."""

from runtime.collection_rules.refusal import RuleRefused
from runtime.printable import printable
from schemas.topics import catalogue


def state_id_of(topic_type: int, text: str) -> int:
    """The id of the state with a name, or with the only name that begins so; in any letter case.

    Raises:
        RuleRefused: no name of the topic type is meant, or several are; the message lists them.
    """
    known = {
        row.state_id: row.state_name
        for row in catalogue()
        if row.topic_type == topic_type and row.state_id is not None and row.state_name
    }
    wanted = text.casefold()
    same = [number for number, name in known.items() if name.casefold() == wanted]
    begun = [number for number, name in known.items() if name.casefold().startswith(wanted)]
    found = same or (begun if wanted else [])
    if len(found) == 1:
        return found[0]
    if not known:
        raise RuleRefused(
            f"the catalogue names no states of topic type {topic_type}: write the number"
        )
    told = ", ".join(f"{number} '{known[number]}'" for number in found or known)
    shown = printable(text, limit=80)
    if found:
        raise RuleRefused(f"{shown!r} may be several states of topic type {topic_type}: {told}")
    raise RuleRefused(f"{shown!r} is no state of topic type {topic_type}; there are {told}")
