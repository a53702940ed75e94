"""What every session of ours sets, whatever role, database, service file and environment say.

A setting that is not here is left to the site: it changes how fast something is or where it
lies (work_mem, costs, tablespaces), and not what comes out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from psycopg import sql


class Setting(NamedTuple):
    """A setting and the value that we need, as `pg_settings` writes it.

    Attributes:
        name: PostgreSQL's, in small letters.
        value: in PostgreSQL's base unit, which is milliseconds for every timeout here.
        as_well: other values that serve as well, and stay.
        since: the first major version that has it.
    """

    name: str
    value: str
    as_well: tuple[str, ...] = ()
    since: int = 15

    def takes(self, value: str) -> bool:
        """Whether a value need not be changed."""
        return value == self.value or value in self.as_well


#: Set by whoever sees a session: the value of the server's own file is then respected, because
#: it says that the server is not the one to write to.
READ_ONLY = "default_transaction_read_only"

_SETTINGS = (
    # A commit that is acknowledged is on disk, here and wherever the site says. `off` and `local`
    # break that promise; what a site raised or chose for its standbys stays.
    Setting("synchronous_commit", "on", as_well=("remote_write", "remote_apply")),
    # Each statement of a chunk sees what was committed when it began; see `load.sql`.
    Setting("default_transaction_isolation", "read committed"),
    Setting("default_transaction_deferrable", "off"),
    # The forms in which values travel.
    Setting("client_encoding", "UTF8"),
    Setting("datestyle", "ISO, YMD", as_well=("ISO, MDY", "ISO, DMY")),
    Setting("intervalstyle", "postgres"),
    Setting("timezone", "UTC"),
    Setting("bytea_output", "hex"),
    Setting("extra_float_digits", "1", as_well=("2", "3")),
    # The meaning of SQL text.
    Setting("standard_conforming_strings", "on"),
    Setting("array_nulls", "on"),
    Setting("transform_null_equals", "off"),
    Setting("search_path", "statesys"),
    # A policy that hides rows from us is an error, and not a gap in what we see.
    Setting("row_security", "off"),
    # What is refused ends a transaction, and not the session.
    Setting("exit_on_error", "off"),
    Setting("default_table_access_method", "heap"),
    Setting("check_function_bodies", "on"),
    Setting("client_min_messages", "warning", as_well=("notice", "error")),
    # Triggers and foreign keys are at work.
    Setting("session_replication_role", "origin"),
    # A statement takes as long as it takes; waiting for a lock, and doing nothing while holding
    # some, is bounded. Our idle sessions are of use later.
    Setting("statement_timeout", "0"),
    Setting("lock_timeout", "60000"),
    Setting("idle_in_transaction_session_timeout", "30000"),
    Setting("idle_session_timeout", "0"),
    Setting("transaction_timeout", "0", since=17),
    # With a partition for each day of the retention a plan looks so costly that PostgreSQL would
    # compile it to machine code in each chunk, which takes a hundred times as long as running it.
    Setting("jit", "off"),
    Setting("plan_cache_mode", "auto"),
    # What switches off a way of joining or reading makes the chunk's statements quadratic.
    Setting("enable_bitmapscan", "on"),
    Setting("enable_hashagg", "on"),
    Setting("enable_hashjoin", "on"),
    Setting("enable_indexonlyscan", "on"),
    Setting("enable_indexscan", "on"),
    Setting("enable_material", "on"),
    Setting("enable_memoize", "on"),
    Setting("enable_mergejoin", "on"),
    Setting("enable_nestloop", "on"),
    Setting("enable_partition_pruning", "on"),
    Setting("enable_seqscan", "on"),
    Setting("enable_sort", "on"),
)
OURS = {setting.name: setting for setting in _SETTINGS}
#: A superuser's; others may not touch it, so it is set only where it is wrong.
_SUPERUSERS = "session_replication_role"


def wanted(version: int, different: Mapping[str, str]) -> list[Setting]:
    """What a session sets on a server.

    Args:
        version: major, of the server.
        different: values by name that one kind of session has in place of ours.
    """
    return [
        setting._replace(value=different[setting.name], as_well=())
        if setting.name in different
        else setting
        for setting in _SETTINGS
        if setting.since <= version
    ]


def for_transaction(settings: list[Setting]) -> sql.Composed:
    """A statement that makes settings those of the transaction at hand, and of no other."""
    calls = [_call(setting) for setting in settings if setting.name != _SUPERUSERS]
    return sql.SQL("SELECT ") + sql.SQL(", ").join(calls)


def _call(setting: Setting) -> sql.Composed:
    name, value = sql.Literal(setting.name), sql.Literal(setting.value)
    if not setting.as_well:
        return sql.SQL("pg_catalog.set_config({}, {}, true)").format(name, value)
    return sql.SQL(
        "pg_catalog.set_config({name}, CASE WHEN pg_catalog.current_setting({name}) IN ({kept}) "
        "THEN pg_catalog.current_setting({name}) ELSE {value} END, true)"
    ).format(name=name, value=value, kept=sql.SQL(", ").join(map(sql.Literal, setting.as_well)))
