"""The session of a command that only reads, perhaps of a standby."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from console.output import age, moment
from console.queries.query_session import Freshness, QuerySession
from runtime.command import settings_without_logs
from runtime.settings import Settings
from schemas.errors import DatabaseUnavailable

Kind = TypeVar("Kind", bound=QuerySession)


@contextmanager
def reading(
    kind: type[Kind], settings: Settings, *, name: str, says_age_first: bool = False
) -> Iterator[Kind]:
    """Open queries; if the server is a standby, say on stderr how old its data is.

    Args:
        kind: of the queries.
        name: `application_name`.
        says_age_first: before the command shows anything, because it does not end by itself.

    Raises:
        As `QuerySession.open`.
    """
    try:
        with kind.open(settings.required_read_url(), name=name) as queries:
            # Before anything is read, which then is no older.
            found = queries.freshness()
            if found.standby and says_age_first:
                click.echo(_words(found), err=True)
            yield queries
    except DatabaseUnavailable as error:
        if settings.database_read_url is None:
            raise
        raise DatabaseUnavailable(f"{error} (for reading: STATESYS_DATABASE_READ_URL)") from None
    if found.standby and not says_age_first:
        click.echo(_words(found), err=True)


@contextmanager
def snapshot(kind: type[Kind], *, name: str) -> Iterator[Kind]:
    """As `reading`, of what this process's settings name, and in one snapshot."""
    with reading(kind, settings_without_logs(), name=name) as queries, queries.snapshot():
        yield queries


def _words(found: Freshness) -> str:
    return f"from a standby, as of {moment(found.as_of)} UTC ({age(found.now - found.as_of)} old)"
