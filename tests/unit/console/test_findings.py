"""What is wrong with a site, from what was read of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from console.findings import Finding, Severity, findings
from console.queries.clients import Completeness
from console.queries.rows import QueueTime, RulesWritten, Totals
from console.queries.workers import InQuarantine, WorkerRow
from console.status.gather import (
    BrokerStatus,
    DatabaseStatus,
    DeadLetterCount,
    DifferingLoader,
    HistoryStatus,
    QueueStatus,
    SiteStatus,
    Status,
)
from schemas.errors import ExitCode
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, QUARANTINE, QUEUES, REPORTS, RESYNC, in_shard

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
REPLIES = "statesys.resync.0123abcd"


def queues(
    changed: Mapping[str, tuple[int | None, int | None]] | None = None,
) -> list[QueueStatus]:
    """All queues: empty, and each with a consumer; some of them changed: (ready, consumers)."""
    names = [*(queue.name for queue in QUEUES), REPLIES]
    return [
        QueueStatus(name, "things", ready, consumers, None, None, None, None)
        for name in names
        for ready, consumers in [(changed or {}).get(name, (0, 1))]
    ]


def broker(
    changed: Mapping[str, tuple[int | None, int | None]] | None = None,
    dead: list[DeadLetterCount] | None = None,
    *,
    cut: bool = False,
) -> BrokerStatus:
    return BrokerStatus(queues(changed), dead or [], cut, management=False)


TOTALS = Totals(
    *(None, 10, 0, 0, 0, 0, 0, 0, 0, [], 0, 0, 0, 0, None, 0, True),
)
HISTORY = HistoryStatus(None, 0, 0, None, None, days_ahead=7, today=True, retention=None)
HEALTHY = DatabaseStatus(
    site=SiteStatus({"resyncs_per_check": "500"}, RulesWritten("loader", "a:1", NOW), []),
    totals=TOTALS,
    messages=0,
    messages_exact=True,
    queue_time=QueueTime(0, None, None, None),
    history=HISTORY,
    workers=[],
    worker_totals=[],
    completeness=Completeness(NOW, {"complete": 10}),
    quarantine=InQuarantine(0, None),
    missing_since=None,
)


def worker(pid: int, *, late: bool = False, role: str = "relay", version: str = "1") -> WorkerRow:
    seen = NOW - timedelta(minutes=pid)
    return WorkerRow(
        *(UUID(int=pid), role, "host-1", pid, version, seen, seen, seen, late, None, None),
        *(0, 0, 0, 0, 0, 0, {}),
    )


def judged(
    of_broker: BrokerStatus | None = None,
    of_database: DatabaseStatus | None = None,
    clients: Mapping[str, int] | None = None,
) -> list[Finding]:
    status = Status(NOW, of_broker or broker(), of_database or HEALTHY, [], ExitCode.DONE)
    return findings(status, Completeness(NOW, clients or {"complete": 10}), NOW)


def test_a_healthy_site_has_none() -> None:
    assert judged() == []


def test_a_server_that_is_away_comes_first_and_its_error_is_the_sentence() -> None:
    away = Status(NOW, None, HEALTHY, ["RabbitMQ is not there"], ExitCode.BROKER)
    (found,) = findings(away, None, NOW)
    assert found.sentence == "RabbitMQ is not there"
    assert (found.severity, found.name) == (Severity.CRITICAL, "broker away")
    both = Status(NOW, None, None, ["no database", "no broker"], ExitCode.BROKER)
    assert [(one.name, one.sentence) for one in findings(both, None, NOW)] == [
        ("database away", "no database"),
        ("broker away", "no broker"),
    ]


def test_a_stage_without_worker_is_critical_only_when_messages_wait() -> None:
    (idle,) = judged(broker({REPORTS: (0, 0)}))
    assert (idle.severity, idle.sentence) == (Severity.WARNING, "no relay is at work")
    (standing,) = judged(broker({REPORTS: (1, 0)}))
    assert standing.severity is Severity.CRITICAL
    assert standing.sentence == "no relay is at work, and 1 report waits for one"
    assert standing.command == "statesys relay run"
    (loader,) = judged(broker(dict.fromkeys(INCOMING.values(), (2, 0))))
    assert loader.sentence == "no loader is at work, and 6 batches wait for one"
    assert judged(broker({INCOMING[next(iter(INCOMING))]: (5, 0)})) == []


def test_a_shard_without_a_worker_is_told_with_what_waits_there() -> None:
    more = [
        QueueStatus(in_shard(REPORTS, 1), "reports", 4, 0, None, None, None, None),
        QueueStatus(in_shard(REPORTS, 2), "reports", 3, 0, None, None, None, None),
        QueueStatus(in_shard(INCOMING[Lane.LOW], 1), "batches", 0, 1, None, None, None, None),
        QueueStatus(in_shard(INCOMING[Lane.HIGH], 1), "batches", 0, 0, None, None, None, None),
    ]
    site = broker()
    (found,) = judged(site._replace(queues=[*site.queues, *more]))
    assert (found.severity, found.number) == (Severity.CRITICAL, 7)
    assert found.sentence == "no relay is at work in shard 1, 2, and 7 reports wait for one"


def test_queues_without_a_leader_are_the_first_finding() -> None:
    site = broker({DEAD: (None, None)})
    queues = [
        queue._replace(available=queue.name not in (REPORTS, RESYNC)) for queue in site.queues
    ]
    found, other = judged(site._replace(queues=queues))
    assert (found.severity, found.number) == (Severity.CRITICAL, 2)
    assert f"2 queues have no leader, so they take and give no message: {REPORTS}, {RESYNC}" in (
        found.sentence
    )
    assert other.name == "missing queues"


def test_missing_queues_are_one_finding() -> None:
    (found,) = judged(broker({DEAD: (None, None), QUARANTINE: (None, None)}))
    assert (found.number, found.command) == (2, "statesys topology check")
    assert found.sentence == f"2 queues are missing: {DEAD}, {QUARANTINE}"


def test_a_queue_that_nobody_reads_is_told_unless_nobody_should() -> None:
    found = judged(broker({RESYNC: (3, 0), REPLIES: (1, 0), DEAD: (9, 0), QUARANTINE: (1, 0)}))
    assert [(one.name, one.number) for one in found] == [
        (f"unread {RESYNC}", 3),
        (f"unread {REPLIES}", 1),
    ]


def test_dead_letters_are_told_by_reason_with_its_meaning() -> None:
    letters = [
        DeadLetterCount("relay", "not_well_formed", 3),
        DeadLetterCount("loader", "database", 1),
        DeadLetterCount("relay", "quarantined", 7),
        DeadLetterCount("unknown", "a&b", 1),
    ]
    found = judged(broker(dead=letters, cut=True))
    assert [one.name for one in found] == [
        *("dead not_well_formed", "dead database", "dead a&b", "dead quarantined"),
    ]
    assert found[0].sentence.startswith("at least 3 dead letters for not_well_formed (not well-")
    assert "replay" in found[1].sentence
    # A reason of a stranger is put into no URL and no command.
    assert (found[2].page, found[2].command) == ("/dead", "statesys dead list")


def test_a_missing_partition_is_worse_today_than_tomorrow() -> None:
    today = HEALTHY._replace(history=HISTORY._replace(days_ahead=0, today=False))
    (found,) = judged(of_database=today)
    assert found.severity is Severity.CRITICAL
    tomorrow = HEALTHY._replace(history=HISTORY._replace(days_ahead=0))
    (found,) = judged(of_database=tomorrow)
    assert found.severity is Severity.WARNING


def test_lost_workers_are_named_since_the_first_was_seen_last() -> None:
    half = HEALTHY._replace(workers=[worker(3, late=True), worker(5, late=True), worker(1)])
    (found,) = judged(of_database=half)
    assert (found.number, found.since) == (2, NOW - timedelta(minutes=5))
    assert "relay host-1:5, relay host-1:3, last seen 3 min ago" in found.sentence


def test_loaders_with_other_rules_and_workers_of_other_versions_are_told() -> None:
    site = HEALTHY.site._replace(differing=[DifferingLoader("a:1", {"resyncs_per_check": "7"})])
    half = HEALTHY._replace(site=site, workers=[worker(1), worker(2, version="2")])
    rules, versions = judged(of_database=half)
    assert rules.sentence.startswith("1 loader was started with other rules")
    assert versions.sentence == "the workers are of 2 versions: 1, 2"


def test_requests_that_should_have_been_sent_are_told_since_then() -> None:
    due = NOW - timedelta(minutes=10)
    totals = TOTALS._replace(unsent=4, pending=5, next_unsent_at=due, unanswered=1)
    unsent, unanswered = judged(of_database=HEALTHY._replace(totals=totals))
    assert (unsent.number, unsent.since) == (4, due)
    assert unanswered.sentence == "1 resync request got no answer"
    soon = totals._replace(next_unsent_at=NOW + timedelta(hours=1), unanswered=0)
    assert judged(of_database=HEALTHY._replace(totals=soon)) == []


def test_old_totals_and_a_quarantine_are_told() -> None:
    since = NOW - timedelta(days=1)
    half = HEALTHY._replace(totals=TOTALS._replace(as_of=since), quarantine=InQuarantine(1, since))
    old, quarantine = judged(of_database=half)
    assert old.name == "totals are old"
    assert quarantine.sentence.startswith("1 client is in quarantine")
    assert old.since == quarantine.since == since


def test_conditions_of_clients_come_in_order_of_harm() -> None:
    totals = TOTALS._replace(missing_ranges=1, missing_serials=3)
    clients = {"quiet": 2, "gaps": 1, "silent": 1, "duplicate identity": 1, "complete": 5}
    since = NOW - timedelta(days=3)
    half = HEALTHY._replace(totals=totals, missing_since=since)
    found = judged(of_database=half, clients=clients)
    assert [one.name for one in found] == ["duplicate identity", "gaps", "silent", "quiet"]
    assert found[1].sentence == "1 client has gaps: 3 messages are missing in 1 range"
    assert found[1].since == since
    assert found[0].page == "/clients?condition=duplicate+identity"
    assert found[0].command == "statesys clients --condition 'duplicate identity'"


def test_silent_clients_with_gaps_are_told_as_silent_too() -> None:
    half = HEALTHY._replace(totals=TOTALS._replace(silent=2))
    gaps, silent = judged(of_database=half, clients={"gaps": 2, "complete": 8})
    assert gaps.sentence == "2 clients have gaps"
    assert silent.number == 2
    assert silent.page == "/resyncs?state=unanswered"
