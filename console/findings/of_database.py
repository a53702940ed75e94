"""What is wrong with workers, partitions, resyncs and settings."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from console.findings.finding import Finding, Severity, are, were
from console.output import age, counted
from console.queries.workers import WorkerRow
from console.settings import used
from console.status.gather import DatabaseStatus

#: A loader sends a due request with its next check of the queue, within seconds.
_SENT_WITHIN = timedelta(minutes=2)
#: The loaders count the site's totals once an hour.
_COUNTED_WITHIN = timedelta(hours=3)
#: Workers that a sentence names.
_NAMED = 3


def _names(workers: list[WorkerRow]) -> str:
    named = ", ".join(f"{w.role} {w.host}:{w.pid}" for w in workers[:_NAMED])
    more = len(workers) - _NAMED
    return named + (f" and {more:,} more" if more > 0 else "")


def _partitions(half: DatabaseStatus, _now: datetime) -> Iterator[Finding]:
    run = "statesys loader run"
    if not half.history.today:
        words = "the history has no partition for today, so no message can be loaded"
        yield Finding(Severity.CRITICAL, "no partition today", None, words, command=run)
    elif not half.history.days_ahead:
        words = "the history has no partition for tomorrow: a running loader makes it"
        yield Finding(Severity.WARNING, "no partition ahead", None, words, command=run)


def _lost(half: DatabaseStatus, now: datetime) -> Iterator[Finding]:
    lost = sorted((w for w in half.workers if w.late), key=lambda worker: worker.seen_at)
    if lost:
        newest = age(max(now - lost[-1].seen_at, timedelta(0)))
        yield Finding(
            Severity.WARNING,
            "lost workers",
            len(lost),
            f"{counted(len(lost), 'worker')} {are(len(lost))} lost: {_names(lost)}, last seen "
            f"{newest} ago; what a lost worker held is delivered again",
            since=lost[0].seen_at,
        )


def _differing(half: DatabaseStatus, _now: datetime) -> Iterator[Finding]:
    site = half.site
    if site.differing:
        rules = sorted({rule for loader in site.differing for rule in loader.rules})
        count = len(site.differing)
        yield Finding(
            Severity.WARNING,
            "differing rules",
            count,
            f"{counted(count, 'loader')} {were(count)} started with other rules than the site's, "
            f"which all loaders follow: {', '.join(rules)}",
            command="statesys settings --site",
        )
    at_work = [worker for worker in half.workers if not worker.late]
    settings = sorted({f"{one.name} of {one.role}s" for one in used(at_work) if one.differs})
    if settings:
        yield Finding(
            Severity.NOTICE,
            "differing settings",
            len(settings),
            f"workers of one role differ in {counted(len(settings), 'setting')}: "
            + ", ".join(settings),
            command="statesys settings --site",
        )
    versions = sorted({worker.version for worker in at_work})
    if len(versions) > 1:
        yield Finding(
            Severity.NOTICE,
            "differing versions",
            len(versions),
            f"the workers are of {len(versions)} versions: {', '.join(versions)}",
        )


def _resyncs(half: DatabaseStatus, now: datetime) -> Iterator[Finding]:
    totals = half.totals
    if totals.next_unsent_at is not None and totals.next_unsent_at + _SENT_WITHIN < now:
        yield Finding(
            Severity.WARNING,
            "resyncs not sent",
            totals.unsent,
            f"{counted(totals.unsent, 'resync request')} {are(totals.unsent)} to be sent, and "
            "the oldest should have been: a loader sends them",
            totals.next_unsent_at,
            "/resyncs?state=unsent",
            "statesys resync check",
        )
    if totals.unanswered:
        yield Finding(
            Severity.NOTICE,
            "resyncs unanswered",
            totals.unanswered,
            f"{counted(totals.unanswered, 'resync request')} got no answer",
            page="/resyncs?state=unanswered",
            command="statesys clients --condition silent",
        )


def _uncounted(half: DatabaseStatus, now: datetime) -> Iterator[Finding]:
    as_of = half.totals.as_of
    if as_of is not None and as_of + _COUNTED_WITHIN < now:
        yield Finding(
            Severity.WARNING,
            "totals are old",
            None,
            "the loaders count the site once an hour, and have not for "
            f"{age(now - as_of)}: counts of clients are as old as that",
            since=as_of,
            command="statesys loader run",
        )


def _quarantine(half: DatabaseStatus, _now: datetime) -> Iterator[Finding]:
    count, since = half.quarantine
    if count:
        yield Finding(
            Severity.NOTICE,
            "quarantine",
            count,
            f"{counted(count, 'client')} {are(count)} in quarantine: their reports become "
            "dead letters",
            since,
            "/dead?reason=quarantined",
            "statesys client quarantined",
        )


#: The checks, in order of harm.
CHECKS: tuple[Callable[[DatabaseStatus, datetime], Iterator[Finding]], ...] = (
    _partitions,
    _lost,
    _resyncs,
    _uncounted,
    _differing,
    _quarantine,
)
