"""Reads a rule: text in, a value of `rule` or a refusal out. The grammar is `rule.lark`."""

from functools import cache
from importlib.resources import files

from lark import Lark, UnexpectedInput

from runtime.collection_rules.limits import require_readable, require_small
from runtime.collection_rules.making import Maker
from runtime.collection_rules.refusal import RuleRefused
from runtime.collection_rules.rule import Rule
from runtime.collection_rules.syntax_errors import syntax_error


def parse_rule(text: str) -> Rule:
    """Read a rule.

    Args:
        text: from anyone.

    Raises:
        RuleRefused: it is no rule, or breaks a limit; where the text is at fault, the message
            says at which column, and what was expected.
    """
    require_readable(text)
    try:
        found = _parser().parse(text)
    except UnexpectedInput as error:
        raise syntax_error(error, text) from None
    rule = _of_rule(found)
    require_small(rule)
    return rule


@cache
def _parser() -> Lark:
    """The parser; making it takes some milliseconds."""
    grammar = files("runtime.collection_rules").joinpath("rule.lark").read_text(encoding="utf-8")
    # The maker is called while the text is read, bottom up and without recursion.
    return Lark(grammar, parser="lalr", transformer=Maker(), propagate_positions=False)


def _of_rule(found: object) -> Rule:
    assert isinstance(found, Rule)
    return found


__all__ = ["RuleRefused", "parse_rule"]
