"""TLS to both servers: clients check it, and error messages name what is wrong.

test_least_privilege.py shows that everything works over TLS: its site allows nothing else.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from console.queries import Queries
from runtime.broker import Administration, Session, connecting
from runtime.broker.management import queue_statistics
from runtime.database import own_session
from schemas.errors import BrokerUnavailable, DatabaseUnavailable
from schemas.topology import QUEUES
from tests.support.secure_site import FLEET, SecureSite

# The first test also waits for servers, users, and a fleet's whole life.
pytestmark = pytest.mark.timeout(300)

Url = Callable[[SecureSite], str]

#: Mistakes in a URL of the broker, and the error message of each.
BROKER: dict[str, tuple[Url, str]] = {
    "another authority": (
        lambda site: site.amqp_url("relay", cacertfile=site.foreign_authority),
        "certificate is not trusted",
    ),
    "no authority": (
        lambda site: site.amqp_url("relay").partition("?")[0],
        "certificate is not trusted",
    ),
    "another host name": (
        lambda site: site.amqp_url("relay", host="127.0.0.1"),
        "not valid for '127.0.0.1'",
    ),
    "no TLS": (
        lambda site: site.amqp_url("relay").partition("?")[0].replace("amqps", "amqp"),
        "write amqps://",
    ),
    "TLS at the port without it": (
        lambda site: site.amqp_url("relay").replace(f":{site.amqps}", f":{site.plain_amqp_port}"),
        "does not speak TLS",
    ),
    "a file that is not there": (
        lambda site: site.amqp_url("relay", cacertfile=Path("/nowhere/ca.pem")),
        "/nowhere/ca.pem cannot be used (no such file or directory)",
    ),
    "a file that is no certificate": (
        lambda site: site.amqp_url("relay", cacertfile=site.key),
        "cannot be used",
    ),
}
#: The same for the database.
DATABASE: dict[str, tuple[Url, str]] = {
    "another authority": (
        lambda site: site.database_url("owner", authority=site.foreign_authority),
        "certificate verify failed",
    ),
    "another host name": (
        lambda site: site.database_url("owner", host="127.0.0.1"),
        'does not match host name "127.0.0.1"',
    ),
    "no TLS": (
        lambda site: site.database_url("owner").partition("?")[0] + "?sslmode=disable",
        "no encryption",
    ),
    "a file that is not there": (
        lambda site: site.database_url("owner", authority=Path("/nowhere/ca.pem")),
        "/nowhere/ca.pem",
    ),
}


@pytest.mark.parametrize("mistake", BROKER)
@pytest.mark.parametrize("connect", [Session, Administration])
def test_a_broker_that_cannot_be_trusted_is_refused_in_words(
    site: SecureSite, connect: type[Session | Administration], mistake: str
) -> None:
    url, words = BROKER[mistake]
    with pytest.raises(BrokerUnavailable) as error:
        connect(url(site), name="test")
    assert words in str(error.value)
    assert "STATESYS_AMQP_URL" in str(error.value)


@pytest.mark.parametrize("connect", [Session, Administration])
def test_the_certificate_is_checked_for_the_host_that_is_tried(
    site: SecureSite, connect: type[Session | Administration], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "in_random_order", list)
    # The certificate is for localhost only.
    url = site.amqp_url("relay", host=f"127.0.0.1:{site.amqps},localhost")
    with closing(connect(url, name="test")):
        pass


@pytest.mark.parametrize("connect", [Session, Administration])
def test_a_host_that_refuses_the_user_is_passed_over(
    site: SecureSite,
    amqp_url: str,
    connect: type[Session | Administration],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connecting, "in_random_order", list)
    account, _, rest = amqp_url.rpartition("@")
    stranger = f"{account}@127.0.0.1:{site.plain_amqp_port}"
    with pytest.raises(BrokerUnavailable, match="refused user or password"):
        connect(stranger, name="test")
    with closing(connect(f"{stranger},{rest}", name="test")):
        pass


@pytest.mark.parametrize("mistake", DATABASE)
def test_a_database_that_cannot_be_trusted_is_refused_in_words(
    site: SecureSite, mistake: str
) -> None:
    url, words = DATABASE[mistake]
    for attempt in (
        lambda: own_session(url(site), "test"),
        lambda: Queries.open(url(site), name="test").__enter__(),
    ):
        with pytest.raises(DatabaseUnavailable) as error:
            attempt()
        assert words in str(error.value)
        assert "STATESYS_DATABASE_URL" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("relay", "run"), 3),
        (("producers", "publish", "--fleet", FLEET), 3),
        (("dead", "list"), 3),
        (("loader", "run"), 4),
        (("loader", "migrate"), 4),
        (("gaps",), 4),
    ],
    ids=str,
)
def test_commands_end_with_the_documented_exit_code(
    site: SecureSite, arguments: tuple[str, ...], code: int
) -> None:
    done = site.run(
        *arguments,
        STATESYS_AMQP_URL=site.amqp_url("relay", host="127.0.0.1"),
        STATESYS_DATABASE_URL=site.database_url("owner", host="127.0.0.1"),
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert "Error: " in done.stderr


def test_a_broker_takes_a_client_certificate_of_its_authority_only(site: SecureSite) -> None:
    for authority, accepted in ((site.ca, True), (site.other, False)):
        certificate, key = site.issue(f"relay-{accepted}", authority, "relay")
        url = site.amqp_url("relay", cacertfile=site.authority, certfile=certificate, keyfile=key)
        if accepted:
            Administration(url, name="test").close()
            continue
        with pytest.raises(BrokerUnavailable) as error:
            Administration(url, name="test")
        assert site.password("statesys-relay") not in str(error.value)


def test_a_key_that_does_not_fit_or_has_a_password_is_told(site: SecureSite) -> None:
    certificate, _ = site.issue("fits", site.ca, "relay")
    _, key = site.issue("other", site.ca, "relay")
    url = site.amqp_url("relay", cacertfile=site.authority, certfile=certificate, keyfile=key)
    with pytest.raises(BrokerUnavailable, match=r"fits\.pem, its key cannot be used"):
        Administration(url, name="test")
    site.shell(f"openssl pkey -aes256 -passout pass:word -in {key} -out locked.key")
    locked = site.directory / "locked.key"
    url = site.amqp_url("relay", cacertfile=site.authority, certfile=certificate, keyfile=locked)
    with pytest.raises(BrokerUnavailable, match="the key has a password"):
        Administration(url, name="test")


def test_a_renewed_authority_is_used_by_the_next_connection(site: SecureSite) -> None:
    renewed = site.directory / "renewed.pem"
    url = site.amqp_url("relay", cacertfile=renewed)
    with pytest.raises(BrokerUnavailable, match=r"renewed\.pem"):
        Administration(url, name="test")
    renewed.write_bytes(site.authority.read_bytes())
    Administration(url, name="test").close()


def test_the_management_api_is_asked_over_tls_or_is_unknown(site: SecureSite) -> None:
    with Administration(site.amqp_url("installer"), name="test") as admin:
        admin.declare(QUEUES)
    amqp_url = site.amqp_url("operator")
    found = queue_statistics(site.management_url("operator"), amqp_url)
    assert found is not None
    assert {queue.name for queue in QUEUES} <= found.keys()
    for authority in (site.foreign_authority, Path("/nowhere/ca.pem")):
        assert queue_statistics(site.management_url("operator", authority), amqp_url) is None
    done = site.run(
        "status",
        user="operator",
        role="reader",
        STATESYS_MANAGEMENT_URL=site.management_url("operator", site.foreign_authority),
    )
    assert done.returncode == 0


def test_a_database_takes_a_client_certificate(site: SecureSite) -> None:
    certificate, key = site.issue("loader", site.ca, "loader")
    url = f"{site.database_url('loader')}&sslcert={certificate}&sslkey={key}"
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT ssl, client_serial IS NOT NULL FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == (True, True)
