"""Environments and pipelines for the operator's commands."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from runtime.devserver import Endpoints
from tests.support import commands, own
from tests.support.pipeline import Pipeline

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Copied = Callable[[Pipeline], dict[str, str]]


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """An environment that names no server."""
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
def pipeline(environment: dict[str, str], tmp_path: Path) -> Pipeline:
    """A pipeline whose fleet has not sent anything yet."""
    return Pipeline(tmp_path / "fleet", environment)


@pytest.fixture(scope="session")
def loaded(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """Everything sent is loaded, although some came twice or late; for tests that only read."""
    directory = tmp_path_factory.mktemp("loaded")
    with _shared(endpoints, database_template(), directory) as pipeline:
        pipeline.publish(duplicate=0.2, reorder=0.2)
        pipeline.work()
        yield pipeline


@pytest.fixture(scope="session")
def lossy(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """Some reports were lost or damaged, the others are loaded; for tests that only read."""
    directory = tmp_path_factory.mktemp("lossy")
    with _shared(endpoints, database_template(), directory) as pipeline:
        pipeline.publish(loss=0.2, corrupt=0.2, duplicate=0.1)
        pipeline.work()
        yield pipeline


@pytest.fixture
def copied(endpoints: Endpoints) -> Iterator[Copied]:
    """A pipeline's environment with a copy of its database, which a test may change."""
    with ExitStack() as databases:

        def copy(pipeline: Pipeline) -> dict[str, str]:
            name = own.name_of(pipeline.environment["STATESYS_DATABASE_URL"])
            url = databases.enter_context(own.database(endpoints, template=name))
            return {**pipeline.environment, "STATESYS_DATABASE_URL": url}

        yield copy


@contextmanager
def _shared(endpoints: Endpoints, template: str, directory: Path) -> Iterator[Pipeline]:
    with own.site(endpoints, template=template, home=directory / "home") as environment:
        yield Pipeline(directory / "fleet", environment)
