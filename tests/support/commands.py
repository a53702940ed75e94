"""List all commands, and run one as an operator does, in a process of its own.

The process is forked from one that has imported everything (`tests.support.everything`), unless
the environment has variables that an interpreter reads only when it starts.
"""

import multiprocessing
import multiprocessing.process
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click

from runtime.settings import PREFIX
from statesys import cli
from tests.support import forked

#: Seconds that a command may take.
_TIMEOUT = 60

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.support.everything"])


def bare_environment(home: object) -> dict[str, str]:
    """This environment without statesys settings, so without any server."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    return {**kept, f"{PREFIX}HOME": str(home)}


def run(
    *arguments: object,
    env: Mapping[str, str],
    given: str = "",
    timeout: float = _TIMEOUT,
    cwd: Path | None = None,
    encoding: str = "utf-8",
) -> "subprocess.CompletedProcess[str]":
    """Run a `statesys` command; it must never show a traceback.

    Args:
        arguments: of the command.
        env: its whole environment.
        given: its stdin.
        timeout: seconds that it may take.
        cwd: its working directory, this one by default.
        encoding: of all three streams.
    """
    words = [*map(str, arguments)]
    with TemporaryDirectory(prefix="statesys-test-") as directory:
        streams = Path(directory)
        for number, text in enumerate((given, "", "")):
            (streams / str(number)).write_text(text, encoding=encoding)
        start = _interpreted if _shapes_python(env) else _forked
        code = start(words, env, cwd, streams, timeout)
        out, err = ((streams / name).read_text(encoding=encoding) for name in "12")
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(["statesys", *words], code, out, err)


def _shapes_python(env: Mapping[str, str]) -> bool:
    """Whether a variable that an interpreter reads at its start differs from ours."""
    return any(
        env.get(name) != os.environ.get(name)
        for name in {*env, *os.environ}
        if name.startswith(("PYTHON", "LC_", "LANG"))
    )


class Started(NamedTuple):
    """A command that goes on until it is stopped.

    Attributes:
        streams: a directory with the files `0`, `1` and `2`: stdin, stdout and stderr.
    """

    process: multiprocessing.process.BaseProcess
    streams: Path

    @property
    def err(self) -> str:
        """What it has written to stderr."""
        return (self.streams / "2").read_text(encoding="utf-8")


@contextmanager
def started(*arguments: object, env: Mapping[str, str]) -> Iterator[Started]:
    """Start a `statesys` command as `run` does; at the end it is killed, if it still runs."""
    words = [*map(str, arguments)]
    with TemporaryDirectory(prefix="statesys-test-") as directory:
        streams = Path(directory)
        for number in "012":
            (streams / number).touch()
        process = _SERVER.Process(target=forked.command, args=(words, dict(env), None, streams))
        process.start()
        try:
            yield Started(process, streams)
        finally:
            process.kill()
            process.join()
            process.close()


def _forked(
    words: list[str], env: Mapping[str, str], cwd: Path | None, streams: Path, timeout: float
) -> int:
    process = _SERVER.Process(target=forked.command, args=(words, dict(env), cwd, streams))
    process.start()
    try:
        process.join(timeout)
        if process.exitcode is None:
            raise subprocess.TimeoutExpired(["statesys", *words], timeout)
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def _interpreted(
    words: list[str], env: Mapping[str, str], cwd: Path | None, streams: Path, timeout: float
) -> int:
    with (
        (streams / "0").open("rb") as given,
        (streams / "1").open("wb") as out,
        (streams / "2").open("wb") as err,
    ):
        done = subprocess.run(
            [sys.executable, "-m", "statesys", *words],
            env=env,
            cwd=cwd,
            stdin=given,
            stdout=out,
            stderr=err,
            check=False,
            timeout=timeout,
        )
    return done.returncode


def commands(
    command: click.Command = cli, path: str = "statesys"
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that works without a further word, with its full name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, f"{path} {name}")
