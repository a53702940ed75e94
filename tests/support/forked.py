"""A command in a process that was forked from one that has imported everything.

Starting an interpreter and importing take most of the time of a short command, a second on a busy
machine, and tests run hundreds. The process has its own streams, environment, directory and exit
code. `tests.support.commands.run` uses it.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import statesys


def command(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, streams: Path
) -> None:
    """Run the command, in a new child of the fork server.

    Args:
        arguments: of the command.
        env: its whole environment.
        cwd: its working directory, this one by default.
        streams: a directory with the files `0`, `1` and `2`: stdin, stdout and stderr.
    """
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        opened = os.open(streams / str(descriptor), flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 (for good)
        for descriptor, mode in enumerate(("r", "w", "w"))
    )
    os.environ.clear()
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = ["statesys", *arguments]
    statesys.main()
