"""Shows the status to a person."""

from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from console.findings import Finding, Severity, findings
from console.output import age, counted, facts, size, table
from console.queries.rows import Totals
from console.status.gather import BrokerStatus, DatabaseStatus, HistoryStatus, SiteStatus, Status
from console.status.workers import show_workers

_UNKNOWN = "?"
#: Findings that are shown; the viewer shows all.
_MOST = 8
_STYLES = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.NOTICE: ""}


def show(status: Status, console: Console) -> None:
    """Print what is wrong and both halves; for a missing one, print the reason in red."""
    if status.broker is not None or status.database is not None:
        _show_findings(status, console)
    if status.broker is not None:
        _show_broker(status.broker, console)
    if status.database is not None:
        console.print(facts(database_facts(status.database, status.at), title="database"))
        show_workers(status.database, status.at, console)
        _show_differing(status.database.site, console)
    for trouble in status.troubles:
        console.print(Text(f"unknown: {trouble}", style="red"))


def _findings(status: Status) -> list[Finding]:
    """What is wrong, by the status alone."""
    completeness = status.database.completeness if status.database else None
    return findings(status, completeness, status.at)


def with_findings(status: Status) -> dict[str, object]:
    """The status and what is wrong, for `--json`."""
    return {**status._asdict(), "findings": _findings(status)}


def _show_findings(status: Status, console: Console) -> None:
    """Print the worst findings; nothing when there are none."""
    found = _findings(status)
    for one in found[:_MOST]:
        console.print(_line(one))
    if len(found) > _MOST:
        console.print(Text(f"and {len(found) - _MOST} more findings"))
    if found:
        console.print()


def _line(one: Finding) -> Text:
    return Text(f"{one.severity}: {one.sentence} ({one.command})", _STYLES[one.severity])


def _show_broker(broker: BrokerStatus, console: Console) -> None:
    columns = ["queue", "ready", "unacked", "consumers", "in/s", "acked/s", "carries"]
    rows = [
        (
            queue.name,
            "-" if queue.ready is None else queue.ready,
            _known(queue.unacked),
            "-" if queue.consumers is None else queue.consumers,
            _known(queue.incoming),
            _known(queue.settled),
            queue.described,
        )
        for queue in broker.queues
    ]
    console.print(table(columns, rows, right=columns[1:6]))
    if not broker.management:
        console.print(
            Text("unacked and rates are unknown: STATESYS_MANAGEMENT_URL is not set, or no answer")
        )
    console.print()
    if broker.dead:
        title = "dead letters" + (" (the oldest 10,000)" if broker.letters_cut else "")
        console.print(
            table(["stage", "reason", "letters"], broker.dead, title=title, right=["letters"])
        )
        console.print()


def database_facts(half: DatabaseStatus, now: datetime) -> list[tuple[str, object]]:
    """The database's half as names and values."""
    t, latest = half.totals, half.queue_time
    then = _as_of(t, now)
    rows: list[tuple[str, object]] = [
        ("clients", f"{t.clients:,}{then}"),
        ("messages loaded", _rows(half.messages, exact=half.messages_exact)),
        *_history(half.history),
        ("current states", _rows(t.current_states, exact=t.current_states_exact)),
        ("duplicates", f"{t.duplicates:,}{then}"),
        ("missing ranges open", f"{t.missing_ranges:,} ({t.missing_serials:,} serials)"),
        ("resyncs", _resyncs(t, now)),
    ]
    rare = (
        ("clients due", t.due),
        ("serials used twice", t.reused),
        ("silent clients", t.silent),
        ("duplicate identities", t.duplicate_identities),
    )
    rows += ((name, f"{count:,}{then}") for name, count in rare if count)
    if latest.last_loaded is not None and latest.p50 is not None and latest.p95 is not None:
        times = f"p50 {age(latest.p50)}, p95 {age(latest.p95)}"
        rows += [
            ("queue time", f"{times} (latest {latest.messages:,} messages)"),
            ("last loaded", f"{age(now - latest.last_loaded)} ago"),
        ]
    return rows


def _history(history: HistoryStatus) -> list[tuple[str, object]]:
    ahead = f"{counted(history.days_ahead, 'day')} ahead"
    if not history.today:
        ahead += ", none for today: is a loader running?"
    rows: list[tuple[str, object]] = []
    if history.oldest_day is not None:
        kept = f"since {history.oldest_day.isoformat()} (UTC), {size(history.bytes)}"
        rows.append(("history kept", kept + _deleted(history)))
    if history.rows_a_day is not None and history.bytes_a_day is not None:
        mean = f"mean of {counted(history.full_days, 'full day')}"
        each = f"{history.rows_a_day:,} messages, {size(history.bytes_a_day)}"
        rows.append(("a day", f"about {each} ({mean})"))
    return [*rows, ("partitions", ahead)]


def _deleted(history: HistoryStatus) -> str:
    return "" if history.retention is None else f"; loaders delete it after {history.retention}"


def _show_differing(site: SiteStatus, console: Console) -> None:
    for loader in site.differing:
        differences = ", ".join(
            f"{name} {value} (the site's: {site.rules[name]})"
            for name, value in loader.rules.items()
        )
        console.print(
            Text(
                f"loader {loader.name} follows the site's rules, but was started with other ones: "
                + differences,
                style="yellow",
            )
        )


def _resyncs(totals: Totals, now: datetime) -> str:
    """The requests by their outcome, and when the next unsent one is sent."""
    pending = f"{totals.pending:,} pending"
    if totals.next_unsent_at is not None:
        wait = totals.next_unsent_at - now
        when = f"next in {age(wait)}" if wait > timedelta(0) else f"due for {age(-wait)}"
        pending += f" ({totals.unsent:,} to be sent, {when})"
    closed = f"{totals.answered:,} answered, {totals.unanswered:,} unanswered"
    return f"{pending}, {closed}{_as_of(totals, now)}"


def _rows(count: int, *, exact: bool) -> str:
    return f"{count:,}" if exact else f"about {count:,}"


def _as_of(totals: Totals, now: datetime) -> str:
    """The age of a count that a loader keeps; empty for one counted now."""
    if totals.as_of is None:
        return ""
    # The two moments are from the clocks of two machines, so the difference may be negative.
    return f" (as of {age(max(now - totals.as_of, timedelta(0)))} ago)"


def _known(value: float | None) -> object:
    if value is None:
        return _UNKNOWN
    return value if isinstance(value, int) else f"{value:.1f}"
