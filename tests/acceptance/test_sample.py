"""A report of a real client, in plain AMQP without any header, becomes its row."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
import pytest

from runtime.broker.dead_letters import QUEUE, REASON, STAGE
from schemas.topology import DEAD, REPORTS
from tests.support.paths import DATA
from tests.support.processes import PATIENCE, Program, fill, ready, take_all
from tests.support.waiting import wait_until
from tests.support.world import open_tables

CLIENT = UUID("f1b03089-9ea1-4a64-83dc-5f8e77bddeb4")
SAMPLE = (DATA / "report-2011.utf16.xml").read_bytes()
MALFORMED = (DATA / "report-2011-malformed.utf16.xml").read_bytes()


@pytest.fixture
def pipeline(tmp_path: Path, amqp_url: str, database_url: str) -> Iterator[None]:
    """A relay and a loader, as processes."""
    urls = {"amqp_url": amqp_url, "database_url": database_url}
    with (
        Program(tmp_path / "relay", "relay", "run", **urls),
        Program(tmp_path / "loader", "loader", "run", **urls),
    ):
        yield


@pytest.fixture
def query(database_url: str) -> Iterator[Any]:
    with open_tables(database_url) as tables:
        yield tables.rows


def publish(amqp_url: str, *bodies: bytes) -> None:
    """Publish bodies without properties, as any AMQP client can."""
    fill(amqp_url, [])
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish(REPORTS, REPORTS, body, mandatory=True)
    connection.close()


@pytest.mark.usefixtures("pipeline")
def test_the_report_becomes_one_row_and_what_is_missing_is_known(amqp_url: str, query: Any) -> None:
    publish(amqp_url, SAMPLE)
    rows = wait_until(
        lambda: query(
            "SELECT client_id, serial, topic_type, topic_id, id_type, state_id, criticality, "
            "params, details, user_sid, message_time, report_date, forwarded_at FROM state_message"
        ),
        timeout=PATIENCE,
        what="the row",
    )
    topic = "21e49ac6-a273-4a61-9794-eb675bc743e5"
    said = datetime(2011, 1, 7, 18, 30, 46, 153000, UTC)
    written = datetime(2011, 1, 7, 18, 40, 30, 662000, UTC)
    assert rows == [
        (CLIENT, 1431, 500, topic, 3, 2, 0, ["102"], None, "", said, written, None),
    ]
    assert query("SELECT client_id, topic_id, state_id, serial FROM current_state") == [
        (CLIENT, topic, 2, 1431)
    ]
    assert query("SELECT client_id, first_serial, last_serial FROM missing_message_range") == [
        (CLIENT, 1, 1430)
    ]
    assert query("SELECT name, version, highest_serial, reply_queue FROM client") == [
        ("STEVERAC64-2", "4.00.6487.2000", 1431, None)
    ]
    assert ready(amqp_url, DEAD) == 0


@pytest.mark.usefixtures("pipeline")
def test_the_malformed_report_lies_in_the_dead_letters_as_it_came(
    amqp_url: str, query: Any
) -> None:
    publish(amqp_url, MALFORMED, SAMPLE)
    wait_until(lambda: ready(amqp_url, DEAD), timeout=PATIENCE, what="the letter")
    wait_until(lambda: query("SELECT FROM state_message"), timeout=PATIENCE, what="the other one")
    (letter,) = take_all(amqp_url, DEAD)
    assert letter.body == MALFORMED
    headers = letter.properties.headers or {}
    assert (headers[STAGE], headers[REASON]) == ("relay", "not_well_formed")
    assert headers[QUEUE] == REPORTS
    assert query("SELECT count(*) FROM state_message") == [(1,)]
