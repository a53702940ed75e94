"""`statesys up` and `statesys down`."""

import json
import shlex
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import click

from runtime import devserver
from runtime.devserver.rabbitmq_conf import ROOM

_home = click.option(
    "--home",
    envvar="STATESYS_HOME",
    show_envvar=True,
    default=".statesys",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the servers' data, logs, ports and passwords.",
)


@click.command()
@_home
@click.option(
    "--nodes",
    type=click.Choice(["1", "3"]),
    help="Brokers, which form a cluster if there are several. The data keeps their number "
    "[default: that of the data, or 1].",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of three lines.")
def up(home: Path, nodes: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Start the private RabbitMQ and PostgreSQL, unless they run, and print their addresses.

    They listen on 127.0.0.1 only, on ports of their own, and keep running until `statesys down`.
    All other commands find them by themselves; the printed lines are for other programs:

    \b
    Example:
      eval "$(statesys up)"
      psql "$STATESYS_DATABASE_URL"

    With --nodes 3 the site goes on when one broker fails; `statesys up` starts it again.
    """
    endpoints = devserver.up(home, nodes=int(nodes) if nodes else None)
    found = endpoints._asdict()
    lines = (f"STATESYS_{name.upper()}={shlex.quote(value)}" for name, value in found.items())
    click.echo(json.dumps(found) if as_json else "\n".join(lines))
    ui = urlsplit(endpoints.management_url)
    pages = " or ".join(f"http://{one}/" for one in ui.netloc.rpartition("@")[2].split(","))
    click.echo(f"RabbitMQ UI: {pages}  user {ui.username}, password {ui.password}", err=True)
    if home.is_dir() and shutil.disk_usage(home).free < ROOM:
        click.echo(
            f"less than {ROOM / 1e9:.0f} GB free on the disk of {home}: RabbitMQ takes no messages "
            "until there is more",
            err=True,
        )


@click.command()
@_home
@click.option("--purge", is_flag=True, help="Also delete their data, ports and passwords.")
def down(home: Path, purge: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Stop the private RabbitMQ and PostgreSQL; their data stays for the next `statesys up`.

    \b
    Example:
      statesys down           # stop
      statesys down --purge   # stop and begin anew next time
    """
    ran = devserver.down(home, purge=purge)
    click.echo("stopped" if ran else "nothing was running", err=True)
    if purge:
        click.echo("their data is deleted", err=True)
