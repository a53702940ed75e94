"""Sites for viewers."""

from collections.abc import Callable, Iterator

import pytest

from runtime.devserver import Endpoints
from tests.integration.console.conftest import (
    _shared,
    bare_environment,
    copied,
    environment,
    pipeline,
)
from tests.support import commands, own
from tests.support.pipeline import Pipeline
from tests.support.viewers import Viewer, viewing

__all__ = ["bare_environment", "copied", "environment", "pipeline"]


@pytest.fixture
def viewer(environment: dict[str, str]) -> Iterator[Viewer]:
    """The viewer of a site of the test's own; its database is `database_url`."""
    with viewing(environment) as found:
        yield found


@pytest.fixture(scope="session")
def empty_site(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The environment of a site without clients, for tests that only read."""
    home = tmp_path_factory.mktemp("home")
    with own.site(endpoints, template=database_template(), home=home) as environment:
        yield environment


@pytest.fixture(scope="session")
def empty_viewer(empty_site: dict[str, str]) -> Iterator[Viewer]:
    """The viewer of a site that no client ever sent anything to."""
    with viewing(empty_site) as found:
        yield found


@pytest.fixture(scope="session")
def hostile(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """A fleet of which some clients are hostile, all loaded; for tests that only read."""
    directory = tmp_path_factory.mktemp("hostile")
    with _shared(endpoints, database_template(), directory) as pipeline:
        kinds = ("rollback", "twin", "lost", "ahead", "holes", "unknown", "malformed")
        rates = [word for kind in kinds for word in ("--hostile", f"{kind}=0.05")]
        done = commands.run(
            *("producers", "publish", "--fleet", pipeline.fleet, "--clients", 30, "--cycles", 4),
            *("--loss", 0.05, "--duplicate", 0.05, "--reorder", 0.05, *rates),
            env=pipeline.environment,
        )
        assert done.returncode == 0, done.stderr
        pipeline.work()
        yield pipeline
