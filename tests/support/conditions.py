"""A site with clients in every condition, written straight into the tables."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import psycopg

#: Longer than three heartbeat intervals, as the site's rules have them at first.
QUIET_FOR = timedelta(days=3)
#: Condition -> clients in it; 15 in all.
COUNTS = {"complete": 5, "gaps": 4, "silent": 3, "quiet": 2, "duplicate identity": 1}


def client_id(number: int) -> UUID:
    return UUID(int=number + 1, version=4)


def fill(url: str, counts: Mapping[str, int] = COUNTS) -> dict[UUID, str]:
    """Add clients; returns the condition of each.

    Client n is named PC-00n, except that every second one is written in small letters. All but the
    quiet ones were seen a minute ago.
    """
    conditions = [condition for condition, count in counts.items() for _ in range(count)]
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT now()").fetchone()
        assert row is not None
        for number, condition in enumerate(conditions):
            _add(connection, number, condition, row[0])
    return {client_id(number): condition for number, condition in enumerate(conditions)}


def name(number: int) -> str:
    return f"pc-{number:03}" if number % 2 else f"PC-{number:03}"


def _add(
    connection: "psycopg.Connection[tuple[object, ...]]",
    number: int,
    condition: str,
    now: datetime,
) -> None:
    who = client_id(number)
    gap = condition == "gaps"
    seen = now - (QUIET_FOR if condition == "quiet" else timedelta(minutes=1))
    connection.execute(
        "INSERT INTO statesys.client (client_id, name, version, highest_serial, accounted, "
        "first_seen, last_seen, duplicate_identity_at) "
        "VALUES (%s, %s, %s, 9, %s, %s, %s, %s)",
        [
            *(who, name(number), f"5.00.{9000 + number}.1000", "{[9,10)}" if gap else "{[1,10)}"),
            *(now - timedelta(days=90), seen, now if condition == "duplicate identity" else None),
        ],
    )
    if gap:
        connection.execute(
            "INSERT INTO statesys.missing_message_range (client_id, first_serial, last_serial, "
            "detected_at) VALUES (%s, 1, 8, %s)",
            [who, now - timedelta(hours=1)],
        )
    if condition == "silent":
        for days in (10, 15, 20):
            at = now - timedelta(days=days)
            connection.execute(
                "INSERT INTO statesys.resync_request (client_id, request_id, reason, requested_at, "
                "sent_at, attempts, closed_at, closed_how) VALUES "
                "(%s, gen_random_uuid(), 'missing', %s, %s, 1, %s, 'unanswered')",
                [who, at, at, now],
            )
