"""The rules of collections: read from text into frozen values, and compiled to SQL with parameters.

`rule.lark` is the grammar, `docs/collections.md` the page for people. A rule is read once, at the
edge: `parse_rule` gives a value that exists only if it is valid, and `compiled` makes of it a
condition over the alias `c` of `statesys.client`. No text of a rule becomes a part of a statement.
"""

from runtime.collection_rules.compiler import CompiledRule, compiled
from runtime.collection_rules.names import require_collection_name
from runtime.collection_rules.reader import parse_rule
from runtime.collection_rules.refusal import RuleRefused
from runtime.collection_rules.rule import Rule

__all__ = [
    "CompiledRule",
    "Rule",
    "RuleRefused",
    "compiled",
    "parse_rule",
    "require_collection_name",
]
