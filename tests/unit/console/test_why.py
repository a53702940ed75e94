"""The rules of `statesys why`: each alone, their order, and what they say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.dead.search import ClientLetter
from console.queries.rows import (
    ClientRow,
    DueRow,
    MessageRow,
    RequestRow,
    StateRow,
)
from console.queries.why import Changes, OpenRange, Since
from console.why.facts import BrokerFacts, Facts, Topic
from console.why.verdict import RULES, Verdict, answer
from runtime.broker.administration import QueueDepth
from runtime.broker.dead_letters import Letter
from schemas.report import Lane
from schemas.serials import SerialRanges
from schemas.topology import INCOMING, REPORTS, work
from tests.support.paths import ROOT
from tests.unit.test_docs import table

WORK = work(shards=1)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLIENT = UUID("11111111-1111-4111-8111-111111111111")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOPIC = Topic(301, "{A}")


def client(*, accounted: Sequence[tuple[int, int]] = ((1, 9),), **changes: Any) -> ClientRow:
    found = ClientRow(
        client_id=CLIENT,
        name="PC-1",
        version="5.00",
        highest_serial=9,
        accounted=SerialRanges(accounted),
        resynced_below=0,
        reuse_seen_at=None,
        duplicate_identity_at=None,
        reply_queue=None,
        first_seen=NOW - 90 * DAY,
        last_seen=NOW - HOUR / 12,
        last_message_time=None,
        duplicates=0,
        superseded=0,
        reused=0,
    )
    return found._replace(**changes)


def facts(**changes: Any) -> Facts:
    """A client of which all is there, at a site whose queues are empty."""
    known = Facts(
        at=NOW,
        client_id=CLIENT,
        heartbeat_interval=HOUR / 4,
        client=client(),
        condition="complete",
        changes=Changes(3, NOW - 40 * DAY),
        front=NOW - timedelta(seconds=1),
        broker=BrokerFacts(queues=dict.fromkeys(WORK, QueueDepth(0, 1))),
    )
    return replace(known, **changes)


def gap(first: int = 3, last: int = 4, *, merged: bool = False) -> OpenRange:
    return OpenRange(first, last, merged, NOW - HOUR)


def letter(
    first: int = 3,
    last: int = 4,
    *,
    name: str = "L1",
    topics: frozenset[tuple[int, str]] | None = None,
) -> ClientLetter:
    found = Letter(
        name=name,
        stage="relay",
        reason="not_well_formed",
        detail="line 1",
        queue=REPORTS,
        client=str(CLIENT),
        first_serial=first,
        last_serial=last,
        first_refused_at="2026-03-01T11:00:00+00:00",
        size=10,
    )
    return ClientLetter(found, SerialRanges([(first, last)]), topics)


def state(serial: int | None = 5, **changes: Any) -> StateRow:
    found = StateRow(301, "{A}", "", 2, 0, serial, NOW - 40 * DAY, b"", [], None)
    return found._replace(**changes)


def message(serial: int | None = 5, **changes: Any) -> MessageRow:
    found = MessageRow(
        *(serial, None, b"", 301, "{A}", "", 2, 0, NOW - DAY, NOW - DAY, None, NOW - DAY),
        *(CLIENT, CLIENT, False, None, NOW - DAY),
    )
    return found._replace(**changes)


def request(**changes: Any) -> RequestRow:
    found = RequestRow(
        *(CLIENT, "missing", SerialRanges(), 9, NOW - HOUR, NOW - HOUR, None, None, None, None, 1)
    )
    return found._replace(**changes)


def backlog(ready: int = 5000, consumers: int = 0) -> dict[str, QueueDepth]:
    return {**dict.fromkeys(WORK, QueueDepth(0, 1)), REPORTS: QueueDepth(ready, consumers)}


#: What makes each rule about a client fit, in the order of the rules.
SIGNS: dict[Verdict, dict[str, Any]] = {
    Verdict.DUPLICATE_IDENTITY: {"duplicate_identity": NOW - DAY},
    Verdict.ROLLED_BACK: {"reuse": NOW - DAY},
    Verdict.DEAD_LETTER: {"letters": [letter()], "accounted": [(1, 2), (5, 9)]},
    Verdict.MISSING: {"ranges": [gap()], "accounted": [(1, 2), (5, 9)]},
    Verdict.WAITING: {"queues": backlog(), "front": NOW - DAY, "last_seen": NOW - DAY},
    Verdict.SILENT: {"silent": NOW - DAY},
    Verdict.QUIET: {"quiet": NOW - DAY, "last_seen": NOW - 2 * DAY},
    Verdict.CURRENT: {},
}
_SINCE, _BROKER, _CLIENT = Since._fields, ("letters", "queues"), ("accounted", "last_seen")


def signs(*verdicts: Verdict, topic: Topic | None = None) -> Facts:
    """Facts with the signs of several verdicts; the first one's value of a field counts."""
    given: dict[str, Any] = {}
    for verdict in verdicts:
        given = {**SIGNS[verdict], **given}
    known = facts(topic=topic)
    assert known.broker is not None
    return replace(
        known,
        since=Since(**{name: given[name] for name in _SINCE if name in given}),
        broker=known.broker._replace(**{name: given[name] for name in _BROKER if name in given}),
        client=client(**{name: given[name] for name in _CLIENT if name in given}),
        ranges=given.get("ranges", []),
        front=given.get("front", known.front),
    )


