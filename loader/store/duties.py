"""Turns of the periodic tasks that one loader does for the whole site. The SQL is `resync.sql`."""

from datetime import datetime, timedelta

from runtime.database import Session
from runtime.statements import statements

_SQL = statements("loader", "resync.sql")


def take_turn(session: Session, name: str, *, now: datetime, interval: timedelta) -> bool:
    """Take the turn of a periodic task, in the transaction that does the task.

    Args:
        session: in a transaction.
        name: of the task, in the table `duty`.
        now: timezone-aware.
        interval: for this long, no other loader gets the turn.

    Returns:
        Whether this loader is to do the task; False if a loader did it within the interval.

    Raises:
        DatabaseUnavailable: try again.
    """
    # Without some tolerance, a timer that fires early would skip every second interval.
    values = {"name": name, "now": now, "interval": interval * 0.9}
    return session.execute(_SQL["take_turn"], values).fetchone() is not None
