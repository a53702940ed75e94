"""The commands, each in its own process, against a real broker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from producers.cli import producers
from producers.faults import FAULTS
from producers.store import Store, StoreReader
from runtime.settings import environment
from tests.support import commands
from tests.support.arrivals import messages, taken
from tests.support.fleet_strategies import NOW
from tests.support.waiting import wait_until

NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


@contextmanager
def a_process(amqp_url: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`statesys producers …` in the background; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "statesys", "producers", *map(str, arguments)],
        env=environment(amqp_url=amqp_url, log_format="json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def a_run(amqp_url: str, *arguments: str | Path) -> tuple[int, str, str]:
    """Run `statesys producers …`; its exit code, stdout and stderr."""
    env = environment(amqp_url=amqp_url, log_format="json")
    done = commands.run("producers", *arguments, env=env)
    return done.returncode, done.stdout, done.stderr


def test_publish_prints_what_it_did_as_json(directory: Path, amqp_url: str) -> None:
    code, out, _ = a_run(
        amqp_url, "publish", "--fleet", directory, "--clients", "20", "--loss", "0.2", "--json"
    )

    assert code == 0
    summary = json.loads(out)
    with StoreReader(directory) as store:
        totals = store.totals()
        assert summary["reports"] == totals.reports
        assert summary["messages"] == totals.messages
        assert summary["heartbeats"] == totals.heartbeats == 20
        assert (
            summary["injected"] == store.injected_by_kind() == {"loss": summary["injected"]["loss"]}
        )
    assert summary["outbox"] == 0


def test_a_second_publish_goes_on_where_the_first_one_ended(directory: Path, amqp_url: str) -> None:
    first = json.loads(
        a_run(amqp_url, "publish", "--fleet", directory, "--clients", "5", "--json")[1]
    )
    second = json.loads(a_run(amqp_url, "publish", "--fleet", directory, "--json")[1])

    assert second["clients"] == 5
    with StoreReader(directory) as store:
        assert store.totals().messages == first["messages"] + second["messages"]
        assert messages(taken(amqp_url)) == set(store.sent())


def test_killed_in_the_middle_and_run_again_nothing_is_lost_or_given_twice(
    directory: Path, amqp_url: str
) -> None:
    arguments = ("publish", "--fleet", directory, "--clients", "300", "--json")
    with a_process(amqp_url, *arguments, "--cycles", "1000") as process:

        def seen_in_the_middle() -> bool:
            if not (directory / "fleet.sqlite3").is_file():
                return False
            with StoreReader(directory) as store:
                totals = store.totals()
                return totals.reports > 600 and totals.outbox > 50

        def in_the_middle() -> bool:
            if not seen_in_the_middle():
                return False
            # It went on meanwhile; stopped, it stays where it is until it is killed.
            process.send_signal(signal.SIGSTOP)
            if seen_in_the_middle():
                return True
            process.send_signal(signal.SIGCONT)
            return False

        wait_until(in_the_middle, timeout=60, what="reports in the outbox")
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    with StoreReader(directory) as store:
        at_the_kill = set(store.sent())
        owed = {r.message_id for r in store.outbox_ranges()}
    assert owed

    code, _, err = a_run(amqp_url, *arguments, "--cycles", "1")

    assert code == 0, err
    deliveries = taken(amqp_url)
    arrived = messages(deliveries)
    with StoreReader(directory) as store:
        assert store.outbox_is_empty()
        # All serials, each with one digest: nothing was lost or numbered twice.
        assert arrived == set(store.sent()) > at_the_kill
        for client in store.clients():
            numbered = [m.serial for m in store.sent(client.client_id)]
            assert set(numbered) == set(range(1, client.last_serial + 1))
    # Duplicates have the same bytes.
    bodies: dict[str, set[bytes]] = {}
    for delivery in deliveries:
        bodies.setdefault(delivery.properties.message_id or "", set()).add(delivery.body)
    assert all(len(copies) == 1 for copies in bodies.values())
    assert {str(message_id) for message_id in owed} <= bodies.keys()


def test_a_stopped_publish_says_what_is_left_and_fails(directory: Path, amqp_url: str) -> None:
    arguments = ("publish", "--fleet", directory, "--clients", "100", "--cycles", "5000")
    with a_process(amqp_url, *arguments) as process:
        wait_until((directory / "fleet.sqlite3").is_file, what="a store")
        with StoreReader(directory) as store:
            wait_until(lambda: store.totals().reports > 100, what="reports")
        process.terminate()
        _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "stopped before the end" in err
    assert "Traceback" not in err


def test_a_running_fleet_stops_in_good_order(directory: Path, amqp_url: str) -> None:
    arguments = ("run", "--fleet", directory, "--clients", "30", "--forward-interval", "500ms")
    with a_process(amqp_url, *arguments) as process:
        wait_until((directory / "fleet.sqlite3").is_file, what="a store")
        with StoreReader(directory) as store:
            wait_until(lambda: store.totals().reports > 60, timeout=60, what="two cycles")
        process.terminate()
        _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events[0] == "producers.started"
    assert events[-1] == "producers.stopped"
    with StoreReader(directory) as store:
        assert messages(taken(amqp_url)) == set(store.sent())


def test_a_store_in_use_is_told_with_its_owner(directory: Path) -> None:
    with Store(directory, seed=None, clients=1, now=NOW):
        code, _, err = a_run(NOWHERE, "publish", "--fleet", directory)

    assert code == 1
    assert f"in use by process {os.getpid()}" in err


def test_a_broker_that_is_away_is_exit_code_3(directory: Path) -> None:
    code, _, err = a_run(NOWHERE, "publish", "--fleet", directory, "--clients", "1")

    assert code == 3
    assert "Traceback" not in err


def test_rates_that_make_no_sense_are_exit_code_2(directory: Path) -> None:
    code, _, err = a_run(
        NOWHERE, "publish", "--fleet", directory, "--loss", "0.9", "--corrupt", "0.9"
    )

    assert code == 2
    assert "together at most 1" in err


@pytest.mark.parametrize("command", ["publish", "run"])
def test_help_has_an_example_and_every_fault(command: str) -> None:
    text = CliRunner().invoke(producers, [command, "--help"]).output

    # The example is on its own line, so that it can be copied.
    assert f"\n    statesys producers {command} --" in text
    assert all(f"--{fault}" in text for fault in FAULTS)