@pytest.mark.parametrize("verdict", SIGNS)
def test_each_rule_about_a_client_fits_its_signs_alone(verdict: Verdict) -> None:
    given = signs(verdict)
    fitting = [rule.verdict for rule in RULES if rule.fits(given)]
    # The two last ones are for those that nothing is the matter with.
    assert fitting[0] == verdict
    assert set(fitting[1:]) <= {Verdict.CURRENT, Verdict.UNEXPLAINED}


@pytest.mark.parametrize(("first", "second"), [*combinations(SIGNS, 2)])
def test_of_two_rules_that_fit_the_first_wins(first: Verdict, second: Verdict) -> None:
    assert answer(signs(first, second)).verdict == first


def test_every_verdict_has_one_rule() -> None:
    assert [rule.verdict for rule in RULES] == list(Verdict)


def test_the_page_for_operators_has_the_verdicts_in_their_order() -> None:
    page = ROOT / "docs" / "operations.md"
    rows = table(page, "verdict", "it fits when", "what to do")
    assert [row[0] for row in rows] == [f"`{verdict}`" for verdict in Verdict]


# -- the client ------------------------------------------------------------------------------


def test_an_old_last_change_with_a_complete_ledger_means_nothing_changed() -> None:
    said = answer(facts()).sentence
    assert said == (
        f"PC-1 ({CLIENT}) is current: last seen 2026-03-01 11:55:00 UTC (5 min ago), complete up "
        "to serial 9; its states last changed 2026-01-20 12:00:00 UTC (40 d ago), and with a "
        "complete ledger that means that nothing changed since; see them: "
        f"`statesys states {CLIENT}`"
    )


def test_of_a_client_that_numbers_nothing_nothing_is_claimed() -> None:
    said = answer(facts(client=client(highest_serial=0, accounted=()))).sentence
    assert "it numbers no messages, so the server cannot tell whether one is missing" in said
    assert "nothing changed" not in said
    assert "complete up to" not in said


def test_an_unknown_client_was_never_heard_of() -> None:
    found = answer(facts(client=None, condition=None, front=None))
    assert found.verdict == "unknown client"
    assert found.sentence.startswith(f"Client {CLIENT} was never heard of: no report of it was")
    assert "no dead letter names it" in found.sentence
    assert found.command == "statesys status"


def test_what_was_not_looked_at_is_not_told() -> None:
    said = answer(facts(client=None, broker=None)).sentence
    assert "dead letter" not in said
    assert answer(facts(broker=None)).verdict == "current"


def test_reports_of_an_unknown_client_may_wait_or_lie_in_a_dead_letter() -> None:
    waiting = facts(client=None, broker=BrokerFacts(queues=backlog(1, 1)))
    assert "one may be among about 1 report in queue mp_relayendpoint" in answer(waiting).sentence
    refused = answer(facts(client=None, broker=BrokerFacts(letters=[letter()])))
    assert refused.verdict == "dead letter"
    assert "(serials 3-4) that lie in a dead letter: refused by relay" in refused.sentence
    assert refused.command == "statesys dead show L1"


