"""Compiles a rule: constant fragments of SQL, put together, with every value as a parameter."""

from functools import singledispatchmethod
from typing import Any, LiteralString, NamedTuple, TypeAlias, cast

from runtime.collection_rules.rule import (
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
from runtime.database import sql
from runtime.statements import statements

_SIGNS = {
    Comparison.LESS: sql.SQL("<"),
    Comparison.AT_MOST: sql.SQL("<="),
    Comparison.EQUAL: sql.SQL("="),
    Comparison.UNEQUAL: sql.SQL("<>"),
    Comparison.AT_LEAST: sql.SQL(">="),
    Comparison.MORE: sql.SQL(">"),
}
#: Seen less than a day ago is seen after this moment yesterday.
_SIGNS_OF_MOMENTS = {
    Comparison.LESS: _SIGNS[Comparison.MORE],
    Comparison.AT_MOST: _SIGNS[Comparison.AT_LEAST],
    Comparison.AT_LEAST: _SIGNS[Comparison.AT_MOST],
    Comparison.MORE: _SIGNS[Comparison.LESS],
}
#: Parts of a fragment that no rule has a say in, by name.
_Constant: TypeAlias = dict[str, sql.Composable]
_AND, _OR = sql.SQL(" AND "), sql.SQL(" OR ")


class CompiledRule(NamedTuple):
    """The members of a collection, as a part of a statement.

    Attributes:
        source: what stands behind FROM: the clients as `c`, and a WHERE, to which more conditions
            may be added with AND. It has the parameters `now` and, for rules over conditions,
            `min_age` and `heartbeat_interval`, which the caller gives.
        parameters: the rule's own, by name.
    """

    source: sql.Composed
    parameters: dict[str, Any]


def compiled(rule: Rule) -> CompiledRule:
    """Compile a rule."""
    compiler = _Compiler()
    condition = compiler.condition(rule)
    view = {name: sql.Placeholder(name) for name in ("now", "min_age", "heartbeat_interval")}
    source = _fragment("members").format(
        conditions=compiler.joined("condition_of_clients").format(**view),
        versions=compiler.joined("versions_of_clients"),
        rule=condition,
    )
    return CompiledRule(source, compiler.parameters)


class _Compiler:
    """Goes through one rule and collects its parameters.

    Attributes:
        parameters: by name.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self._joins: set[str] = set()

    def joined(self, name: str) -> sql.SQL:
        """The fragment of a join that some term needs; an empty one if none does."""
        return _fragment(name) if name in self._joins else sql.SQL("")

    @singledispatchmethod
    def condition(self, rule: Rule) -> sql.Composed:
        """The condition that a value of a rule stands for."""
        raise TypeError(rule)

    @condition.register
    def _(self, rule: Not) -> sql.Composed:
        return _fragment("not").format(part=self.condition(rule.part))

    @condition.register
    def _(self, rule: AllOf) -> sql.Composed:
        return self._joined(_AND, rule.parts)

    @condition.register
    def _(self, rule: AnyOf) -> sql.Composed:
        return self._joined(_OR, rule.parts)

    @condition.register
    def _(self, rule: HasState) -> sql.Composed:
        return self._of_topic("has_state", rule, state_ids=list(rule.state_ids))

    @condition.register
    def _(self, rule: EveryState) -> sql.Composed:
        return self._of_topic("every_state", rule, state_ids=list(rule.state_ids))

    @condition.register
    def _(self, rule: NoState) -> sql.Composed:
        return self._of_topic("no_state", rule)

    @condition.register
    def _(self, rule: NameIs) -> sql.Composed:
        return self._term("name_is", names=list(rule.names))

    @condition.register
    def _(self, rule: NameLike) -> sql.Composed:
        return self._term("name_like", pattern=_like(rule.pattern))

    @condition.register
    def _(self, rule: VersionIs) -> sql.Composed:
        self._joins.add("versions_of_clients")
        signed: _Constant = {"comparison": _SIGNS[rule.comparison]}
        return self._term("version_is", signed, parts=list(rule.parts))

    @condition.register
    def _(self, rule: Seen) -> sql.Composed:
        sign = _SIGNS_OF_MOMENTS[rule.comparison]
        signed: _Constant = {"comparison": sign, "now": sql.Placeholder("now")}
        return self._term("seen", signed, ago=rule.ago)

    @condition.register
    def _(self, rule: ConditionIs) -> sql.Composed:
        self._joins.add("condition_of_clients")
        return self._term("condition_is", conditions=list(rule.conditions))

    def _joined(self, by: sql.SQL, parts: tuple[Rule, ...]) -> sql.Composed:
        inner = by.join([self.condition(part) for part in parts])
        return sql.SQL("({})").format(inner)

    def _of_topic(
        self, name: str, rule: HasState | EveryState | NoState, **values: Any
    ) -> sql.Composed:
        values["topic_type"] = rule.topic_type
        if rule.topic_id is None:
            return self._term(name, **values)
        return self._term(f"{name}_of_topic", topic_id=rule.topic_id, **values)

    def _term(self, name: str, constant: _Constant | None = None, **values: Any) -> sql.Composed:
        placeholders = {key: self._parameter(value) for key, value in values.items()}
        return _fragment(name).format(**placeholders, **(constant or {}))

    def _parameter(self, value: Any) -> sql.Placeholder:
        name = f"rule_{len(self.parameters)}"
        self.parameters[name] = value
        return sql.Placeholder(name)


def _fragment(name: str) -> sql.SQL:
    # The file is part of the package and constant, so it is safe as a LiteralString.
    text = statements("runtime.collection_rules", "fragments.sql")[name]
    return sql.SQL(cast(LiteralString, text))  # type: ignore[redundant-cast]


def _like(pattern: str) -> str:
    """The pattern as LIKE writes it: its own signs are characters like all others."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
