"""`statesys settings`: the settings in force here, or what the workers of the site use."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import click

from console.output import moment, print_json, stdout, table
from console.queries import Queries
from console.queries.workers import WorkerRow
from runtime.command import settings_and_logs, with_private_servers
from runtime.in_force import in_force, unit
from runtime.options import json_option
from runtime.settings import load_settings

#: Names of workers that a table shows beside a value.
_NAMED = 5
#: The settings that a worker of each role reads; the others are shown for neither.
_BOTH = ("log_format", "log_level")
USED = {
    "relay": (*_BOTH, "batch_size", "batch_linger", "max_report_size"),
    "loader": (
        *(*_BOTH, "loader_threads", "loader_chunk_size", "chunks_together", "max_chunks_fetched"),
        *("inbox_polling_interval", "batch_size", "resync_check_interval"),
        *("min_missing_message_age", "resync_merge_interval", "resyncs_per_check"),
        *("resync_backlog_threshold", "heartbeat_interval", "max_missing_ranges"),
        *("reuse_date_tolerance", "retention"),
    ),
}


class Used(NamedTuple):
    """One value of a setting, and the workers that use it.

    Attributes:
        differs: other workers of the role use another value.
        value: None if these workers did not tell one, as workers of an older version.
        workers: host and process id of each.
    """

    role: str
    name: str
    value: str | None
    unit: str
    differs: bool
    workers: list[str]


@click.command()
@click.option("--site", is_flag=True, help="What the running workers use, and where they differ.")
@json_option
def settings(*, site: bool, as_json: bool) -> None:
    """Show each setting in force: value, unit, and where it comes from.

    Passwords and parameters of URLs are masked. A worker that was started with flags or in another
    environment may use other settings: --site shows what the running workers use. Rules that the
    site's loaders share are followed as `statesys status` says, whatever a worker was started with.

    \b
    Example:
      statesys settings
      statesys settings --site
      statesys settings --site --json
    """
    if site:
        _show_site(as_json=as_json)
    else:
        _show_here(as_json=as_json)


def _show_here(*, as_json: bool) -> None:
    given = load_settings()
    found = in_force(given, with_private_servers(given))
    if as_json:
        print_json(found)
        return
    rows = [(one.name, one.value or "unset", one.unit, one.origin) for one in found]
    stdout().print(table(("setting", "value", "unit", "origin"), rows))


def _show_site(*, as_json: bool) -> None:
    url = settings_and_logs().required_database_url()
    with Queries.open(url, name="statesys settings") as queries:
        as_of: datetime = queries.now()
        workers = [worker for worker in queries.workers() if not worker.late]
    found = used(workers)
    if as_json:
        print_json({"as_of": as_of, "workers": len(workers), "settings": found})
        return
    columns = ("role", "setting", "value", "unit", "differs", "workers")
    rows = [
        (
            *(one.role, one.name, "not told" if one.value is None else one.value, one.unit),
            *(one.differs, _names(one) if one.differs else f"all {len(one.workers)}"),
        )
        for one in found
    ]
    stdout().print(table(columns, rows))
    click.echo(f"{len(workers)} workers at work, as of {moment(as_of)} UTC", err=True)


def used(workers: Iterable[WorkerRow]) -> list[Used]:
    """The values of each setting, by role and setting, the most frequent value first."""
    by_role: dict[str, list[WorkerRow]] = defaultdict(list)
    for worker in workers:
        by_role[worker.role].append(worker)
    return [
        one
        for role, names in USED.items()
        for name in names
        for one in _values(role, name, by_role[role])
    ]


def _values(role: str, name: str, workers: Iterable[WorkerRow]) -> list[Used]:
    by_value: dict[str | None, list[str]] = defaultdict(list)
    for worker in workers:
        by_value[worker.settings.get(name)].append(f"{worker.host}:{worker.pid}")
    return [
        Used(role, name, value, unit(name), len(by_value) > 1, names)
        for value, names in sorted(by_value.items(), key=lambda one: (-len(one[1]), one[0] or ""))
    ]


def _names(one: Used) -> str:
    more = len(one.workers) - _NAMED
    return ", ".join(one.workers[:_NAMED]) + (f" and {more} more" if more > 0 else "")
