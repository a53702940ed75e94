"""A whole round with one database: migrate, load, and run every command that reads."""

from collections.abc import Sequence

from click.testing import CliRunner

from statesys import cli
from tests.support.processes import batch, drain, fill
from tests.support.world import CLIENT, message, report

#: Serial 2 is missing.
_SERIALS = (1, 3, 4)
#: Commands that read the database or request a resync, each through its own session.
LOOKING: Sequence[Sequence[str]] = (
    ("status", "--json"),
    ("trace", str(CLIENT), "--json"),
    ("states", str(CLIENT), "--json"),
    ("gaps", "--json"),
    ("resync", "check", "--dry-run"),
    ("resync", "request", str(CLIENT)),
    ("verify", "--help"),
)


def command(amqp_url: str, database_url: str, *arguments: str) -> str:
    """Run a command in this process, and return its output."""
    environment = {"STATESYS_AMQP_URL": amqp_url, "STATESYS_DATABASE_URL": database_url}
    done = CliRunner().invoke(cli, list(arguments), env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, (arguments, done.output)
    return done.output


def load(amqp_url: str, database_url: str) -> None:
    """Migrate, and load three messages with a gap of one serial."""
    command(amqp_url, database_url, "loader", "migrate")
    fill(amqp_url, [batch(report(*map(message, _SERIALS)))])
    drain(amqp_url, database_url, loader_threads=1)


def look(amqp_url: str, database_url: str) -> None:
    """Run every command that reads, and check that they show the client and the gap."""
    told = {words[0]: command(amqp_url, database_url, *words) for words in LOOKING}
    assert str(CLIENT) in told["trace"]
    assert '"first_serial": 2' in told["gaps"], told["gaps"]
