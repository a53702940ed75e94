"""The project on another Debian: `python -m tests.proofs.trixie demo unit`.

Installs a small Debian 13 in a directory, copies the last commit into it, and runs targets of the
Makefile there, which install RabbitMQ, PostgreSQL and the Python packages as on a fresh machine.
"""

import subprocess
import sys

import click

from tests.proofs.debian import Debian, fresh
from tests.support.paths import ROOT

_CHECKOUT = "/srv/statesys"


@click.command()
@click.option("--suite", default="trixie", show_default=True, help="Debian's name of the release.")
@click.argument("targets", nargs=-1, default=("demo", "unit"))
def main(suite: str, targets: tuple[str, ...]) -> None:
    """Run targets of the Makefile there, with its variables, such as `unit JOBS=1`."""
    with fresh(suite) as debian:
        debian.install("make", "python3", "ca-certificates", "git")
        _copy(debian)
        debian.run(["make", *targets], directory=_CHECKOUT)
    sys.stderr.write(f"verified: make {' '.join(targets)} on {suite}\n")


def _copy(debian: Debian) -> None:
    checkout = debian.root / _CHECKOUT[1:]
    checkout.mkdir()
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(checkout)], input=archive.stdout, check=True)


if __name__ == "__main__":
    main()
