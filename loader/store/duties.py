"""Turns of the periodic tasks that one loader does for the whole site. The SQL is `resync.sql`."""

from datetime import datetime, timedelta

from runtime.database import Session
from runtime.statements import statements

_SQL = statements("loader", "resync.sql")


def claim(session: Session, name: str, *, now: datetime, interval: timedelta) -> bool:
    """Claim a periodic task, in the transaction in which it is done.

    Args:
        session: in a transaction.
        name: of the task, in the table `duty`.
        now: timezone-aware.
        interval: how long it is done by no other loader.

    Returns:
        Whether it is ours to do.
    """
    # Without some tolerance, a timer that fires early would skip every second interval.
    values = {"name": name, "now": now, "interval": interval * 0.9}
    return session.execute(_SQL["claim_duty"], values).fetchone() is not None
