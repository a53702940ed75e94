"""Commands as an operator runs them: a process with an environment, its streams and exit code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.console.pipeline import Pipeline

#: Seconds that any command but the demo may take.
_TIMEOUT = 60

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """No server anywhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STATESYS_")}
    return {**kept, "STATESYS_HOME": str(tmp_path / "home")}


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

    def call(
        *arguments: object, env: dict[str, str], given: str | None = None, **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "statesys", *map(str, arguments)],
            env=env,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
            **options,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return call


@pytest.fixture
def pipeline(environment: dict[str, str], run: Run, tmp_path: Path) -> Pipeline:
    """A fleet that has not sent anything yet."""

    def work() -> None:
        for worker in ("relay", "loader"):
            done = run(worker, "run", "--exit-when-empty", env=environment)
            assert done.returncode == 0, done.stderr

    return Pipeline(tmp_path / "fleet", environment["STATESYS_AMQP_URL"], work)
