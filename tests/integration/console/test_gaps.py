"""`statesys gaps` says "now" only of a client that a check would ask now."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from tests.integration.console.conftest import Run

CLIENT = UUID("11111111-1111-4111-8111-111111111111")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def lose(url: str, *, merged: bool = False, duplicate: bool = False) -> None:
    """Add a client with a range that has been open for a month."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO statesys.client (client_id, highest_serial, accounted, last_seen, "
            "duplicate_identity_at) VALUES (%s, 9, '{[9,10)}', now() - interval '30 days', "
            "CASE WHEN %s THEN now() END)",
            [CLIENT, duplicate],
        )
        connection.execute(
            "INSERT INTO statesys.missing_message_range (client_id, first_serial, last_serial, "
            "merged, detected_at) VALUES (%s, 1, 8, %s, now() - interval '30 days')",
            [CLIENT, merged],
        )


def ask(
    url: str, *ages: timedelta, reason: str = "missing", how: str | None = "unanswered"
) -> None:
    """Add requests that were sent `ages` ago."""
    with psycopg.connect(url, autocommit=True) as connection:
        for age in ages:
            at = datetime.now(UTC) - age
            connection.execute(
                "INSERT INTO statesys.resync_request (client_id, request_id, reason, requested_at, "
                "sent_at, attempts, closed_at, closed_how) "
                "VALUES (%s, gen_random_uuid(), %s, %s, %s, 1, %s, %s)",
                [CLIENT, reason, at, at, None if how is None else at + MINUTE / 2, how],
            )


def due(run: Run, env: dict[str, str], *more: str) -> tuple[str, str]:
    """When the client is due, as `gaps` and `trace` say."""
    line = run("gaps", *more, env=env).stdout.splitlines()[1]
    trace = json.loads(run("trace", CLIENT, "--json", env=env).stdout)
    return line.rstrip().rsplit("  ", 1)[1].strip(), trace["due"]["held_by"]


def test_of_two_machines_with_one_id(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    lose(database_url, duplicate=True)
    assert due(run, environment) == ("not asked: duplicate identity", "duplicate identity")
    assert run("resync", "check", "--dry-run", env=environment).stdout == ""


def test_of_a_silent_client(run: Run, environment: dict[str, str], database_url: str) -> None:
    lose(database_url)
    ask(database_url, 20 * DAY, 15 * DAY, 10 * DAY)
    assert due(run, environment) == ("not asked: silent", "silent")
    assert run("resync", "check", "--dry-run", env=environment).stdout == ""


def test_of_a_client_that_waits_for_twice_as_long_after_each_request(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    lose(database_url, merged=True)
    # Eight answered requests within three days: the ninth waits for 128 minutes.
    answered = [n * MINUTE for n in range(1, 9)]
    ask(database_url, *answered, reason="merged", how="answered")
    told, held_by = due(run, environment)
    assert held_by == "doubling wait"
    assert told.startswith("in 2 h ")


def test_of_a_request_that_the_next_check_gives_up(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    lose(database_url)
    ask(database_url, 4 * DAY, how=None)
    line = run("gaps", env=environment).stdout.splitlines()[1]
    assert line.rstrip().endswith("now")
    assert str(CLIENT) in run("resync", "check", "--dry-run", env=environment).stdout


@pytest.mark.parametrize(
    ("flags", "told"),
    [((), "now"), (("--min-missing-message-age", "365d"), "(too young)")],
)
def test_other_rules_are_a_flag_and_not_a_variable(
    run: Run, environment: dict[str, str], database_url: str, flags: tuple[str, ...], told: str
) -> None:
    lose(database_url)
    env = {**environment, "STATESYS_MIN_MISSING_MESSAGE_AGE": "1000d"}
    assert told in run("gaps", *flags, env=env).stdout.splitlines()[1]
    dry = run("resync", "check", "--dry-run", *flags, env=env).stdout
    assert (str(CLIENT) in dry) == (told == "now")
