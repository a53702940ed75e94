"""No password in a log, an error message, a heartbeat file or a command line."""

import json
import re
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from runtime.settings import Settings
from tests.support.commands import commands
from tests.support.life import Life
from tests.support.paths import OPERATIONS
from tests.support.secure_site import SecureSite

# The first test also waits for servers, users, and a fleet's whole life.
pytestmark = pytest.mark.timeout(300)

#: Characters that a URL must quote, so that the tests look for both spellings.
WRONG = "wr0ng/p@ss:w%rd?#"


def found_in(site: SecureSite, text: str) -> list[str]:
    """The secrets that a text holds."""
    secrets = {*site.secrets(), WRONG, quote(WRONG, safe="")}
    assert all(len(secret) > 8 for secret in secrets)
    return [secret for secret in secrets if secret in text]


def test_workers_at_work_write_no_password(site: SecureSite, life: Life) -> None:
    for event in ("relay.batch_sent", "loader.chunk_loaded", "loader.resync_sent"):
        assert event in life.logs
    assert found_in(site, life.logs) == []
    assert len(life.health) >= 2
    assert found_in(site, "".join(life.health)) == []


def test_no_process_shows_a_password(site: SecureSite, life: Life) -> None:
    lines = "\n".join(life.processes)
    for program in ("statesys relay run", "statesys loader run", "statesys producers run"):
        assert program in lines
    for server in ("beam", "postgres"):
        assert server in lines
    assert found_in(site, lines) == []


def test_the_documented_commands_show_no_password(site: SecureSite) -> None:
    for program in ("rabbitmqctl add_user statesys-relay", "psql", "statesys loader migrate"):
        assert program in site.command_lines
    assert found_in(site, site.command_lines) == []


@pytest.mark.usefixtures("life")
def test_the_servers_log_no_password(site: SecureSite) -> None:
    home = site.directory / "home"
    logs = [*(home / "rabbitmq" / "log").iterdir(), home / "postgres" / "postgres.log"]
    text = "".join(log.read_text(errors="replace") for log in logs)
    # Statements are logged here, but those that set a password are not.
    assert "CREATE DATABASE" not in text
    assert "GRANT USAGE ON SCHEMA" in text
    assert "statesys-relay" in text
    assert found_in(site, text) == []


def mistakes(site: SecureSite) -> Iterator[tuple[str, dict[str, str]]]:
    """Kinds of mistakes, and variables with URLs that have them."""
    amqp, database = site.amqp_url("relay"), site.database_url("loader")
    wrong = quote(WRONG, safe="")
    yield (
        "password",
        {
            "AMQP_URL": amqp.replace(site.password("statesys-relay"), wrong),
            "DATABASE_URL": database.replace(site.password("statesys_loader"), wrong),
            "MANAGEMENT_URL": f"https://u:{wrong}@localhost:{site.https}",
        },
    )
    yield (
        "unreachable",
        {
            # Nothing listens on this port, which is reserved for port multiplexing.
            "AMQP_URL": amqp.replace(f":{site.amqps}", ":1"),
            "DATABASE_URL": database.replace(f":{site.database_port}", ":1"),
            "MANAGEMENT_URL": f"https://u:{wrong}@localhost:1",
        },
    )
    yield (
        "authority",
        {
            "AMQP_URL": site.amqp_url("relay", cacertfile=site.foreign_authority),
            "DATABASE_URL": site.database_url("loader", authority=site.foreign_authority),
            "MANAGEMENT_URL": site.management_url("operator", site.foreign_authority),
        },
    )
    yield (
        "virtual host or database",
        {
            "AMQP_URL": amqp.replace("/statesys?", "/nowhere?"),
            "DATABASE_URL": database.replace("/statesys?", "/nowhere?"),
        },
    )
    yield (
        "unquoted",
        {
            "AMQP_URL": f"amqps://relay:{WRONG}@localhost/statesys",
            "DATABASE_URL": f"postgresql://loader:{WRONG}@localhost/statesys",
            "MANAGEMENT_URL": f"https://u:{WRONG}@localhost",
        },
    )
    yield (
        "scheme",
        {
            "AMQP_URL": amqp.replace("amqps", "ftp"),
            "DATABASE_URL": database.replace("postgresql", "ftp"),
            "MANAGEMENT_URL": f"ftp://u:{wrong}@localhost",
        },
    )
    yield (
        "parameter",
        {
            "AMQP_URL": f"{amqp}&nonsense={wrong}",
            "DATABASE_URL": f"{database}&nonsense={wrong}",
            "MANAGEMENT_URL": f"https://u:{wrong}@localhost?nonsense={wrong}",
        },
    )


@pytest.mark.parametrize(
    "arguments",
    [("relay", "run"), ("loader", "run")],
    ids=" ".join,
)
def test_no_failure_tells_a_password(site: SecureSite, arguments: tuple[str, ...]) -> None:
    for what, variables in mistakes(site):
        given = {f"STATESYS_{name}": value for name, value in variables.items()}
        done = site.run(*arguments, **given)
        assert done.returncode in {2, 3, 4}, what
        told = done.stdout + done.stderr
        assert found_in(site, told) == [], what
        # Nor a piece, cut at a character that has a meaning in a URL.
        assert "wr0ng" not in told, what


