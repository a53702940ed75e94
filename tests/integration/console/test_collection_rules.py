"""Every rule picks out the clients that fulfil it, as plain Python tells; and does nothing else."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.queries.collections import CollectionQueries, CollectionRow
from loader.store.collections import CollectionStore
from runtime.collection_rules import Rule, RuleRefused, parse_rule
from runtime.collection_rules.rule import CONDITIONS
from tests.support.collection_rules import Case, Member, State, members, quoted, rules, write
from tests.support.world import Tables, open_tables

EXAMPLES = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
#: A collection that no loader evaluates.
NOWHERE = CollectionRow(0, "x", "", datetime.min, "", None, None, None, None)  # noqa: DTZ901


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as found:
        yield found


@pytest.fixture
def queries(database_url: str) -> Iterator[CollectionQueries]:
    with CollectionQueries.open(database_url, name="test") as found:
        yield found


@pytest.fixture
def store(database_url: str) -> Iterator[CollectionStore]:
    with closing(CollectionStore(database_url, name="test")) as found:
        yield found


@contextmanager
def one_moment(tables: Tables) -> Iterator[datetime]:
    """All rows are written at one moment of the database's clock, which stands still."""
    with tables.connection.transaction():
        ((now,),) = tables.rows("SELECT now()")
        yield now


@EXAMPLES
@given(site=st.lists(members, max_size=6), case=rules)
def test_a_rule_picks_out_whom_plain_python_picks_out(
    tables: Tables, queries: CollectionQueries, site: list[Member], case: Case
) -> None:
    with one_moment(tables) as now:
        ids = write(tables, site)
    rule = parse_rule(case.text)
    found = queries.members(NOWHERE, rule, now=now)
    truth = {who: one for who, one in zip(ids, site, strict=True) if case.holds(one)}
    assert [row.client_id for row in found] == sorted(truth)
    assert [row.condition for row in found] == [truth[row.client_id].condition for row in found]
    counts: dict[str, int] = {}
    for one in truth.values():
        counts[one.condition] = counts.get(one.condition, 0) + 1
    assert queries.member_conditions(rule, now=now) == counts


def test_the_conditions_of_rules_are_those_of_the_database(tables: Tables) -> None:
    ((text,),) = tables.rows("SELECT pg_get_functiondef('client_condition'::regproc)")
    told = re.findall(r"(?:THEN|ELSE) '([a-z ]+)'", text)
    assert tuple(told) == CONDITIONS


#: What breaks out of a text, ends a statement, is a placeholder, or is otherwise dear to somebody.
FRAGMENTS = (
    *("'", "''", '"', ";", "--", "/*", "*/", "\\", "%s", "%(now)s", "%%", "{}", "{rule}", "$1"),
    *("DROP TABLE statesys.client", "DELETE FROM statesys.client", "pg_sleep(100)", "UNION SELECT"),
    *("OR 1=1", "or", "and", "not", "(", ")", ",", "=", "in", "name", "state(301)", "like", "3"),
    *("$$", "E'\\x27'", "COPY client TO PROGRAM 'id'", "\u2019", "\uff07", " ", "\n", "seen < 1d"),
)
hostile = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=12).map("".join)


@EXAMPLES
@given(text=hostile)
def test_a_hostile_rule_is_refused_or_picks_out_clients_and_no_more(
    tables: Tables, queries: CollectionQueries, store: CollectionStore, text: str
) -> None:
    before = picture(tables)
    rule, refusal = read(text)
    if rule is None:
        assert len(refusal) < 2000
        assert refusal.isprintable()
    else:
        queries.members(NOWHERE, rule)
        store.create("hostile", text, replace=True)
        found = store.evaluate_next(now=store.now(), interval=timedelta(0))
        assert found is not None
        assert found.problem is None
        tables.rows("DELETE FROM collection RETURNING id")
    assert picture(tables) == before


# Three sites' rows are written for each text.
@settings(EXAMPLES, max_examples=40)
@given(text=hostile.filter(lambda text: all(c.isprintable() or c in "\n\t" for c in text)))
def test_a_hostile_text_in_quotes_means_itself(
    tables: Tables, queries: CollectionQueries, text: str
) -> None:
    site = [
        member(name=text, topic_id="topic"),
        member(name=f"{text}x", topic_id=text),
        member(name="other", topic_id="topic"),
    ]
    one, two, three = write(tables, site)
    # Letters whose case depends on the locale are somebody else's concern.
    same = [one] if text != "other" else [one, three]
    for rule, expected in (
        (f"name = {quoted(text)}", same),
        (f"not (name in ('-', {quoted(text)}))", sorted({one, two, three} - {*same})),
        (f"state(301, {quoted(text)}) = 3", [two]),
    ):
        found = queries.members(NOWHERE, parse_rule(rule))
        assert [row.client_id for row in found] == expected, rule


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1900 + "seen < 1d" + ")" * 1900,
        "not " * 19 + "seen < 1d",
        " or ".join(["state(301, 'a') = 3"] * 50),
        " and ".join(["state(301) = 3"] * 50),
        " and ".join(["every(301) = 3", "no state(300)", "condition = gaps"] * 16),
        "name in (" + ", ".join(["'1'"] * 790) + ")",
        f"name like '{'*a' * 1900}'",
        f"state(301) in ({', '.join(['3'] * 1200)})",
    ],
    ids=lambda text: text[:20],
)
def test_the_largest_rules_are_answered(
    tables: Tables, queries: CollectionQueries, text: str
) -> None:
    write(tables, [member(name="a" * 60, topic_id="a")] * 3)
    rule = parse_rule(text)
    queries.members(NOWHERE, rule)
    queries.member_conditions(rule)


def read(text: str) -> tuple[Rule | None, str]:
    """The rule, or why there is none."""
    try:
        return parse_rule(text), ""
    except RuleRefused as error:
        return None, str(error)


def picture(tables: Tables) -> list[Any]:
    """Everything that a rule could reach."""
    return [
        tables.rows(
            "SELECT relname, relnatts FROM pg_class WHERE relnamespace = "
            "'statesys'::regnamespace ORDER BY 1"
        ),
        *(tables.rows(f"SELECT * FROM {table} ORDER BY 1") for table in ("client", "collection")),
    ]


def member(*, name: str, topic_id: str) -> Member:
    states = [State(301, topic_id, "", 3)]
    return Member(name, "5", timedelta(0), timedelta(0), states, False, False, False)
