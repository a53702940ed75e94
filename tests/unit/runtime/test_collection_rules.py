"""The rules of collections: what a text means, and where it stops being a rule."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.completeness import sentence
from console.queries.clients import Completeness
from runtime.collection_rules import RuleRefused, compiled, parse_rule, require_collection_name
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
from tests.support.paths import ROOT

ONE = HasState(301, None, (3,))
WEEK = Seen(Comparison.LESS, timedelta(days=7))
GAPS = ConditionIs(("gaps",))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("state(301) = 3", ONE),
        ("STATE ( 301 )\n=\t3 ", ONE),
        ("state(402, 'it''s') in (3, -4)", HasState(402, "it's", (3, -4))),
        ("state(301) = 'Waiting for another installation'", ONE),
        ("state(301) = 'WAITING FOR ANOTHER installation to complete'", ONE),
        ("state(301) in ('Compliant', 3)", None),
        ("every(301, 'a') = 4", EveryState(301, "a", (4,))),
        ("no state(300)", NoState(300, None)),
        ("no state(300, 'a')", NoState(300, "a")),
        ("name = 'a'", NameIs(("a",))),
        ("name in ('a', 'b')", NameIs(("a", "b"))),
        ("name != 'a'", Not(NameIs(("a",)))),
        ("name like 'NB-*'", NameLike("NB-*")),
        ("version < '5.00.9122'", VersionIs(Comparison.LESS, (5, 0, 9122))),
        ("version <> '05.00.0'", VersionIs(Comparison.UNEQUAL, (5,))),
        ("version >= '0.0'", VersionIs(Comparison.AT_LEAST, ())),
        ("seen < 7d", WEEK),
        ("seen >= 1.5h", Seen(Comparison.AT_LEAST, timedelta(minutes=90))),
        ("condition = gaps", GAPS),
        ("condition = Duplicate  Identity", ConditionIs(("duplicate identity",))),
        ("condition in (gaps, 'silent')", ConditionIs(("gaps", "silent"))),
        ("condition != gaps", Not(GAPS)),
        ("not seen < 7d", Not(WEEK)),
        ("any(seen < 7d)", WEEK),
        ("(((seen < 7d)))", WEEK),
        ("any(seen < 7d, condition = gaps)", AnyOf((WEEK, GAPS))),
        ("all(seen < 7d, condition = gaps)", AllOf((WEEK, GAPS))),
        ("seen < 7d and condition = gaps and state(301) = 3", AllOf((WEEK, GAPS, ONE))),
        ("seen < 7d or condition = gaps and state(301) = 3", AnyOf((WEEK, AllOf((GAPS, ONE))))),
        ("not seen < 7d and condition = gaps", AllOf((Not(WEEK), GAPS))),
    ],
)
def test_a_text_means_this(text: str, rule: Rule | None) -> None:
    if rule is None:
        with pytest.raises(RuleRefused, match="'Compliant' is no state of topic type 301"):
            parse_rule(text)
    else:
        assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("state(301) 3", "column 12: expected in, =; '3' stands there"),
        ("state(301) = ", "column 13: expected a number, a text in single quotes; the rule ends"),
        ("seen < 7d seen < 8d", "column 11: expected and, or, the end of the rule; 'seen < 8d'"),
        ("state(301) != 3", "column 12: expected in, ="),
        ("seen < 7", "column 8: expected a duration such as 7d, 12h or 30m"),
        ("seen < 7 days", "column 8: expected a duration"),
        ("name like 'x", "column 11: expected a text in single quotes"),
        ("seen < 1d; DROP", "column 10: expected and, or, the end of the rule; '; DROP'"),
        ("any()", "column 5: expected all, any, condition, every, name, no, not, seen, state"),
        ("state(301) = 4294967296", "column 14: 4294967296 is not in -2147483648 to 4294967295"),
        ("state(2147483648) = 1", "column 7: 2147483648 is not in"),
        ("state(301) = 'W'", "column 14: 'W' may be several states of topic type 301: 2 'Wait"),
        ("state(301) = ''", "column 14: '' is no state of topic type 301; there are 0 'Enf"),
        ("state(99) = 'x'", "column 13: the catalogue names no states of topic type 99"),
        ("version = '5.x'", "column 11: '5.x' is no version: write numbers with dots"),
        ("version = '1234567890'", "is no version"),
        ("version = '\u0665'", "is no version"),
        ("seen < 99999d", "column 8: '99999d' is longer than 36500d"),
        ("condition = 'dead'", "column 13: 'dead' is no condition; there are duplicate identity,"),
        ("name = 'a\x00'", r"column 10: a rule has no character '\\x00'"),
        ("name = '\udc80'", "column 9: a rule has no character"),
        (" ", "a rule is missing"),
        ("x" * 4001, "at most 4,000 characters, and this one has 4,001"),
        ("not " * 20 + "seen < 1d", "at most 20 levels of not, and, or"),
        ("not " * 990 + "seen < 1d", "at most 20 levels of not, and, or"),
        (" or ".join(["seen < 1d"] * 51), "at most 50 terms, and this one has 51"),
    ],
)
def test_what_is_no_rule_is_refused_and_told_where(text: str, words: str) -> None:
    with pytest.raises(RuleRefused) as refused:
        parse_rule(text)
    assert words.replace("\\\\", "\\") in str(refused.value)
    assert refused.value.exit_code == 2


@given(st.text(max_size=60) | st.text("stae(301)=3and' <7dnoi,", max_size=60))
def test_no_text_does_anything_but_be_a_rule_or_be_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except RuleRefused:
        return
    compiled(rule)


@given(st.text(max_size=70))
def test_a_name_of_a_collection_is_plain(text: str) -> None:
    try:
        name = require_collection_name(text)
    except RuleRefused:
        return
    assert name == text
    assert name.isascii()
    assert 1 <= len(name) <= 64
    assert name.replace("-", "a").isalnum()


def test_no_value_of_a_rule_becomes_a_part_of_a_statement() -> None:
    words = "it''s %s {x} -- ; DROP"
    text = f"name like '{words}*' and name = '{words}' and state(7777, '{words}') = 8888"
    source, parameters = compiled(parse_rule(text))
    statement = source.as_string()
    assert not any(value in statement for value in ("DROP", "7777", "8888", "{x}"))
    assert len(parameters) == 5


def test_the_sentence_of_completeness_knows_every_condition() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    told = sentence(Completeness(now, dict.fromkeys(CONDITIONS, 1)), now)
    assert told.startswith("of 5 clients 1 is complete up to its last report")
    assert told.count(", ") == len(CONDITIONS) - 1
    none = sentence(Completeness(now, {}), now)
    assert none.startswith("of 0 clients 0 are complete up to their last report; as of 2026-03-02")


def test_each_example_of_the_page_is_a_rule() -> None:
    page = (ROOT / "docs" / "collections.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    rules = [row.split("`")[1] for row in rows]
    assert len(rules) > 8
    for rule in rules:
        parse_rule(rule)
