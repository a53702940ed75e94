"""Makes the values of a rule from what the parser found; refuses what the grammar cannot."""

import re
from datetime import timedelta
from typing import NamedTuple

from lark import Token, Transformer, v_args

from runtime.collection_rules.refusal import RuleRefused
from runtime.collection_rules.rule import (
    CONDITIONS,
    AllOf,
    AnyOf,
    Comparison,
    ConditionIs,
    EveryState,
    HasState,
    NameIs,
    NameLike,
    NoState,
    Not,
    Rule,
    Seen,
    VersionIs,
)
from runtime.collection_rules.states import state_id_of
from runtime.durations import parse_duration
from runtime.printable import printable

#: What reports may carry, and the tables hold.
_TOPIC_TYPES, _STATE_IDS = range(-(2**31), 2**31), range(-(2**31), 2**32)
#: As `version_parts` of schemas/postgres/0008_collections.sql.
_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,15}")


class Topic(NamedTuple):
    """What stands in the brackets of a state term."""

    topic_type: int
    topic_id: str | None


@v_args(inline=True)
class Maker(Transformer[Token, Rule]):
    """One method for each alternative of the grammar.

    Raises:
        RuleRefused: from every method.
    """

    def any_of(self, *parts: Rule) -> Rule:
        """At least one part holds."""
        return parts[0] if len(parts) == 1 else AnyOf(parts)

    def all_of(self, *parts: Rule) -> Rule:
        """All parts hold."""
        return parts[0] if len(parts) == 1 else AllOf(parts)

    def not_(self, part: Rule) -> Rule:
        """The part does not hold."""
        return Not(part)

    def topic(self, number: Token, topic_id: Token | None) -> Topic:
        """Topic type and id."""
        return Topic(
            _number(number, _TOPIC_TYPES), None if topic_id is None else _unquoted(topic_id)
        )

    def has_state(self, topic: Topic, *states: Token) -> Rule:
        """One of the states is current."""
        return HasState(*topic, _state_ids(topic, states))

    def every_state(self, topic: Topic, *states: Token) -> Rule:
        """Every current state is one of these."""
        return EveryState(*topic, _state_ids(topic, states))

    def no_state(self, topic: Topic) -> Rule:
        """There is no such state."""
        return NoState(*topic)

    def name_is(self, *names: Token) -> Rule:
        """The name is one of these."""
        return NameIs(tuple(_unquoted(name) for name in names if name.type == "TEXT"))

    def name_is_not(self, _sign: Token, name: Token) -> Rule:
        """The name is another one."""
        return Not(NameIs((_unquoted(name),)))

    def name_like(self, pattern: Token) -> Rule:
        """The name fits a pattern."""
        return NameLike(_unquoted(pattern))

    def version_is(self, sign: Token, version: Token) -> Rule:
        """The version compares so."""
        return VersionIs(_comparison(sign), _version_parts(version))

    def seen(self, sign: Token, duration: Token) -> Rule:
        """How long ago the client was seen."""
        try:
            ago = parse_duration(str(duration))
        except ValueError as error:
            raise _refused(duration, str(error)) from None
        assert isinstance(ago, timedelta)
        return Seen(_comparison(sign), ago)

    def condition_is(self, *conditions: Token) -> Rule:
        """The condition is one of these."""
        return ConditionIs(tuple(_condition(one) for one in conditions if one.type != "EQUAL"))

    def condition_is_not(self, _sign: Token, condition: Token) -> Rule:
        """The condition is another one."""
        return Not(ConditionIs((_condition(condition),)))


def _refused(token: Token, words: str) -> RuleRefused:
    return RuleRefused(f"column {(token.start_pos or 0) + 1}: {words}")


def _unquoted(token: Token) -> str:
    return str(token)[1:-1].replace("''", "'")


def _number(token: Token, allowed: range) -> int:
    number = int(token)
    if number not in allowed:
        raise _refused(token, f"{token} is not in {allowed.start} to {allowed.stop - 1}")
    return number


def _state_ids(topic: Topic, states: tuple[Token, ...]) -> tuple[int, ...]:
    return tuple(_state_id(topic, one) for one in states if one.type != "EQUAL")


def _state_id(topic: Topic, state: Token) -> int:
    if state.type == "NUMBER":
        return _number(state, _STATE_IDS)
    try:
        return state_id_of(topic.topic_type, _unquoted(state))
    except RuleRefused as error:
        raise _refused(state, str(error)) from None


def _comparison(sign: Token) -> Comparison:
    return Comparison(str(sign).replace("<>", "!="))


def _version_parts(token: Token) -> tuple[int, ...]:
    text = _unquoted(token)
    if _VERSION.fullmatch(text) is None:
        raise _refused(
            token,
            f"{printable(text, limit=80)!r} is no version: write numbers with dots between them, "
            "such as '5.00.9122', at most 16 of at most 9 digits",
        )
    parts = [int(part) for part in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _condition(token: Token) -> str:
    words = str(token) if token.type == "CONDITION" else _unquoted(token)
    condition = " ".join(words.casefold().split())
    if condition not in CONDITIONS:
        told = ", ".join(CONDITIONS)
        raise _refused(token, f"{printable(words, limit=80)!r} is no condition; there are {told}")
    return condition
