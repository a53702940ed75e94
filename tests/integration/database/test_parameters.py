"""Each parameter of a URL is honoured or refused; none is ignored silently."""

from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from runtime.broker import Administration
from runtime.broker.connecting import parameters
from runtime.broker.management import require_usable
from runtime.database import own_session
from runtime.database.url import parsed
from runtime.database.url import require_usable as require_usable_database
from runtime.settings import load_settings, variable_of
from schemas.errors import DatabaseUnavailable, SettingsError

#: The connection of a session uses these values unchanged.
HONOURED = {
    "connect_timeout": "7",
    "application_name": "billing",
    "keepalives": "1",
    "keepalives_idle": "11",
    "keepalives_interval": "12",
    "keepalives_count": "13",
    "tcp_user_timeout": "14000",
    "sslmode": "prefer",
    "target_session_attrs": "read-write",
    "load_balance_hosts": "random",
    "channel_binding": "prefer",
    "gssencmode": "disable",
}
REFUSED = {
    "sslmode=none": "sslmode cannot have that value",
    "target_session_attrs=master": "target_session_attrs cannot",
    "load_balance_hosts=yes": "load_balance_hosts cannot",
    "connect_timeout=soon": "connect_timeout cannot",
    "keepalives_idle=1s": "keepalives_idle cannot",
    "channel_binding=yes": "channel_binding cannot",
    "client_encoding=LATIN1": "statesys itself decides client_encoding",
    "replication=database": "statesys itself decides replication",
    "ssl=true": "libpq does not know",
    "dbname=another": "dbname is told twice",
    "connect_timeout=1&connect_timeout=2": "connect_timeout is told twice",
    "hostaddr=127.0.0.1,127.0.0.2": "hostaddr names another number of servers",
    "options=-c%20statement_timeout%3D60": "sets statement_timeout",
    "options=--TimeZone%3DAsia%2FTokyo": "sets timezone",
    "options=-c%20default_transaction_read_only%3Don": "sets default_transaction_read_only",
    "options=-fs": "options other than",
    "options=-c%20work_mem%3D8MB%20-e": "options other than",
}
BROKER = {
    "connection_attempts=3": "statesys itself decides connection_attempts",
    "retry_delay=3": "statesys itself decides retry_delay",
    "socket_timeout=3": "statesys itself decides socket_timeout",
    "stack_timeout=3": "statesys itself decides stack_timeout",
    "blocked_connection_timeout=3": "statesys itself decides blocked_connection_timeout",
    "client_properties=%7B%7D": "statesys itself decides client_properties",
    "tcp_options=%7B%7D": "statesys itself decides tcp_options",
    "ssl_options=%7B%7D": "statesys itself decides ssl_options",
    "heartbeat=": "heartbeat has no value",
    "heartbeat=often": "cannot be used",
    "heartbeat=5&heartbeat=6": "cannot be used",
    "vhost=x": "does not know",
    "cacertfile=/x": "its scheme is without TLS",
}


def test_a_session_connects_as_the_url_says(database_url: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in HONOURED.items())
    with own_session(f"{database_url}?{query}", "statesys test") as session:
        used = {option.keyword.decode(): option.val for option in session.connection.pgconn.info}
        assert session.execute("SHOW application_name").fetchone() == ("billing",)
    assert {name: used[name] for name in HONOURED} == {
        name: value.encode() for name, value in HONOURED.items()
    }


def test_files_of_libpq_are_read(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(database_url)
    where = f"{parts.hostname}:{parts.port}"
    passwords, services = tmp_path / "passwords", tmp_path / "services"
    passwords.touch(mode=0o600)
    passwords.write_text(f"{where}:*:*:{parts.password}\n", encoding="utf-8")
    services.write_text(f"[site]\nhost={parts.hostname}\nport={parts.port}\n", encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    url = f"postgresql://{parts.username}@{where}{parts.path}?passfile={quote(str(passwords))}"
    with own_session(url, "test") as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert load_settings(database_url=url).required_database_url() == url
    through = f"postgresql:///{parts.path[1:]}?service=site&user={parts.username}"
    with own_session(f"{through}&password={parts.password}", "test") as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(DatabaseUnavailable, match=r"service or environment.*nowhere"):
        own_session(through.replace("site", "nowhere"), "test")
    passwords.unlink()
    with pytest.raises(SettingsError, match="passfile"):
        load_settings(database_url=url).required_database_url()
    with pytest.raises(SettingsError, match="passfile"):
        require_usable_database(url)


@pytest.mark.parametrize(
    "hosts", ["{0},127.0.0.1:1", "127.0.0.1:1,{0}", "no.host.invalid:5432,{0}"]
)
def test_every_host_of_a_list_is_tried(database_url: str, hosts: str) -> None:
    parts = urlsplit(database_url)
    user = f"{parts.username}:{parts.password}@"
    netloc = user + hosts.format(f"{parts.hostname}:{parts.port}")
    with own_session(parts._replace(netloc=netloc).geturl(), "test") as session:
        assert session.connection.info.port == parts.port


@pytest.mark.parametrize("query", REFUSED)
def test_a_database_url_says_what_is_wrong_with_it(query: str) -> None:
    with pytest.raises(SettingsError, match=REFUSED[query]):
        parsed(f"postgresql://user:password@host/name?{query}")


@pytest.mark.parametrize("name", ["database_url", "database_read_url", "web_operator_database_url"])
@pytest.mark.parametrize("url", ["", "http://x", "postgresql:///x?options=-fs"])
def test_the_variable_of_a_wrong_url_is_named(name: str, url: str) -> None:
    given = load_settings(**{"database_url": "postgresql:///x", name: url})
    required = {
        "database_url": given.required_database_url,
        "database_read_url": given.required_read_url,
        "web_operator_database_url": given.required_operator_database_url,
    }
    with pytest.raises(SettingsError, match=variable_of(name)):
        required[name]()


@pytest.mark.parametrize("ports", ["1,2,3", "0x1", "70000000"])
def test_ports_fit_the_hosts(ports: str) -> None:
    assert parsed("postgresql:///x?host=a,b&port=1").where == "a:1, b:1"
    with pytest.raises(SettingsError, match="port"):
        parsed(f"postgresql:///x?host=a,b&port={ports}")


@pytest.mark.parametrize("query", BROKER)
def test_a_broker_url_says_what_is_wrong_with_it(query: str) -> None:
    with pytest.raises(SettingsError, match=BROKER[query]):
        parameters(f"amqp://user:password@host/name?{query}", "test")


def test_a_broker_url_sets_what_is_a_sites_own(amqp_url: str) -> None:
    url = f"{amqp_url}?heartbeat=17&frame_max=65536&channel_max=9"
    (found,) = parameters(url, "test")
    assert (found.heartbeat, found.frame_max, found.channel_max) == (17, 65536, 9)
    assert parameters(amqp_url, "test")[0].heartbeat == 30
    with Administration(url, name="test") as admin:
        assert admin.depth("nothing") is None


@pytest.mark.parametrize(
    "url", ["http://u:p@host:15672/?columns=x", "ftp://u:p@host", "http://u:p/w@host", "http:///x"]
)
def test_a_management_url_is_usable_or_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="STATESYS_MANAGEMENT_URL"):
        require_usable(url)
    with pytest.raises(SettingsError, match="STATESYS_MANAGEMENT_URL"):
        load_settings(management_url=url).optional_management_url()
