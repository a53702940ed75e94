"""Through PgBouncer: sessions leave no settings behind, and loaders run in the modes that work."""

import psycopg
import pytest

from tests.support.pooler import pooled
from tests.support.promises import keep, promise
from tests.support.round import load, look


def test_a_console_leaves_nothing_on_a_shared_connection(amqp_url: str, database_url: str) -> None:
    load(amqp_url, database_url)
    # PgBouncer itself sets application_name to that of the current client.
    settings = (
        "SELECT name, setting FROM pg_settings "
        "WHERE source = 'session' AND name <> 'application_name' ORDER BY 1"
    )
    # All clients share one server connection.
    with (
        pooled(database_url, "transaction", size=1) as through,
        psycopg.connect(through, autocommit=True, prepare_threshold=None) as other,
    ):
        before = other.execute(settings).fetchall()
        look(amqp_url, through)
        assert other.execute(settings).fetchall() == before
        other.execute("CREATE TABLE others (written integer)")


def test_a_loader_works_behind_a_pooler_in_session_mode(amqp_url: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA statesys CASCADE")
    with pooled(database_url, "session") as through:
        load(amqp_url, through)
        look(amqp_url, through)


@pytest.mark.parametrize("name", ["loader migrate", "loader run"])
def test_what_needs_a_session_refuses_a_pooler_in_transaction_mode(
    amqp_url: str, database_url: str, name: str
) -> None:
    with pooled(database_url, "transaction") as through:
        keep(promise(name, "a pooler lends out sessions"), amqp_url, through)
