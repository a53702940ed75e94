"""What the operator's commands are run on."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import commands
from tests.console.pipeline import Pipeline

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """No server anywhere."""
    return commands.bare_environment(tmp_path / "home")


@pytest.fixture
def environment(
    bare_environment: dict[str, str], amqp_url: str, database_url: str
) -> dict[str, str]:
    """A broker and a migrated database of the test's own."""
    return {
        **bare_environment,
        "STATESYS_AMQP_URL": amqp_url,
        "STATESYS_DATABASE_URL": database_url,
    }


@pytest.fixture
def run() -> Run:
    """Run a command; it must never show a traceback."""
    return commands.run


@pytest.fixture
def pipeline(environment: dict[str, str], run: Run, tmp_path: Path) -> Pipeline:
    """A fleet that has not sent anything yet."""

    def work() -> None:
        for worker in ("relay", "loader"):
            done = run(worker, "run", "--exit-when-empty", env=environment)
            assert done.returncode == 0, done.stderr

    return Pipeline(tmp_path / "fleet", environment["STATESYS_AMQP_URL"], work)
