"""Limits of a rule: a site evaluates it every few minutes, over all clients."""

from runtime.collection_rules.refusal import RuleRefused
from runtime.collection_rules.rule import AllOf, AnyOf, Not, Rule

#: Characters; a rule with fifty terms of eighty characters has that many.
LONGEST_RULE = 4_000
#: Terms: each may cost a look at the current states of a client.
MOST_TERMS = 50
#: Levels of not, and, or: PostgreSQL and this program take a rule apart by recursion.
MOST_LEVELS = 20


def require_readable(text: str) -> None:
    """Refuse a text before it is read.

    Raises:
        RuleRefused: it is too long, empty, or has characters that no terminal shows.
    """
    if len(text) > LONGEST_RULE:
        raise RuleRefused(
            f"a rule has at most {LONGEST_RULE:,} characters, and this one has {len(text):,}"
        )
    if not text.strip():
        raise RuleRefused("a rule is missing, such as: state(301) = 3 and seen < 7d")
    for at, character in enumerate(text, 1):
        if not (character.isprintable() or character in "\n\t"):
            raise RuleRefused(f"column {at}: a rule has no character {character!r}")


def require_small(rule: Rule) -> None:
    """Refuse a rule with too many terms or levels.

    Raises:
        RuleRefused: it has.
    """
    terms = 0
    # Not by recursion: the rule may be as deep as its text is long.
    todo = [(rule, 1)]
    while todo:
        part, level = todo.pop()
        if level > MOST_LEVELS:
            raise RuleRefused(f"a rule has at most {MOST_LEVELS} levels of not, and, or")
        if isinstance(part, Not):
            todo.append((part.part, level + 1))
        elif isinstance(part, AllOf | AnyOf):
            todo.extend((inner, level + 1) for inner in part.parts)
        else:
            terms += 1
    if terms > MOST_TERMS:
        raise RuleRefused(f"a rule has at most {MOST_TERMS} terms, and this one has {terms:,}")
