"""`statesys settings`: the settings in force here, or what the site and its workers use."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import click

from console.output import moment, print_json, stdout, table
from console.queries import Queries
from console.queries.workers import WorkerRow
from console.reading import snapshot
from console.site_control import export, import_
from runtime.command import with_private_servers
from runtime.in_force import in_force, unit
from runtime.options import json_option
from runtime.settings import Settings, load_settings
from runtime.site_settings import SiteSettings
from schemas.errors import StatesysError

#: Names of workers that a table shows beside a value.
_NAMED = 5
#: The settings that a worker of each role reads; the others are shown for neither.
_BOTH = ("log_format", "log_level", "log_max_size")
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


class OfSite(NamedTuple):
    """One value that the site keeps, and where it comes from."""

    name: str
    value: str
    unit: str
    origin: str


@click.group(invoke_without_command=True)
@click.option("--site", is_flag=True, help="What site and running workers use, and who differs.")
@json_option
@click.pass_context
def settings(context: click.Context, *, site: bool, as_json: bool) -> None:
    """Show each setting in force: value, unit, and where it comes from.

    Passwords and parameters of URLs are masked. A worker that was started with flags or in another
    environment may use other settings: --site shows what the running workers use. Rules that the
    site's loaders share are followed as `statesys status` says, whatever a worker was started with.

    \b
    Example:
      statesys settings
      statesys settings --site
      statesys settings --site --json
      statesys settings import sitectrl.ct0 --dry-run
    """
    if context.invoked_subcommand is not None:
        if site or as_json:
            raise click.UsageError(f"give options behind `settings {context.invoked_subcommand}`")
    elif site:
        _show_site(as_json=as_json)
    else:
        _show_here(as_json=as_json)


settings.add_command(import_)
settings.add_command(export)


def _show_here(*, as_json: bool) -> None:
    given = load_settings()
    completed = with_private_servers(given)
    found = in_force(given, completed, _known_site(completed))
    if as_json:
        print_json(found)
        return
    rows = [(one.name, one.value or "unset", one.unit, one.origin) for one in found]
    stdout().print(table(("setting", "value", "unit", "origin"), rows))


def _known_site(given: Settings) -> SiteSettings | None:
    """The row of the site; None, and a note, if it cannot be read now."""
    if given.database_url is None:
        return None
    try:
        with Queries.open(given.required_database_url(), name="statesys settings") as queries:
            return queries.site_settings()
    except StatesysError as error:
        click.echo(f"note: what was imported for the site is not known: {error}", err=True)
        return None


def _show_site(*, as_json: bool) -> None:
    with snapshot(Queries, name="statesys settings") as queries:
        as_of: datetime = queries.now()
        row = queries.site_settings()
        workers = [worker for worker in queries.workers() if not worker.late]
    of_site = [
        OfSite(name, value, unit(name), row.origin_of(name))
        for name, value in row.as_text().items()
    ]
    found = used(workers)
    if as_json:
        print_json({"as_of": as_of, "workers": len(workers), "site": of_site, "settings": found})
        return
    console = stdout()
    console.print(table(("setting", "value", "unit", "origin"), of_site, title="the site"))
    columns = ("role", "setting", "value", "unit", "differs", "workers")
    rows = [
        (
            *(one.role, one.name, "not told" if one.value is None else one.value, one.unit),
            *(one.differs, workers_words(one) if one.differs else f"all {len(one.workers)}"),
        )
        for one in found
    ]
    console.print(table(columns, rows, title="running workers"))
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


def workers_words(one: Used) -> str:
    """The workers that use a value; of many, the first ones."""
    more = len(one.workers) - _NAMED
    return ", ".join(one.workers[:_NAMED]) + (f" and {more} more" if more > 0 else "")
