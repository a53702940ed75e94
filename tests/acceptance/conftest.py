"""One secure site for all tests here; starting its servers takes about ten seconds."""

from collections.abc import Iterator

import pytest

from tests.support.life import Life
from tests.support.secure_site import SecureSite


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureSite]:
    """Servers with TLS, and the documented users and roles; nothing has been sent yet."""
    made = SecureSite(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def life(site: SecureSite) -> Life:
    """A fleet that lost reports, was asked for a resync, and answered."""
    return Life(site)