@pytest.mark.parametrize(
    ("accounted", "ranges", "verdict"),
    [
        # It arrived again, or a resync overtook it.
        ([(1, 9)], [], "current"),
        ([(1, 2), (5, 9)], [gap()], "dead letter"),
        ([(1, 3), (5, 9)], [gap(4, 4)], "dead letter"),
        # Above all that arrived: the last report was refused.
        ([(1, 2)], [], "dead letter"),
        # Another serial is missing.
        ([(1, 6), (8, 9)], [gap(7, 7)], "missing"),
        # The serials of a merged range are accounted for.
        ([(1, 9)], [gap(1, 8, merged=True)], "dead letter"),
    ],
)
def test_a_dead_letter_counts_as_long_as_its_messages_did_not_come(
    accounted: list[tuple[int, int]], ranges: list[OpenRange], verdict: str
) -> None:
    given = facts(
        client=client(accounted=accounted, highest_serial=accounted[-1][1]),
        ranges=ranges,
        broker=BrokerFacts(letters=[letter()]),
    )
    assert answer(given).verdict == verdict


DUE = DueRow("missing", NOW - HOUR, None, None)


@pytest.mark.parametrize(
    ("due", "asked", "words", "command"),
    [
        (DUE._replace(at=NOW), [], "not asked yet, to be asked now", "gaps"),
        (
            DUE._replace(at=NOW + DAY, held_by="too young"),
            [],
            "not asked yet, to be asked in 1 d (too young)",
            "gaps",
        ),
        (
            DUE._replace(held_by="open request"),
            [request(requested_at=NOW + HOUR, sent_at=None)],
            "to be asked 2026-03-01 13:00:00 UTC (in 1 h)",
            "trace",
        ),
        (
            DUE._replace(held_by="open request"),
            [request()],
            "asked 2026-03-01 11:00:00 UTC (1 h ago), no answer yet",
            "trace",
        ),
        (
            DUE._replace(at=NOW + DAY, held_by="merge interval"),
            [request(closed_at=NOW, closed_how="unanswered")],
            "asked 2026-03-01 11:00:00 UTC (1 h ago), unanswered, to be asked in 1 d (merge",
            "resync request",
        ),
        (
            DUE._replace(held_by="silent"),
            [request(requested_at=NOW - DAY, closed_at=NOW - DAY, closed_how="unanswered")],
            "not asked yet, not asked: silent",
            "resync request",
        ),
        # A claim that nobody asked for is no request.
        (
            DUE._replace(at=NOW),
            [request(requested_at=None, sent_at=None, reason=None)],
            "not asked yet, to be asked now",
            "gaps",
        ),
    ],
)
def test_what_is_missing_was_asked_for_or_is_going_to_be(
    due: DueRow, asked: list[RequestRow], words: str, command: str
) -> None:
    found = answer(facts(ranges=[gap(), gap(7, 7)], due=due, requests=asked))
    assert "lacks 3 messages (serials 3-4, 7) since 2026-03-01 11:00:00 UTC" in found.sentence
    assert words in found.sentence
    assert found.command == f"statesys {command} {CLIENT}"


def test_a_sentence_names_some_ranges_and_counts_the_others() -> None:
    said = answer(facts(ranges=[gap(n, n) for n in (1, 3, 5, 7, 9)])).sentence
    assert "5 messages (serials 1, 3, 5 and 2 more ranges)" in said


def test_a_sentence_counts_further_ranges_of_a_dead_letter_too() -> None:
    found = letter()._replace(serials=SerialRanges([(1, 1), (3, 4), (6, 6), (8, 8), (10, 10)]))
    said = answer(facts(client=None, broker=BrokerFacts(letters=[found]))).sentence
    assert "(serials 1, 3-4, 6 and 2 more ranges) that lie in a dead letter" in said


@pytest.mark.parametrize(
    ("last_seen", "front", "ready", "waits"),
    [
        # Everything stands still since it was last heard of.
        (2 * HOUR, 2 * HOUR, 5000, True),
        # What it sent two hours ago would be here: the site has loaded what was sent since.
        (2 * HOUR, timedelta(0), 5000, False),
        # Nothing is overdue.
        (HOUR / 12, 2 * HOUR, 5000, False),
        # Nothing waits.
        (2 * HOUR, 2 * HOUR, 0, False),
        # Nothing was ever loaded.
        (2 * HOUR, None, 1, True),
    ],
)
def test_a_report_may_wait_only_where_one_that_was_sent_in_time_still_would(
    last_seen: timedelta, front: timedelta | None, ready: int, *, waits: bool
) -> None:
    given = facts(
        client=client(last_seen=NOW - last_seen),
        front=None if front is None else NOW - front,
        broker=BrokerFacts(queues=backlog(ready)),
        since=Since(quiet=NOW - HOUR),
    )
    assert answer(given).verdict == ("waiting" if waits else "quiet")


