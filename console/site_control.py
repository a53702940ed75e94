"""`statesys settings import` and `export`: the settings of a site control file."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.output import print_json, stdout, table
from console.queries import Queries
from runtime.command import settings_without_logs
from runtime.options import json_option
from runtime.settings import Settings
from runtime.site_control import KNOWN, Reading, render_settings, settings_of
from schemas.site_control import MAX_SIZE, read_state_system

if TYPE_CHECKING:
    from loader.store.sites import SiteStore

_NAME = "statesys settings"
_IN = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)
_OUT = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@click.command(name="import")
@click.argument("file", metavar="FILE", type=_IN, required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would be taken; needs no database.")
@click.option("--forget", is_flag=True, help="Put defaults in the place of what a file set before.")
@json_option
def import_(*, file: Path | None, dry_run: bool, forget: bool, as_json: bool) -> None:
    """Make the settings of a site control file those of the site. FILE may be - for stdin.

    Only the component SMS_STATE_SYSTEM is read. Running loaders follow the rules of who is asked
    within a minute. Threads, chunk size and chunks fetched are taken by loaders that start and are
    given none. An import takes the place of an earlier one.

    \b
    Example:
      statesys settings import sitectrl.ct0 --dry-run
      statesys settings import sitectrl.ct0
      statesys settings import --forget
    """
    if forget == (file is not None) or (forget and dry_run):
        raise click.UsageError("give a FILE, or --forget alone")
    if file is None:
        _forget(as_json=as_json)
        return
    reading = settings_of(read_state_system(_bytes(file)))
    if not dry_run:
        with _store() as store:
            store.site.take(reading.values)
    _show(reading, dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("file", metavar="FILE", type=_OUT, default=Path("-"))
def export(*, file: Path) -> None:
    """Write the settings of the site as a block of a site control file, to FILE or stdout.

    `statesys settings import` reads it back to the same settings. Loader Threads is left out unless
    it was imported: each loader has its own number.

    \b
    Example:
      statesys settings export
      statesys settings export site.txt
    """
    url = settings_without_logs().required_database_url()
    with Queries.open(url, name=_NAME) as queries:
        site = queries.site_settings()
    # Not the variables of this shell: they are no settings of the site.
    defaults = Settings().model_dump(include={"loader_chunk_size", "max_chunks_fetched"})
    text = render_settings({**defaults, **site.values})
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="ascii")


def _bytes(file: Path) -> bytes:
    """A file up to one byte beyond what is read, so that a device without an end has one."""
    with click.open_file(str(file), "rb") as source:
        content: bytes = source.read(MAX_SIZE + 1)
        return content


def _forget(*, as_json: bool) -> None:
    with _store() as store:
        forgotten = sorted(store.site.forget_import())
    if as_json:
        print_json({"forgotten": forgotten})
        return
    words = ", ".join(forgotten)
    done = f"defaults again: {words}" if forgotten else "nothing was imported, nothing to do"
    click.echo(done, err=True)


def _show(reading: Reading, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        shown: dict[str, Any] = {**reading._asdict(), "written": not dry_run}
        del shown["values"]
        print_json(shown)
        return
    columns = ("there", "value", "unit", "setting", "ours", "default of 2011", "Current Branch")
    defaults = ("default of 2011", "Current Branch")
    rows = [
        (
            *(one.name, one.number, one.unit, one.setting, one.value),
            *(_beside(one.number, default) for default in (one.of_2011, one.current_branch)),
        )
        for one in reading.taken
    ]
    console = stdout()
    console.print(table(columns, rows, title="taken", right=("value", *defaults)))
    if reading.left:
        left = ((one.name, one.value, one.why) for one in reading.left)
        console.print(table(("there", "value", "why"), left, title="left there"))
    if reading.unknown:
        console.print(table(("there",), ((one,) for one in reading.unknown), title="unknown"))
    for note in reading.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(_done(reading, dry_run=dry_run), err=True)


def _beside(number: int, default: int) -> str:
    return "the same" if number == default else str(default)


def _done(reading: Reading, *, dry_run: bool) -> str:
    absent = [known.name for known in KNOWN if known.setting not in reading.values]
    not_there = f"; not in the file: {', '.join(absent)}" if absent else ""
    if dry_run:
        return f"nothing was changed (--dry-run){not_there}"
    return (
        f"{len(reading.taken)} settings are the site's now: running loaders follow its rules "
        f"within a minute, and take the others when they start{not_there}"
    )


@contextmanager
def _store() -> "Iterator[SiteStore]":
    # Imported late: it takes a tenth of a second, and --dry-run needs no database.
    from loader.store.sites import SiteStore  # noqa: PLC0415

    url = settings_without_logs().required_database_url()
    with closing(SiteStore(url, name=_NAME)) as store:
        store.require_current_tables()
        yield store
