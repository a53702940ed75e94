"""Sessions have the settings that they need, whatever role, database and environment set."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from runtime.database import own_session, shared_session
from runtime.database.settings import OURS
from schemas.errors import SettingsError
from tests.support.processes import batch, drain, fill
from tests.support.round import load, look
from tests.support.world import message, report

#: Another value for each setting of a session, and for some that are left to the site.
OTHERS = {
    "synchronous_commit": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "client_encoding": "LATIN1",
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
    "timezone": "Asia/Tokyo",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "search_path": "nowhere",
    "row_security": "on",
    "exit_on_error": "on",
    "default_table_access_method": "heap",
    "check_function_bodies": "off",
    "client_min_messages": "debug5",
    "session_replication_role": "replica",
    "statement_timeout": "600",
    "lock_timeout": "300",
    "idle_in_transaction_session_timeout": "600",
    "idle_session_timeout": "2000",
    "jit": "on",
    "plan_cache_mode": "force_generic_plan",
    **{name: "off" for name in OURS if name.startswith("enable_")},
    # Left to the site.
    "work_mem": "64",
    "temp_buffers": "800",
    "xmlbinary": "hex",
    "xmloption": "document",
    "backslash_quote": "off",
    "escape_string_warning": "on",
    "quote_all_identifiers": "on",
    "default_toast_compression": "pglz",
    "default_text_search_config": "german",
    "gin_fuzzy_search_limit": "1",
    "from_collapse_limit": "1",
    "join_collapse_limit": "1",
    "geqo_threshold": "2",
    "lc_messages": "C",
    "lc_time": "C",
    "lc_numeric": "C",
    "cursor_tuple_fraction": "0.001",
    "commit_delay": "1000",
    "vacuum_cost_delay": "10",
    "default_statistics_target": "1",
    "random_page_cost": "1000",
    "cpu_tuple_cost": "1000",
    "tcp_keepalives_idle": "7",
}


@pytest.fixture
def administration(database_url: str) -> Iterator[psycopg.Connection]:
    """A session that was opened before the defaults change."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def alter(connection: psycopg.Connection, whose: str, settings: dict[str, str]) -> None:
    """Give the role (in this database only) or the database other defaults."""
    database, user = sql.Identifier(connection.info.dbname), sql.Identifier(connection.info.user)
    owner = {
        "role": sql.SQL("ROLE {} IN DATABASE {}").format(user, database),
        "database": sql.SQL("DATABASE {}").format(database),
    }[whose]
    for name, value in settings.items():
        connection.execute(
            sql.SQL("ALTER {} SET {} = {}").format(
                owner,
                sql.Identifier(name),
                sql.SQL(value if name == "datestyle" else "{}").format(sql.Literal(value)),
            )
        )


@pytest.mark.parametrize("whose", ["role", "database"])
def test_a_whole_round_works_with_other_defaults(
    amqp_url: str, database_url: str, administration: psycopg.Connection, whose: str
) -> None:
    alter(administration, whose, OTHERS)
    load(amqp_url, database_url)
    look(amqp_url, database_url)


def test_a_large_report_is_loaded_whatever_time_a_statement_has(
    amqp_url: str, database_url: str, administration: psycopg.Connection
) -> None:
    alter(administration, "role", {"statement_timeout": "60"})
    fill(amqp_url, [batch(report(*map(message, range(1, 12_001)))), batch(report(message(12_001)))])
    drain(amqp_url, database_url, loader_threads=1)
    query = "SELECT count(*) FROM statesys.state_message"
    assert administration.execute(query).fetchone() == (12_001,)


def test_every_setting_of_ours_is_in_force(
    database_url: str, administration: psycopg.Connection
) -> None:
    alter(administration, "role", OTHERS)
    names = [setting.name for setting in OURS.values() if setting.since <= 15]
    with own_session(database_url, "test") as own, shared_session(database_url, "test") as shared:
        with own.transaction() as connection:
            found = {name: connection.execute(f"SHOW {name}").fetchone() for name in names}
        with shared.transaction() as connection:
            local = {name: connection.execute(f"SHOW {name}").fetchone() for name in names}
            assert connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
    # SHOW writes a minute as 1min.
    asked = {name: OURS[name].value for name in names}
    asked |= {"lock_timeout": "1min", "idle_in_transaction_session_timeout": "30s"}
    assert {name: value for name, (value,) in found.items() if value} == asked  # type: ignore[misc]
    # Only a superuser may set it; a reader's transaction need not.
    del asked["session_replication_role"], local["session_replication_role"]
    assert {name: value for name, (value,) in local.items() if value} == asked  # type: ignore[misc]


@pytest.mark.parametrize("kept", ["remote_apply", "remote_write"])
def test_what_a_site_chose_for_its_standbys_stays(
    database_url: str, administration: psycopg.Connection, kept: str
) -> None:
    alter(administration, "role", {"synchronous_commit": kept})
    with own_session(database_url, "test") as own:
        assert own.execute("SHOW synchronous_commit").fetchone() == (kept,)
    with shared_session(database_url, "test") as shared:
        assert shared.execute("SHOW synchronous_commit").fetchone() == (kept,)


def test_the_environment_of_libpq_is_overruled(
    amqp_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This timeout applies until the session sets its own, so it must be long enough for that.
    theirs = {"synchronous_commit": "off", "statement_timeout": "20s", "search_path": "nowhere"}
    for name, value in {
        "PGDATESTYLE": "SQL, DMY",
        "PGTZ": "Asia/Tokyo",
        "PGCLIENTENCODING": "LATIN1",
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in theirs.items()),
    }.items():
        monkeypatch.setenv(name, value)
    with psycopg.connect(database_url) as plain:
        assert {name: plain.execute(f"SHOW {name}").fetchone() for name in theirs} == {
            name: (value,) for name, value in theirs.items()
        }
    load(amqp_url, database_url)
    look(amqp_url, database_url)
    with own_session(database_url, "test") as own:
        assert {name: own.execute(f"SHOW {name}").fetchone() for name in theirs} == {
            name: (OURS[name].value,) for name in theirs
        }


def test_options_of_the_url_are_honoured_or_refused(database_url: str) -> None:
    url = urlsplit(database_url)
    honoured = url._replace(query="options=-c%20work_mem%3D77MB").geturl()
    with own_session(honoured, "test") as own:
        assert own.execute("SHOW work_mem").fetchone() == ("77MB",)
    refused = url._replace(query="options=-c%20statement_timeout%3D60").geturl()
    with pytest.raises(SettingsError, match="statement_timeout in its options"):
        own_session(refused, "test")