def test_the_fullest_queue_is_named_with_what_it_holds() -> None:
    queues = {REPORTS: QueueDepth(3, 1), INCOMING[Lane.NORMAL]: QueueDepth(7000, 2)}
    given = replace(signs(Verdict.WAITING), broker=BrokerFacts(queues=queues))
    said = answer(given).sentence
    assert (
        "behind or among about 7,000 batches in queue statesys.incoming: the database has what "
        "clients sent until about 2026-02-28 12:00:00 UTC (1 d ago), and it was last seen" in said
    )
    assert "whether it sent one cannot be seen" in said
    assert "which nobody takes" in answer(signs(Verdict.WAITING)).sentence


# -- one state -------------------------------------------------------------------------------


def on_topic(**changes: Any) -> Facts:
    return facts(topic=TOPIC, states=[state()], messages=[message()], **changes)


def test_a_current_state_is_told_with_its_name_and_serial() -> None:
    found = answer(on_topic())
    assert found.verdict == "current"
    assert "topic 301 STATE_TOPICTYPE" in found.sentence
    assert "{A}: state 2 '" in found.sentence
    assert "since 2026-01-20 12:00:00 UTC (40 d ago), serial 5; last seen" in found.sentence
    assert "complete up to serial 9, and with a complete ledger that means" in found.sentence
    assert found.command == f"statesys trace {CLIENT} 5"


@pytest.mark.parametrize(
    ("states", "topic_id", "missing", "verdict"),
    [
        ([state(5)], "{A}", gap(3, 4), "current"),
        ([state(5)], "{A}", gap(3, 6), "missing"),
        ([state(5)], "{A}", gap(6, 6), "missing"),
        ([state(None)], "{A}", gap(3, 4), "missing"),
        ([], "{A}", gap(3, 4), "missing"),
        # Another user's state, or another topic's, may be among them.
        ([state(5), state(6, user_sid="S-1")], "{A}", gap(3, 4), "missing"),
        ([state(5)], None, gap(3, 4), "missing"),
    ],
)
def test_what_is_older_than_a_state_cannot_change_it(
    states: list[StateRow], topic_id: str | None, missing: OpenRange, verdict: str
) -> None:
    given = facts(topic=Topic(301, topic_id), states=states, ranges=[missing], condition="gaps")
    found = answer(given)
    assert found.verdict == verdict
    if verdict == "current":
        assert "complete from serial 5 up to serial 9" in found.sentence
    else:
        assert "among which may be a newer state" in found.sentence


@pytest.mark.parametrize(
    ("topics", "first", "verdict"),
    [
        (None, 7, "dead letter"),
        (frozenset({(301, "{A}")}), 7, "dead letter"),
        (frozenset({(301, "{B}"), (500, "{A}")}), 7, "current"),
        (None, 3, "current"),
    ],
)
def test_a_dead_letter_matters_if_it_may_hold_a_newer_state(
    topics: frozenset[tuple[int, str]] | None, first: int, verdict: str
) -> None:
    given = on_topic(
        client=client(accounted=[(1, 2), (5, 6), (9, 9)]),
        broker=BrokerFacts(letters=[letter(first, first + 1, topics=topics)]),
    )
    assert answer(given).verdict == verdict


def test_a_state_that_a_resync_did_not_bring_is_overtaken() -> None:
    answered = request(first_serial=8, last_serial=9, closed_at=NOW - HOUR, closed_how="answered")
    given = facts(
        topic=TOPIC,
        messages=[message(5)],
        client=client(resynced_below=8),
        requests=[answered],
    )
    found = answer(given)
    assert found.verdict == "overtaken"
    assert "with serial 5, loaded 2026-02-28 12:00:00 UTC (1 d ago)" in found.sentence
    assert "completed 2026-03-01 11:00:00 UTC (1 h ago), brought its whole state" in found.sentence
    assert found.command == f"statesys trace {CLIENT} 5"


def test_a_topic_may_never_have_been_reported() -> None:
    found = answer(facts(topic=TOPIC))
    assert found.verdict == "never reported"
    assert "complete up to serial 9" in found.sentence
    quiet = answer(replace(signs(Verdict.QUIET), topic=TOPIC))
    assert quiet.verdict == "quiet"
    assert "the server has no state of topic 301" in quiet.sentence


