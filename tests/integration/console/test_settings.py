"""`statesys settings`: what is in force here, and what the workers of the site use."""

import json
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from console.settings import USED
from runtime.in_force import MASKED, published_settings, unit
from runtime.settings import Settings, load_settings
from schemas.errors import ExitCode
from tests.integration.console.conftest import Run
from tests.support.commands import commands
from tests.support.processes import PATIENCE, Program
from tests.support.waiting import wait_until

SECRET = "p%40ss%2Fword"


def here(run: Run, environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    done = run("settings", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)}


def test_every_setting_has_a_value_and_an_origin(
    run: Run, bare_environment: dict[str, str]
) -> None:
    found = here(run, {**bare_environment, "STATESYS_BATCH_SIZE": "77", "STATESYS_RETENTION": "2d"})
    assert list(found) == list(Settings.model_fields)
    assert found["batch_size"] == {
        "name": "batch_size",
        "value": "77",
        "unit": "KiB of SMX",
        "origin": "STATESYS_BATCH_SIZE",
    }
    assert (found["retention"]["value"], found["retention"]["unit"]) == ("2d", "duration")
    assert (found["batch_linger"]["value"], found["batch_linger"]["origin"]) == ("50ms", "default")
    assert found["amqp_url"]["value"] is None
    assert int(found["loader_threads"]["value"]) in range(2, 5)
    assert found["home"]["origin"] == "STATESYS_HOME"


@pytest.mark.parametrize(
    ("name", "url", "shown"),
    [
        ("amqp_url", f"amqp://ann:{SECRET}@h:5672/v", f"amqp://ann:{MASKED}@h:5672/v"),
        (
            "database_url",
            f"postgresql://ann@a:1,b:2/d?password={SECRET}&sslmode=disable",
            "postgresql://ann@a:1,b:2/d?...",
        ),
        ("management_url", f"http://ann:{SECRET}@h:15672", f"http://ann:{MASKED}@h:15672"),
        ("amqp_url", f"amqp://ann:{SECRET}@x@h:5672/v", MASKED),
        ("amqp_url", f"amqp://ann:{SECRET}\x1b[31m@h/v", MASKED),
    ],
)
def test_no_password_is_shown(
    run: Run, bare_environment: dict[str, str], name: str, url: str, shown: str
) -> None:
    environment = {**bare_environment, f"STATESYS_{name.upper()}": url}
    assert here(run, environment)[name]["value"] == shown
    for arguments in (("settings",), ("settings", "--json")):
        done = run(*arguments, env=environment)
        assert SECRET not in done.stdout + done.stderr
        assert done.returncode == 0


def test_a_wrong_setting_is_told_and_not_shown(run: Run, bare_environment: dict[str, str]) -> None:
    done = run("settings", env={**bare_environment, "STATESYS_BATCH_SIZE": "many"})
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "STATESYS_BATCH_SIZE" in done.stderr


def test_the_settings_of_each_role_are_those_of_its_flags() -> None:
    known = dict(commands())
    for role, used in USED.items():
        flags = {p.name for p in known[f"statesys {role} run"].params}
        # A path on the worker's machine is not published.
        assert flags & set(Settings.model_fields) - {"log_file"} <= set(used)
        assert set(used) <= set(published_settings(load_settings()))


def test_what_is_published_holds_no_url_and_no_path() -> None:
    settings = load_settings(
        amqp_url="amqp://ann:secret@h/v", database_url="postgresql://ann:secret@h/d"
    )
    found = published_settings(settings)
    assert not {"home", "amqp_url", "database_url", "management_url"} & set(found)
    assert "secret" not in json.dumps(found)
    assert all(unit(name) for name in found if found[name].isdigit())


# -- the site ----------------------------------------------------------------------------------


def site(run: Run, environment: dict[str, str]) -> dict[str, Any]:
    done = run("settings", "--site", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_site_without_workers_has_no_settings(run: Run, environment: dict[str, str]) -> None:
    found = site(run, environment)
    assert (found["workers"], found["settings"]) == (0, [])
    done = run("settings", "--site", env=environment)
    assert "0 workers at work, as of " in done.stderr


def test_it_needs_a_database_for_the_site(run: Run, bare_environment: dict[str, str]) -> None:
    assert run("settings", "--site", env=bare_environment).returncode == ExitCode.USAGE


def test_what_the_workers_use_and_where_they_differ(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    urls = {
        "amqp_url": environment["STATESYS_AMQP_URL"],
        "database_url": environment["STATESYS_DATABASE_URL"],
    }
    with (
        Program(tmp_path / "a", "relay", "run", **urls),
        Program(tmp_path / "b", "relay", "run", "--batch-size", "9", **urls) as odd,
        Program(tmp_path / "c", "loader", "run", "--threads", "1", **urls) as loader,
    ):
        wait_until(
            lambda: site(run, environment)["workers"] == 3, timeout=PATIENCE, what="three workers"
        )
        found = site(run, environment)["settings"]
        text = run("settings", "--site", env=environment).stdout
        for worker in (odd, loader):
            worker.send(signal.SIGTERM)
    sizes = [one for one in found if (one["role"], one["name"]) == ("relay", "batch_size")]
    assert {(one["value"], one["differs"]) for one in sizes} == {("256", True), ("9", True)}
    (nine,) = (one for one in sizes if one["value"] == "9")
    assert [name.rpartition(":")[2] for name in nine["workers"]] == [str(odd.process.pid)]
    assert {one["name"] for one in found if one["differs"]} == {"batch_size"}
    (threads,) = (one for one in found if one["name"] == "loader_threads")
    assert (threads["value"], threads["unit"]) == ("1", "threads")
    assert nine["workers"][0] in text


def test_hostile_text_in_a_setting_reaches_no_terminal(
    run: Run, environment: dict[str, str]
) -> None:
    with psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "INSERT INTO statesys.worker (id, role, host, pid, version, started_at, first_seen_at,"
            " seen_at, settings, uptime, reports, batches, chunks, messages, refused, quarantined)"
            " VALUES (%s, 'relay', %s, 1, 'x', now(), now(), now(),"
            """ '{"batch_size": "\\u001b[31m[red]"}', 1, 0, 0, 0, 0, 0, 0)""",
            [uuid4(), "\x1b[2J" + "x" * 500],
        )
    for arguments in (("settings", "--site"), ("status",)):
        done = run(*arguments, env=environment)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
