"""The console command: builds the tree of commands, and turns errors into exit codes.

A command is imported when it is called, not when the program starts: `statesys --help` stays
quick, and a command imports only the libraries that it needs.
"""

import gc
import os
import signal
import sys
from importlib import import_module
from types import ModuleType

import click

from runtime.standard_streams import set_up_standard_streams
from schemas.errors import ExitCode, SettingsError, StatesysError

#: Seconds that the process may take to end after its command is done. Python then only waits for
#: threads and child processes.
_END_WITHIN = 30

#: Where each command is defined: name -> (module:attribute, one line for the help).
COMMANDS = {
    "up": ("runtime.devserver.cli:up", "Start a private RabbitMQ and PostgreSQL."),
    "down": ("runtime.devserver.cli:down", "Stop the private servers; the data stays."),
    "demo": ("lab.demo.cli:demo", "Run the whole job on a synthetic fleet with faults."),
    "producers": ("producers.cli:producers", "Publish a synthetic fleet, or keep one alive."),
    "relay": ("relay.cli:relay", "Turn reports into batches of SMX."),
    "loader": ("loader.cli:loader", "Load batches into PostgreSQL; migrate the database."),
    "status": ("console.status.cli:status", "Queues, dead letters, clients, messages, resyncs."),
    "verify": ("lab.verify.cli:verify", "Prove that what was sent is what is stored."),
    "trace": ("console.trace.cli:trace", "Where a message is or went."),
    "clients": ("console.clients:clients", "Which clients there are, and how they are."),
    "messages": ("console.messages.cli:messages", "The history, newest first; follow it."),
    "states": ("console.states:states", "The current state of a client."),
    "compliance": ("console.compliance.cli:compliance", "How many clients are in which state."),
    "gaps": ("console.gaps:gaps", "Missing ranges: what has not been received."),
    "why": ("console.why.cli:why", "Why a client's state is unknown or old."),
    "top": ("console.top.cli:top", "Which clients or topics send most, in an hour and a day."),
    "topics": ("console.topics:topics", "Names of topic types and state ids."),
    "collections": (
        "console.collections.cli:collections",
        "Clients that a rule picks out: create, list, show, members.",
    ),
    "dead": ("console.dead.cli:dead", "Dead letters: list, show, replay, purge."),
    "topology": ("console.topology.cli:topology", "Verify queues, exchanges and policies."),
    "bench": ("lab.bench.cli:bench", "Measure how much the pipeline carries here."),
    "web": ("web.cli:web", "Show the site in a browser: pages, an API, metrics."),
    "web-user": ("web.access.users_cli:web_user", "Who may log in to the viewer."),
    "audit": ("console.audit:audit", "Who changed something through the viewer."),
    "metrics": ("web.metrics.cli:metrics", "Numbers of the site for Prometheus."),
    "settings": ("console.settings:settings", "Settings in force here, or at the site's workers."),
    "log": ("console.log:log", "Read logs that CMTrace can read, ConfigMgr's own too."),
    "health": ("console.health:health", "Whether the workers here do their work."),
    "resync": ("console.resyncs:resync", "Resyncs: who is due, who was asked; ask clients now."),
    "client": (
        "loader.client_cli:client_group",
        "Forget, erase or quarantine a client.",
    ),
}
#: Commands whose libraries are an extra of the package.
EXTRAS = {"web": "web", "web-user": "web", "metrics": "web"}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Every command, in the order in which the help lists them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        try:
            command = getattr(_imported(module), attribute)
        except ModuleNotFoundError as error:
            if cmd_name not in EXTRAS:
                raise
            raise SettingsError(
                f"`statesys {cmd_name}` needs {error.name}, which is not installed: "
                f"pip install 'statesys[{EXTRAS[cmd_name]}]'"
            ) from None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _imported(name: str) -> ModuleType:
    """Import a module and all that it imports, without looking for garbage in between.

    What an import makes, stays: looking through it costs a tenth of a command's start.
    """
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="statesys", prog_name="statesys")
def cli() -> None:
    """State messages of managed clients: from reports on RabbitMQ into PostgreSQL, without loss.

    \b
    Example:
      statesys up                 start private servers
      statesys demo               run the whole job once
      statesys status             see where everything is

    \b
    Servers (variables, never flags: a command line is no place for a password):
      STATESYS_AMQP_URL        amqp://user:password@host/vhost, several hosts with
                               commas between, or amqps://...
                               with ?cacertfile=FILE&certfile=FILE&keyfile=FILE
      STATESYS_DATABASE_URL    postgresql://user:password@host/name, for TLS with
                               ?sslmode=verify-full&sslrootcert=FILE
      STATESYS_MANAGEMENT_URL  http://user:password@host:15672, or https://...
    Without them: the private servers of `statesys up`.

    Exit codes: 0 done, 1 failed or not verified, 2 usage, 3 broker unreachable, a permission
    missing or a queue wrong, 4 database unreachable, unwell or a right missing.
    """


def main() -> None:
    """Run the command line, then end the process."""
    set_up_standard_streams()
    try:
        run_command()
    finally:
        _drop_unwritable_output()
        # If a thread or a child keeps the process alive longer, the kernel ends it.
        signal.alarm(_END_WITHIN)


def _drop_unwritable_output() -> None:
    """Drop output that stdout refused: Python would retry it and exit with its own code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def run_command() -> None:
    """Run one command; report a failure that a user can cause as a sentence and an exit code."""
    try:
        cli.main(prog_name="statesys", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except StatesysError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        # The system refused something, such as output to a full disk. (When the reader of a pipe
        # is gone, click and rich exit with 1 themselves, without a message.)
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitCode.FAILED)


if __name__ == "__main__":
    main()
