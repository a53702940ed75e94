"""The bare pipe: a minimal program that moves the same reports, as a baseline for the bench.

One process takes reports from `mp_relayendpoint`, parses them with lxml, copies one row for each
state message into one plain table without an index, and acknowledges after the commit. It has no
batches, serials, duplicates, current state, resync or dead letters: a crash between commit and
ack doubles rows, and a malformed report ends it. The difference to statesys is what these
features cost. It is unfit for a site.

Example:
    python -m lab.bench.bare_pipe --reports 20000    # on the servers of the settings
"""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
import pika
import psycopg
from lxml import etree
from pika import BasicProperties
from pika.channel import Channel
from pika.spec import Basic

from runtime.command import settings_and_logs
from schemas.topology import REPORTS

#: Reports of one transaction; the last transaction takes what is left.
_CHUNK = 500
_PREFETCH = 2000
#: Seconds after which the program gives up.
_LIMIT = 600.0

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
@click.option("--reports", type=int, required=True, help="Reports in the queue.")
def main(reports: int) -> None:
    """Drain a prefilled queue into one table, and print the times and the CPU seconds as JSON."""
    settings = settings_and_logs()
    amqp_url = settings.required_amqp_url()
    with psycopg.connect(settings.required_database_url(), options="-c timezone=UTC") as connection:
        connection.execute(_TABLE)
        connection.commit()
        began, ended, cpu = _drain(amqp_url, connection, reports)
        found = connection.execute("SELECT count(*) FROM bare_pipe").fetchone()
    assert found is not None
    click.echo(
        json.dumps(
            {
                "messages": found[0],
                "began": began,
                "ended": ended,
                "cpu_seconds": round(cpu, 3),
            }
        )
    )


def _drain(url: str, database: psycopg.Connection, reports: int) -> tuple[float, float, float]:
    """Return when it began and ended (seconds since 1970), and the CPU seconds it used."""
    waiting: list[bytes] = []
    left = reports
    began, used = time.time(), time.process_time()

    def consume(channel: Channel) -> None:
        channel.basic_qos(prefetch_count=_PREFETCH)
        channel.basic_consume(REPORTS, take)

    def take(channel: Channel, method: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        nonlocal left
        waiting.append(body)
        if len(waiting) == min(_CHUNK, left):
            _store(database, waiting)
            channel.basic_ack(method.delivery_tag or 0, multiple=True)
            left -= len(waiting)
            waiting.clear()
            if not left:
                broker.close()

    # Plain pika: `runtime.broker` reads deliveries faster, which is part of what is measured.
    broker = pika.SelectConnection(
        pika.URLParameters(url),
        on_open_callback=lambda connection: connection.channel(on_open_callback=consume),
        on_open_error_callback=lambda connection, _error: connection.ioloop.stop(),
        on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
    )
    broker.ioloop.call_later(_LIMIT, broker.close)
    broker.ioloop.start()
    if left:
        raise click.ClickException(f"{left} reports have not come")
    return began, time.time(), time.process_time() - used


def _store(connection: psycopg.Connection, chunk: list[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for body in chunk:
            for row in _rows(body):
                copy.write_row(row)
    connection.commit()


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
    """Parse a CIM datetime in UTC; the bench sends no other time zone."""
    return datetime.fromisoformat(f"{text[:8]}T{text[8:21]}+00:00")


if __name__ == "__main__":
    main()