@pytest.mark.parametrize("topic_type", [700, 701])
def test_signs_of_life_are_no_states(topic_type: int) -> None:
    assert answer(facts(topic=Topic(topic_type, "x"))).verdict == "no state"


def test_a_message_without_a_state_is_never_explained_away() -> None:
    found = answer(facts(topic=TOPIC, messages=[message(5)]))
    assert (found.verdict, "should not happen" in found.sentence) == ("unexplained", True)
    reused = answer(facts(topic=TOPIC, messages=[message(5, reused=True)]))
    assert "serials were used before" in reused.sentence


# -- any facts -------------------------------------------------------------------------------

moments = st.integers(-1000, 1000).map(lambda hours: NOW - hours * HOUR)
texts = st.text(max_size=20)
maybe = st.none() | moments
serials = st.integers(1, 12)
clients = st.builds(
    lambda name, highest, seen, below: client(
        name=name, highest_serial=highest, last_seen=seen, resynced_below=below
    ),
    *(texts, st.integers(0, 12), maybe, st.integers(0, 12)),
)
letters = st.builds(
    lambda first, name, detail: letter(first, first + 1)._replace(
        letter=replace(letter().letter, name=name, detail=detail)
    ),
    *(serials, st.from_regex(r"[!-~]{1,20}", fullmatch=True), texts),
)
brokers = st.none() | st.builds(
    BrokerFacts,
    st.lists(letters, max_size=2),
    st.booleans(),
    st.dictionaries(st.sampled_from(WORK), st.builds(QueueDepth, serials, st.integers(0, 2))),
)
any_facts = st.builds(
    facts,
    client=st.none() | clients,
    topic=st.none() | st.builds(Topic, st.sampled_from([301, 700, 4242]), st.none() | texts),
    since=st.builds(Since, maybe, maybe, maybe, maybe),
    ranges=st.lists(st.builds(lambda n: gap(n, n + 1), serials), max_size=5),
    requests=st.lists(
        st.builds(lambda at, sent: request(requested_at=at, sent_at=sent), maybe, maybe)
    ),
    states=st.lists(st.builds(state, st.none() | serials), max_size=2),
    messages=st.lists(st.builds(message, st.none() | serials), max_size=2),
    front=maybe,
    broker=brokers,
)


@given(any_facts)
def test_any_facts_have_an_answer_in_one_printable_line(given: Facts) -> None:
    if given.client is None:
        # What the database knows of a client that it does not know.
        given = replace(given, since=Since(), ranges=[], states=[], messages=[])
    if given.topic is None:
        # States and messages are those of the topic.
        given = replace(given, states=[], messages=[])
    found = answer(given)
    assert found.sentence.isprintable()
    assert str(CLIENT) in found.sentence
    assert found.sentence.endswith(f": `{found.command}`")
    first = next(rule.verdict for rule in RULES if rule.fits(given))
    assert found.verdict == first


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("2026-03-01T11:00:00+00:00", "at 2026-03-01 11:00:00 UTC (1 h ago)"),
        ("2026-03-01T13:00:00+02:00", "at 2026-03-01 11:00:00 UTC (1 h ago)"),
        # As the broker writes it.
        ("2026-03-01T11:00:00", "at 2026-03-01 11:00:00 UTC (1 h ago)"),
        *((header, "at an unknown time") for header in ("", "today", "0001-01-01T00:00:00+23:59")),
    ],
)
def test_a_refusal_is_told_with_its_moment_in_utc(header: str, told: str) -> None:
    found = letter()._replace(letter=replace(letter().letter, first_refused_at=header))
    said = answer(facts(client=None, broker=BrokerFacts(letters=[found]))).sentence
    assert f"refused by relay {told} for " in said


def test_a_client_in_quarantine_is_to_be_released() -> None:
    found = letter()._replace(letter=replace(letter().letter, reason="quarantined"))
    said = answer(facts(client=None, broker=BrokerFacts(letters=[found])))
    assert said.verdict == "dead letter"
    assert "put into quarantine" in said.sentence
    assert said.command == f"statesys client release {CLIENT}"


def test_a_name_from_a_letter_cannot_run_in_a_shell() -> None:
    given = facts(client=None, broker=BrokerFacts(letters=[letter(name="$(reboot);x")]))
    assert answer(given).command == "statesys dead show '$(reboot);x'"
