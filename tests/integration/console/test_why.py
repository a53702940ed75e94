"""`statesys why` tells of each client, and of each of its states, what is the matter with it."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from producers.store import StoreReader
from runtime.broker import Administration, Properties, persistent
from runtime.broker.dead_letters import dead_letter
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import Claim, Report
from schemas.topology import DEAD, QUEUES, REPORTS
from tests.integration.console.conftest import Run
from tests.support.conditions import fill
from tests.support.pipeline import Pipeline
from tests.support.processes import NORMAL, batch
from tests.support.world import CLIENT, chunk_store, load, message, report

#: The verdict that each condition is told by, on a site whose queues are empty.
VERDICTS = {
    "complete": "current",
    "gaps": "missing",
    "silent": "silent",
    "quiet": "quiet",
    "duplicate identity": "duplicate identity",
}
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
OTHER = UUID("22222222-2222-4222-8222-222222222222")
AWAY = {"STATESYS_AMQP_URL": "amqp://nobody:nothing@127.0.0.1:1/"}

Ask = Callable[..., dict[str, Any]]
Send = Callable[..., None]


def told(run: Run, environment: dict[str, str], *question: object) -> dict[str, Any]:
    done = run("why", *question, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    assert found["sentence"].endswith(f": `{found['command']}`")
    return found


@pytest.fixture
def ask(run: Run, environment: dict[str, str]) -> Ask:
    """Ask about a client, by default the one of the builders, and run the command that helps."""

    def ask(*question: object, client: object = CLIENT, **variables: str) -> dict[str, Any]:
        env = {**environment, **variables}
        found = told(run, env, client, *question)
        done = run(*found["command"].split()[1:], env=env)
        assert done.returncode == 0 or variables, done.stderr
        return found

    return ask


@pytest.fixture
def send(database_url: str) -> Iterator[Send]:
    """Load reports as if they had been rendered and received so long ago."""
    store = chunk_store(database_url)

    def send(*reports: Report, ago: timedelta = SECOND) -> None:
        at = datetime.now(UTC) - ago
        load(store, *(one._replace(date=at) for one in reports), received_at=at)

    with closing(store):
        yield send


# -- the client ------------------------------------------------------------------------------


def test_a_client_in_each_condition_has_the_verdict_of_it(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    truth = fill(database_url)
    for client, condition in truth.items():
        found = told(run, environment, client)
        assert found["verdict"] == VERDICTS[condition]
        assert found["evidence"]["condition"] == condition
        assert str(client) in found["sentence"]


def test_an_old_last_change_of_a_healthy_client_means_nothing_changed(
    ask: Ask, send: Send, run: Run, environment: dict[str, str]
) -> None:
    send(report(message(1), message(2, topic="t2")), ago=2 * DAY)
    send(report(message(3, topic_type=701, topic="heartbeat")))
    for question in ((), ("500",), ("500", "t1")):
        found = ask(*question)
        assert found["verdict"] == "current"
        assert "complete up to serial 3" in found["sentence"]
        assert "with a complete ledger that means that nothing changed" in found["sentence"]
    text = run("why", "pc1", "500", "t1", env=environment).stdout
    assert text.startswith("PC1 (11111111-1111-4111-8111-111111111111) is current on topic 500")
    assert "as of" in text


def test_a_client_that_the_server_never_heard_of_is_answered(
    ask: Ask, run: Run, environment: dict[str, str]
) -> None:
    found = ask(client=uuid4())
    assert found["verdict"] == "unknown client"
    assert ask("301", "x", client=uuid4())["verdict"] == "unknown client"
    done = run("why", "no-such-pc", env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no client is named 'no-such-pc'" in done.stderr


def test_of_two_machines_of_one_name_one_has_to_be_chosen(
    run: Run, environment: dict[str, str], send: Send
) -> None:
    send(report(message(1)), report(message(1), client=OTHER))
    done = run("why", "PC1", env=environment)
    assert done.returncode == 2
    assert str(CLIENT) in done.stderr
    assert str(OTHER) in done.stderr


def test_serials_used_twice_are_told_until_a_resync_answers(
    ask: Ask, send: Send, run: Run, environment: dict[str, str]
) -> None:
    send(report(message(1), message(2), message(3)))
    send(report(message(2, state=7)))
    for question in ((), ("500", "t1")):
        found = ask(*question)
        assert found["verdict"] == "rolled back"
        assert "not asked yet, to be asked now" in found["sentence"]
    request = run("resync", "request", CLIENT, env=environment).stdout.strip()
    found = ask()
    assert found["verdict"] == "rolled back"
    assert "not asked" not in found["sentence"]
    claim = Claim(UUID(request), 8, 9)
    send(report(message(8, topic_type=700, topic=request), message(9, state=7), claim=claim))
    assert ask()["verdict"] == "current"
    assert ask("500", "t1")["verdict"] == "current"


def test_a_client_whose_report_is_overdue_may_wait_in_a_queue(
    ask: Ask, send: Send, amqp_url: str
) -> None:
    send(report(message(1)), ago=20 * MINUTE)
    assert ask()["verdict"] == "current"
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        for _ in range(3):
            admin.publish(exchange=REPORTS, routing_key=REPORTS, body=b"?", properties=persistent())
    found = ask()
    assert found["verdict"] == "waiting"
    assert "about 3 reports in queue mp_relayendpoint, which nobody takes" in found["sentence"]
    assert found["evidence"]["queues"][REPORTS] == {"ready": 3, "consumers": 0}
    assert ask("500", "t9")["verdict"] == "waiting"
    # What another client sent just now is loaded: a report of this one would be, too.
    send(report(*map(message, range(1, 6)), client=OTHER))
    assert ask()["verdict"] == "current"
    assert ask(client=OTHER)["verdict"] == "current"


def test_without_a_broker_the_database_answers_and_says_what_was_not_looked_at(
    ask: Ask, send: Send, run: Run, environment: dict[str, str]
) -> None:
    send(report(message(1), message(3, topic="t3")))
    found = ask(**AWAY)
    assert (found["verdict"], found["broker_read"]) == ("missing", False)
    assert found["evidence"]["dead_letters"] is None
    done = run("why", CLIENT, env={**environment, **AWAY})
    assert done.returncode == 0
    assert "dead letters and queues were not looked at" in done.stderr
    assert "dead letters" not in run("why", CLIENT, env=environment).stderr


# -- one state -------------------------------------------------------------------------------


def test_only_what_may_be_newer_than_a_state_is_missing_for_it(ask: Ask, send: Send) -> None:
    send(report(message(1, topic="t1"), message(3, topic="t3")))
    assert ask()["verdict"] == "missing"
    assert ask("500", "t1")["verdict"] == "missing"
    assert ask("500")["verdict"] == "missing"
    assert ask("500", "t9")["verdict"] == "missing"
    found = ask("500", "t3")
    assert found["verdict"] == "current"
    assert "complete from serial 3 up to serial 3" in found["sentence"]


def test_a_state_that_a_resync_did_not_bring_is_overtaken(ask: Ask, send: Send) -> None:
    send(report(message(1, topic="t1"), message(2, topic="t2")))
    request = uuid4()
    claim = Claim(request, 3, 4)
    send(
        report(message(3, topic_type=700, topic=str(request)), message(4, topic="t2"), claim=claim)
    )
    found = ask("500", "t1")
    assert found["verdict"] == "overtaken"
    assert "brought its whole state from serial 3 on without it" in found["sentence"]
    assert found["command"] == f"statesys trace {CLIENT} 1"
    assert ask("500", "t2")["verdict"] == "current"
    assert ask("700", request)["verdict"] == "no state"
    assert ask("301", "t1")["verdict"] == "never reported"
    assert ask()["verdict"] == "current"


def test_a_state_without_a_serial_is_shown_and_nothing_is_proved(ask: Ask, send: Send) -> None:
    send(report(message(None, topic_type=902, topic="t1", serial_text="7")))
    found = ask("902", "t1")
    assert found["verdict"] == "current"
    assert "without a serial" in found["sentence"]
    assert "it numbers no messages" in found["sentence"]
    assert "nothing changed" not in found["sentence"]


@pytest.fixture
def refuse(amqp_url: str) -> Iterator[Callable[..., None]]:
    """Put a report, in the batch of a relay, into the dead letters."""
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)

        def refuse(one: Report) -> None:
            refusal = Refused(Reason.DATABASE, "value out of range")
            now = datetime.now(UTC)
            properties = Properties(message_id=str(uuid4()))
            letter = dead_letter(properties, refusal, stage="loader", queue=NORMAL, now=now)
            admin.publish(routing_key=DEAD, body=batch(one), properties=letter)

        yield refuse


def test_a_refused_report_is_named_with_its_reason_until_its_messages_come(
    ask: Ask, send: Send, refuse: Callable[..., None]
) -> None:
    lost = report(message(2, topic="t2"))
    refuse(lost)
    assert ask()["verdict"] == "dead letter"
    send(report(message(1, topic="t1"), message(3, topic="t3")))
    refuse(report(message(3), client=OTHER))
    found = ask()
    assert found["verdict"] == "dead letter"
    assert "(serials 2) that lie in a dead letter: refused by loader" in found["sentence"]
    assert "for database: " in found["sentence"]
    assert "(value out of range)" in found["sentence"]
    assert [one["lost"] for one in found["evidence"]["dead_letters"]] == [True]
    # The letter can be read, and speaks of another topic; a newer state of t1 is not in it.
    assert ask("500", "t2")["verdict"] == "dead letter"
    assert ask("500", "t1")["verdict"] == "missing"
    send(lost)
    assert ask()["verdict"] == "current"
    assert ask("500", "t2")["verdict"] == "current"
    assert [one["lost"] for one in ask()["evidence"]["dead_letters"]] == [False]


# -- input and text --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        ("GUID:no",),
        (CLIENT, "state"),
        (CLIENT, 2**31),
        (CLIENT, 301, "x" * 513),
        (CLIENT, 301, "\udcff"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    run: Run, environment: dict[str, str], question: tuple[object, ...]
) -> None:
    done = run("why", *question, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""


def test_hostile_text_reaches_no_terminal(
    run: Run, environment: dict[str, str], send: Send, database_url: str
) -> None:
    send(report(message(1, topic="\x1b[2J", state=4_000_000_000)))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE statesys.client SET name = E'\\x1b]0;x\\x07' || repeat('x', 400)"
        )
    for question in ((), (500,), (500, "\x1b[2J"), (500, "'; DROP TABLE client --")):
        done = run("why", CLIENT, *question, env=environment)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
        assert "\\x1b]0;x" in done.stdout


# -- a site whose truth is known -------------------------------------------------------------


def test_every_client_of_a_lossy_fleet_is_told_what_its_store_says(
    run: Run, lossy: Pipeline
) -> None:
    with StoreReader(lossy.fleet) as store:
        clients = [one.client_id for one in store.clients()]
        faults = [f for f in store.injected() if f.fault in ("loss", "corrupt")]
    seen = set()
    for client in clients:
        own = {f.fault for f in faults if f.client_id == client}
        expected = "dead letter" if "corrupt" in own else "missing" if own else "current"
        found = told(run, lossy.environment, client)
        assert found["verdict"] == expected, found["sentence"]
        lost = {(f.first_serial, f.last_serial) for f in faults if f.client_id == client}
        missing = [(r["first_serial"], r["last_serial"]) for r in found["evidence"]["missing"]]
        assert sum(b - a + 1 for a, b in missing) == sum(b - a + 1 for a, b in lost)
        seen.add(expected)
    assert seen == {"dead letter", "missing", "current"}
