"""The console command as a process: exit codes, advice, and never a traceback."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import click
import psycopg
import pytest
from psycopg import sql

from runtime.devserver import Endpoints
from runtime.settings import environment
from statesys import COMMANDS, run_command
from tests.support import commands

#: Nothing listens on this port, which is reserved for port multiplexing.
AMQP = "amqp://user:very-secret@127.0.0.1:1/"
DATABASE = "postgresql://user:very-secret@127.0.0.1:1/name"
CLIENT = "f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without servers."""
    return tmp_path / "home"


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command without this shell's settings; it must not crash or show secrets."""
    settings = {f"STATESYS_{name.upper()}": value for name, value in variables.items()}
    env = {**commands.bare_environment(home), "NO_COLOR": "1", **settings}
    done = commands.run(*arguments, env=env)
    assert "very-secret" not in done.stdout + done.stderr
    return done


def test_without_arguments_it_explains_itself(home: Path) -> None:
    done = run(home)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(name in done.stderr for name in COMMANDS)


def test_help_and_version_are_data(home: Path) -> None:
    shown = run(home, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Exit codes" in shown.stdout
    assert run(home, "--version").stdout == f"statesys, version {version('statesys')}\n"


def here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run the command in this process, in a tenth of the time; its exit code."""
    monkeypatch.setattr(sys, "argv", ["statesys", *arguments])
    try:
        run_command()
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here(monkeypatch, name, "--help") == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "Usage: statesys" in told.out


@pytest.mark.parametrize(
    ("name", "command"), [pytest.param(*one, id=one[0]) for one in commands.commands()]
)
def test_every_command_shows_an_example(name: str, command: click.Command) -> None:
    _, example, shown = (command.help or "").partition("Example:\n")
    assert example
    assert name in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nope"],
        ["nope"],
        ["relay"],
        ["relay", "nope"],
        ["relay", "run", "--nope"],
        ["relay", "run", "--batch-size", "much"],
        ["relay", "run", "--batch-size", "0"],
        ["relay", "run", "--linger", "5"],
        ["loader", "run", "--retention", "99999999999999d"],
        ["resync", "request"],
        ["resync", "request", "GUID:no"],
        ["client", "forget", "GUID:1"],
        ["client", "erase"],
        ["top", "clients", "--by", "week"],
        ["audit", "--after", "0"],
        ["audit", "--csv", "--json"],
        ["health", "relay", "--interval", "-1"],
        ["loader", "run", "--log-format", "xml"],
        ["trace"],
        ["up", "--nope"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_exit_code_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here(monkeypatch, *arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err


@pytest.mark.parametrize(
    "arguments", [["dead", "list"], ["dead", "list", "--json"], ["status"]], ids=" ".join
)
def test_an_unreachable_broker_is_exit_code_3(home: Path, arguments: list[str]) -> None:
    done = run(home, *arguments, amqp_url=AMQP, database_url=DATABASE)
    assert done.returncode == 3
    # `status` reports an unreachable server as data, on stdout.
    told = done.stdout if arguments == ["status"] else done.stderr
    assert "RabbitMQ at 127.0.0.1:1: connection refused" in told
    assert "STATESYS_AMQP_URL" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["loader", "migrate"],
        ["resync", "check", "--dry-run"],
        ["resync", "request", CLIENT],
        ["client", "forget", CLIENT, "--yes"],
        ["client", "erase", CLIENT, "--yes"],
        ["top", "clients"],
        ["audit"],
        ["messages"],
        ["resync", "list"],
        ["states", CLIENT],
        ["gaps"],
    ],
    ids=" ".join,
)
def test_an_unreachable_database_is_exit_code_4(home: Path, arguments: list[str]) -> None:
    done = run(home, *arguments, amqp_url=AMQP, database_url=DATABASE)
    assert (done.returncode, done.stdout) == (4, "")
    assert "PostgreSQL" in done.stderr
    assert "STATESYS_DATABASE_URL" in done.stderr


@pytest.mark.parametrize(
    "url", ["", "nonsense", "http://u:very-secret@h/", "amqp://[::1", "amqp://u:very-secret@h/a/b"]
)
def test_a_malformed_broker_url_is_exit_code_2(home: Path, url: str) -> None:
    done = run(home, "relay", "run", amqp_url=url)
    assert done.returncode == 2
    assert "STATESYS_AMQP_URL" in done.stderr


@pytest.mark.parametrize("url", ["", "nonsense", "http://u:very-secret@h/", "postgresql://[::1"])
def test_a_malformed_database_url_is_exit_code_2(home: Path, url: str) -> None:
    done = run(home, "loader", "migrate", database_url=url)
    assert done.returncode == 2
    assert "STATESYS_DATABASE_URL" in done.stderr


@pytest.mark.parametrize("arguments", [["dead", "list"], ["relay", "run"], ["gaps"]], ids=" ".join)
def test_without_servers_it_says_how_to_get_them(home: Path, arguments: list[str]) -> None:
    done = run(home, *arguments)
    assert done.returncode == 2
    assert "statesys up" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["gaps"], ["states", CLIENT], ["resync", "check"]], ids=" ".join
)
def test_a_database_without_tables_says_what_to_do(
    home: Path, empty_database_url: str, arguments: list[str]
) -> None:
    done = run(home, *arguments, amqp_url=AMQP, database_url=empty_database_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "statesys loader migrate" in done.stderr


@pytest.fixture
def empty_database_url(endpoints: Endpoints) -> Iterator[str]:
    """A database without any table."""
    name = f"empty_{uuid.uuid4().hex}"
    parts = urlsplit(endpoints.database_url)
    with psycopg.connect(endpoints.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield parts._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("arguments", ["topics", "topics --json", "--help"])
def test_output_that_cannot_be_written_is_one_sentence(home: Path, arguments: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m statesys {arguments} >/dev/full"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(home=home),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_a_reader_who_has_seen_enough_hears_no_complaint(home: Path) -> None:
    line = f"{sys.executable} -m statesys topics | true"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        env=environment(home=home),
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["--help"], {"pydantic", "pika", "psycopg", "lxml", "rich", "structlog"}),
        (["relay", "run", "--help"], {"pika", "psycopg", "lxml"}),
        (["loader", "run", "--help"], {"pika", "psycopg", "lxml"}),
        (["up", "--help"], {"pydantic", "pika", "psycopg", "lxml"}),
        (["topics", "301", "6"], {"pydantic", "pika", "psycopg", "lxml", "rich", "structlog"}),
        (["clients", "--help"], {"pika", "lxml", "lark", "rich", "structlog"}),
        (["top", "clients", "--help"], {"pika", "lxml", "lark", "rich", "structlog"}),
    ],
    ids=lambda value: " ".join(sorted(value)),
)
def test_help_imports_only_what_it_needs(arguments: list[str], without: set[str]) -> None:
    program = (
        "import sys, statesys; sys.argv = ['statesys', *sys.argv[1:]]\n"
        "try: statesys.main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert not without & set(done.stderr.split())
