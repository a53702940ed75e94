"""The large site that `bench answers` and `bench viewer` ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import click

from lab.bench.job import Existing
from lab.bench.tables import fill
from lab.bench.testbed import Testbed, testbed
from runtime.command import settings_and_logs
from runtime.database import own_session
from runtime.options import together
from runtime.workers.signals import interrupt_on_signals
from schemas.errors import StatesysError

#: State messages in a report of the site before.
_SIZE = 4

#: How large the site is.
existing_options = together(
    click.option("--existing-clients", "clients", type=click.IntRange(1), default=1_000_000),
    click.option("--existing-messages", "messages", type=click.IntRange(_SIZE), default=20_000_000),
    click.option("--existing-days", "days", type=click.IntRange(1), default=8, show_default=True),
)


@contextmanager
def large_site(clients: int, messages: int, days: int, *, keep: bool) -> Iterator[Testbed]:
    """Run servers with a large site in their tables; the arguments are those of `Existing`.

    Args:
        keep: leave the servers running, with the data.

    Raises:
        UsageError: there is not a report for each client.
    """
    settings = settings_and_logs(log_level="error")
    if messages < clients * _SIZE:
        raise click.UsageError(f"--existing-messages must be {_SIZE} for each client at least")
    interrupt_on_signals()
    with testbed(settings.home / "bench", keep=keep, nodes=1) as found:
        found.clear()
        existing = Existing(clients, messages // _SIZE, _SIZE, days)
        fill(found.servers.database_url, existing, found.show)
        yield found


def somebody(url: str) -> tuple[str, UUID]:
    """A client that has a gap."""
    with own_session(url, "statesys bench") as session, session.transaction() as connection:
        row = connection.execute(
            "SELECT name, client_id FROM client JOIN missing_message_range USING (client_id) "
            "ORDER BY client_id LIMIT 1"
        ).fetchone()
    if row is None:
        raise StatesysError("no client of the site has a gap: fill it with more messages")
    return row[0], row[1]
