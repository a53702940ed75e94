"""The bare pipe: what moving the same reports costs without anything that makes it statesys.

One process takes reports from `mp_relayendpoint`, parses them with lxml and copies one row for
each state message into one plain table without an index, acking after the commit. No batches, no
ledger of serials, no duplicates recognised, no current state, no resync, no dead letters: a crash
between commit and ack doubles rows, and a malformed report ends it. It is the yardstick for what
all of that costs, and no way to run a site.

Example:
    python benchmarks/bare_pipe.py --messages 80000    # on the servers of the settings
"""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
import psycopg
from lxml import etree

from runtime.broker import Delivery, Session
from runtime.settings import load_settings
from schemas.topology import REPORTS

#: Reports of one transaction at most; fewer when no more are there.
_CHUNK = 500
_PREFETCH = 2000
#: Seconds of one wait for the broker.
_PATIENCE = 0.1
#: Seconds without a delivery before it gives up.
_STALL = 60.0

_TABLE = """
DROP TABLE IF EXISTS bare_pipe;
CREATE TABLE bare_pipe (
    client_id text, serial bigint, topic_type integer, topic_id text, id_type integer,
    user_name text, user_sid text, state_id bigint, criticality integer,
    message_time timestamptz, params text[], details text, details_type text,
    report_date timestamptz
)
"""
_COPY = "COPY bare_pipe FROM STDIN"


@click.command()
@click.option("--messages", type=int, required=True, help="State messages to wait for.")
def main(messages: int) -> None:
    """Drain a prefilled queue into one table, and print how long it took as JSON."""
    settings = load_settings()
    amqp_url = settings.required_amqp_url()
    with psycopg.connect(settings.required_database_url(), options="-c timezone=UTC") as connection:
        connection.execute(_TABLE)
        connection.commit()
        seconds, cpu, reports = _drain(amqp_url, connection, messages)
        found = connection.execute("SELECT count(*) FROM bare_pipe").fetchone()
    assert found is not None
    click.echo(
        json.dumps(
            {
                "reports": reports,
                "messages": found[0],
                "seconds": round(seconds, 3),
                "cpu_seconds": round(cpu, 3),
                "messages_per_second": round(found[0] / seconds, 1),
            }
        )
    )


def _drain(url: str, connection: psycopg.Connection, messages: int) -> tuple[float, float, int]:
    """From the beginning of consuming to the last ack: seconds, own CPU seconds, and reports."""
    session = Session(url, name="bare pipe")
    try:
        started = moved_at = time.monotonic()
        used = time.process_time()
        session.consume(REPORTS, prefetch=_PREFETCH)
        reports = rows = 0
        waiting: list[Delivery] = []
        while rows < messages:
            events = session.poll(0 if waiting else _PATIENCE)
            waiting += [event for event in events if isinstance(event, Delivery)]
            if waiting:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > _STALL:
                raise click.ClickException("nothing comes any more")
            chunk, waiting = waiting[:_CHUNK], waiting[_CHUNK:]
            if chunk:
                rows += _store(connection, chunk)
                session.ack(chunk[-1].tag, up_to=True)
                reports += len(chunk)
        seconds, cpu = time.monotonic() - started, time.process_time() - used
        session.poll(0)
    finally:
        session.close()
    return seconds, cpu, reports


def _store(connection: psycopg.Connection, chunk: list[Delivery]) -> int:
    rows = 0
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for delivery in chunk:
            for row in _rows(delivery.body):
                copy.write_row(row)
                rows += 1
    connection.commit()
    return rows


def _rows(body: bytes) -> Iterator[tuple[Any, ...]]:
    report = etree.fromstring(body)
    client_id = report.findtext("ReportHeader/Identification/Machine/ClientID")
    date = _moment(report.findtext("ReportHeader/ReportDetails/Date") or "")
    for message in report.iterfind("ReportBody/StateMessage"):
        topic, state = message.find("Topic"), message.find("State")
        details = message.find("StateDetails")
        assert topic is not None
        assert state is not None
        yield (
            client_id,
            message.get("SerialNumber"),
            topic.get("Type"),
            topic.get("ID"),
            topic.get("IDType"),
            topic.get("User", ""),
            topic.get("UserSID", ""),
            state.get("ID"),
            state.get("Criticality"),
            _moment(message.get("MessageTime", "")),
            [param.text or "" for param in message.iterfind("UserParameters/Param")],
            None if details is None else details.text,
            None if details is None else details.get("Type"),
            date,
        )


def _moment(text: str) -> datetime:
    """A CIM datetime in UTC, which is all that the bench sends."""
    return datetime.fromisoformat(f"{text[:8]}T{text[8:21]}+00:00")


if __name__ == "__main__":
    main()
