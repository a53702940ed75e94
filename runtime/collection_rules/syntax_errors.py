"""Tells where a text stops being a rule, and what was expected there."""

from typing import Any

from lark import UnexpectedInput, UnexpectedToken

from runtime.collection_rules.refusal import RuleRefused
from runtime.printable import printable

#: Terminals of the grammar, in the words of a message.
_WORDS = {
    "TEXT": "a text in single quotes",
    "NUMBER": "a number",
    "DURATION": "a duration such as 7d, 12h or 30m",
    "CONDITION": "a condition such as gaps",
    "ORDER": "< <= > >=",
    "EQUAL": "=",
    "UNEQUAL": "!=",
    "_OPEN": "(",
    "_CLOSE": ")",
    "_COMMA": ",",
    "$END": "the end of the rule",
}
#: Characters of the rest of a rule that a message repeats.
_SHOWN = 20


def syntax_error(error: UnexpectedInput, text: str) -> RuleRefused:
    """The refusal of a text that breaks the grammar."""
    at = _position(error, text)
    rest = printable(text[at:].strip(), limit=_SHOWN)
    met = f"{rest!r} stands there" if rest else "the rule ends there"
    expected = ", ".join(sorted(_expected(error), key=_order))
    return RuleRefused(f"column {at + 1}: expected {expected}; {met}")


def _position(error: UnexpectedInput, text: str) -> int:
    ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    # The parser's own annotation says None; the errors of a parser have a position.
    position: Any = error.pos_in_stream
    return len(text.rstrip()) if ended else int(position)


def _expected(error: UnexpectedInput) -> set[str]:
    terminals = error.interactive_parser.accepts()  # type: ignore[no-untyped-call]
    return {_WORDS.get(name, name.removeprefix("_").lower()) for name in terminals}


def _order(words: str) -> tuple[bool, str]:
    """Words first, then signs."""
    return not words[0].isalpha(), words
