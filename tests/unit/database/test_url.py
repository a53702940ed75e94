"""URLs are read strictly, and no message holds a piece of a password."""

import pytest

from runtime.broker.connecting import parameters
from runtime.database import shared_session
from runtime.database.url import parsed
from schemas.errors import DatabaseUnavailable, SettingsError

#: Two pieces of a password, with a character between them that must be encoded.
FIRST, SECOND = "MaRk3r", "zz9q"


@pytest.mark.parametrize("between", ["@", "/", "#", "?", "%", " ", "\n", "ü", "?sslmode=x", "@@"])
@pytest.mark.parametrize("scheme", ["postgresql", "amqp"])
def test_an_ambiguous_url_is_refused_and_not_quoted(scheme: str, between: str) -> None:
    url = f"{scheme}://user:{FIRST}{between}{SECOND}@127.0.0.1:1/name"
    with pytest.raises(SettingsError, match="%XX") as error:
        _ = parsed(url) if scheme == "postgresql" else parameters(url, "test")
    assert FIRST not in str(error.value)
    assert SECOND not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        f"host=127.0.0.1 password={FIRST}",
        f"postgresql://127.0.0.1/name?{FIRST}=1",
        f"postgresql://127.0.0.1:{FIRST}/name",
        f"postgresql://::1:{FIRST}/name",
        f"postgresql://user:p@127.0.0.1/name?password={FIRST}",
        f"postgresql://127.0.0.1/name?password=%00{FIRST}",
    ],
)
def test_what_is_no_url_of_ours_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        parsed(url)
    assert FIRST not in str(error.value)


@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64])
@pytest.mark.parametrize("scheme", ["postgresql", "amqp"])
def test_a_host_for_which_no_resolver_can_be_asked_is_refused(scheme: str, host: str) -> None:
    url = f"{scheme}://user:{FIRST}@{host}/name"
    with pytest.raises(SettingsError, match="what stands for a host is none"):
        _ = parsed(url) if scheme == "postgresql" else parameters(url, "test")


def test_a_url_gives_what_libpq_needs() -> None:
    found = parsed(
        "postgresql://us%40er:p%2Fw%3A+@one,[::1]:5433/na%20me?target_session_attrs=read-write"
    )
    assert found.parameters == {
        "user": "us@er",
        "password": "p/w:+",
        "host": "one,::1",
        "port": ",5433",
        "dbname": "na me",
        "target_session_attrs": "read-write",
    }
    assert found.where == "one:5432, ::1:5433"
    assert parsed("postgresql:///x?options=--a.b%3Da+b").parameters["options"] == "--a.b=a+b"


@pytest.mark.parametrize("where", ["127.0.0.1:1", "no.host.invalid", "127.0.0.1:1,127.0.0.1:2"])
def test_a_server_that_is_away_is_told_without_the_password(where: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="STATESYS_DATABASE_URL") as error:
        shared_session(f"postgresql://user:{FIRST}%40{SECOND}@{where}/name", "test")
    assert FIRST not in str(error.value)
    assert SECOND not in str(error.value)
