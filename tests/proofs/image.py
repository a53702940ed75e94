"""The Dockerfile's steps, without Docker: `python -m tests.proofs.image`.

Executes each step of the Dockerfile in a Debian of its own, copying only what `.dockerignore` lets
through, and runs the entry point there against real servers. The Debian stands for the base image:
it has Debian's Python (3.11 in bookworm) instead of the image's 3.13, and layers are not made.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import click

from runtime import devserver
from runtime.settings import PREFIX
from tests.proofs.debian import Debian, fresh
from tests.proofs.dockerfile import Stage, copied, readable, stages, words_of
from tests.support.paths import ROOT

#: What `python:*-slim` has beside Debian's smallest system.
_PYTHON = ("python3", "python3-venv", "ca-certificates")


@click.command()
@click.option("--suite", default="bookworm", show_default=True, help="Debian of the base image.")
def main(suite: str) -> None:
    """Build what the image holds, and run its commands."""
    with fresh(suite) as base:
        base.install(*_PYTHON)
        (base.root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        built: dict[str, _Container] = {}
        *_, image = (_built(stage, base, built) for stage in stages(ROOT / "Dockerfile"))
        _use(image, base.root.parent / "servers")
    sys.stderr.write("verified: every step of the Dockerfile, and the commands of its image\n")


def _built(stage: Stage, base: Debian, built: dict[str, "_Container"]) -> "_Container":
    """Execute a stage in a copy of the base, and add it to those that are built."""
    root = base.root.parent / f"stage-{len(built)}"
    subprocess.run(["cp", "-a", str(base.root), str(root)], check=True)
    container = built[stage.name] = _Container(Debian(root), built)
    container.build(stage)
    return container


class _Container:
    """What a stage has made so far.

    Args:
        debian: where its files are.
        others: earlier stages by name.
    """

    def __init__(self, debian: Debian, others: dict[str, "_Container"]) -> None:
        self.debian = debian
        self._others = others
        self._directory, self._user = "/", "root"
        self._variables: dict[str, str] = {}
        self._entry: list[str] = []
        self._command: list[str] = []

    def build(self, stage: Stage) -> None:
        """Execute the steps of a stage."""
        for instruction, rest in stage.steps:
            sys.stderr.write(f"== {instruction} {rest[:100]}\n")
            self._step(instruction, rest)

    def run(self, *arguments: str, **variables: str) -> None:
        """Start it with arguments, or with those of CMD."""
        self._enter([*self._entry, *(arguments or self._command)], variables)

    def _step(self, instruction: str, rest: str) -> None:
        if instruction == "RUN":
            self._enter(["/bin/sh", "-c", rest], {})
        elif instruction == "COPY":
            self._copy(*copied(rest))
        elif instruction == "WORKDIR":
            self._directory = rest
            (self.debian.root / rest[1:]).mkdir(parents=True, exist_ok=True)
        elif instruction == "USER":
            self._user = rest
        elif instruction == "ENV":
            for pair in rest.split():
                name, _, value = pair.partition("=")
                self._variables[name] = value.replace("$PATH", "/usr/local/bin:/usr/bin:/bin")
        elif instruction == "ENTRYPOINT":
            self._entry = words_of(rest)
        elif instruction == "CMD":
            self._command = words_of(rest)

    def _copy(self, stage: str | None, sources: list[str], target: str) -> None:
        there = self.debian.root / str(Path(self._directory) / target)[1:]
        if stage is not None:
            (source,) = sources
            subprocess.run(
                ["cp", "-a", str(self._others[stage].debian.root / source[1:]), str(there)],
                check=True,
            )
            return
        for source in sources:
            if source not in readable(ROOT / ".dockerignore"):
                raise SystemExit(f".dockerignore hides {source}")
            path = ROOT / source
            if path.is_dir():
                shutil.copytree(path, there, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, there)

    def _enter(self, command: list[str], variables: dict[str, str]) -> None:
        self.debian.run(
            command,
            environment=self._variables | variables,
            user=self._user,
            directory=self._directory,
        )


def _use(image: _Container, home: Path) -> None:
    """Run the image's commands, with servers of this machine."""
    image.run()
    image.run("--version")
    image.run("web", "--help")
    endpoints = devserver.up(home)
    try:
        urls = {
            f"{PREFIX}AMQP_URL": endpoints.amqp_url,
            f"{PREFIX}DATABASE_URL": endpoints.database_url,
        }
        image.run("loader", "migrate", **urls)
        image.run("producers", "publish", "--clients", "50", "--cycles", "2", **urls)
        image.run("relay", "run", "--exit-when-empty", **urls)
        image.run("loader", "run", "--exit-when-empty", **urls)
        image.run("verify", **urls)
    finally:
        devserver.down(home, purge=True)


if __name__ == "__main__":
    main()