_NOBODY = "f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"
#: Every command that connects, except the workers, which the test above runs, and `producers run`,
#: which waits for a broker that is away. With a right URL none of them changes anything.
_COMMANDS = {
    "loader migrate": "",
    "producers publish": "--fleet secrets --clients 1 --cycles 0 --no-heartbeat",
    "status": "--json",
    "verify": "--fleet secrets --timeout 0s",
    "trace": f"{_NOBODY} 1",
    "states": _NOBODY,
    "gaps": "",
    "dead list": "",
    "dead show": "1",
    "dead replay": "nothing",
    "dead purge": "nothing --yes",
    "topology check": "",
    "topology shards": "",
    "resync check": "--dry-run",
    "resync request": _NOBODY,
    "client forget": f"{_NOBODY} --yes",
    "client erase": f"{_NOBODY} --yes",
    "client quarantined": "",
    "client release": _NOBODY,
    "clients": "",
    "why": _NOBODY,
    "compliance": "301",
    "collections list": "",
    "collections show": "Nothing",
    "collections members": "Nothing",
    "collections delete": "Nothing --yes",
    "settings": "--site",
    "settings export": "",
    "metrics": "",
    "top clients": "",
    "audit": "",
    "messages": "",
    "resync list": "",
    "top topics": "",
}
_WITHOUT = {
    *("up", "down", "topics", "health", "relay run", "loader run", "producers run"),
    *("producers reply-queue", "demo", "web", "web-user add", "web-user remove", "log show"),
    # These would change something with a right URL; each begins as `client release` and
    # `collections delete` do.
    *("client quarantine", "collections create", "settings import"),
    *(f"bench {kind}" for kind in ("publish", "relay", "loader", "drain", "steady")),
    *("bench answers", "bench viewer"),
}
#: Runs all commands in one process. Arguments: a file with a list of variables, the commands.
_RUN_ALL = """
import json, os, sys, traceback
from statesys import run_command
file, *commands = sys.argv[1:]
for variables in json.load(open(file)):
    os.environ.update(variables)
    for command in commands:
        sys.argv = ["statesys", *command.split()]
        try:
            run_command()
        except SystemExit as end:
            print("code", end.code)
        except BaseException:
            traceback.print_exc(file=sys.stdout)
"""


def test_no_command_tells_a_password_when_one_url_is_wrong(site: SecureSite) -> None:
    right = {
        "STATESYS_AMQP_URL": site.amqp_url("operator"),
        "STATESYS_DATABASE_URL": site.database_url("loader"),
        "STATESYS_MANAGEMENT_URL": site.management_url("operator"),
    }
    tried = [
        right | {f"STATESYS_{name}": url}
        for what, variables in mistakes(site)
        if what != "authority"  # Like "unreachable", but with a longer message.
        for name, url in variables.items()
    ]
    file = site.directory / "tried.json"
    file.write_text(json.dumps(tried), encoding="utf-8")
    lines = [f"{name} {arguments}" for name, arguments in _COMMANDS.items()]
    done = site._call([sys.executable, "-c", _RUN_ALL, str(file), *lines], site.environment())
    told = done.stdout + done.stderr
    assert told.count("\ncode ") > len(tried) * 5
    assert "Traceback" not in told, told
    assert found_in(site, told) == []
    assert "wr0ng" not in told


def test_every_command_is_among_them() -> None:
    assert {*_COMMANDS, *_WITHOUT} == {name.removeprefix("statesys ") for name, _ in commands()}


def test_no_flag_takes_a_url() -> None:
    secret = {name for name, field in Settings.model_fields.items() if "Secret" in str(field)}
    assert secret
    flags = (parameter.name for _, command in commands() for parameter in command.params)
    assert secret.isdisjoint(flags)


def test_files_with_passwords_are_their_owners_alone(site: SecureSite) -> None:
    kept = [*site.directory.glob("*.password"), site.directory / "home" / "services.json"]
    kept += [site.directory / "home" / "rabbitmq" / "rabbitmq.conf"]
    assert len(kept) > 8
    ours = [path for path in kept if path.name != "statesys_stranger.password"]
    assert [path.name for path in ours if path.stat().st_mode & 0o077] == []


def test_the_page_puts_no_password_into_an_example_of_a_command_line() -> None:
    page = OPERATIONS
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        # Not urlsplit: Python 3.13 reads no URL of several hosts one of which is in brackets.
        if re.search(r"\w+://[^\s'\"/@]*:[^\s'\"/@]+@", line):
            assert line.startswith("export "), line
        # The shell's own printf starts no process, so no command line shows its arguments.
        if "$STATESYS_" in line:
            assert re.search(r"<\(printf '[^']*'\s+\"\$STATESYS_", line), line
