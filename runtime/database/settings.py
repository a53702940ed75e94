"""The settings of all our sessions, whatever role, database, service file and environment say.

Other settings are left to the site (work_mem, costs, tablespaces): they change speed or storage,
and results stay the same.
"""

from collections.abc import Mapping
from typing import NamedTuple

from psycopg import sql


class Setting(NamedTuple):
    """A setting and the value that we need, as `pg_settings` writes it.

    Attributes:
        name: PostgreSQL's, in small letters.
        value: in PostgreSQL's base unit, which is milliseconds for every timeout here.
        as_well: other values that are good too, and are kept.
        since: the first major version that has it.
    """

    name: str
    value: str
    as_well: tuple[str, ...] = ()
    since: int = 15

    def takes(self, value: str) -> bool:
        """Whether a value can stay."""
        return value == self.value or value in self.as_well


#: Set by `session`, which respects the value in the server's own file: that value says that the
#: server must not be written to.
READ_ONLY = "default_transaction_read_only"

_SETTINGS = (
    # A commit that is acknowledged is on disk, here and on the standbys that the site chose. `off`
    # and `local` break that promise; the site's choice for its standbys is kept.
    Setting("synchronous_commit", "on", as_well=("remote_write", "remote_apply")),
    # Each statement of a chunk sees what was committed when it began; see `load.sql`.
    Setting("default_transaction_isolation", "read committed"),
    Setting("default_transaction_deferrable", "off"),
    # The formats of values.
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
    # A policy that hides rows from us causes an error, so that no rows are missing silently.
    Setting("row_security", "off"),
    # An error ends the transaction; the session goes on.
    Setting("exit_on_error", "off"),
    Setting("default_table_access_method", "heap"),
    Setting("check_function_bodies", "on"),
    # A commit that was not replicated is told by a warning alone; see `replication.py`.
    Setting("client_min_messages", "warning", as_well=("notice",)),
    # Triggers and foreign keys are active.
    Setting("session_replication_role", "origin"),
    # A statement may take any time. Waiting for a lock is limited, and so is an idle transaction,
    # since it holds locks. Idle sessions stay open, because they are used again.
    Setting("statement_timeout", "0"),
    Setting("lock_timeout", "60000"),
    Setting("idle_in_transaction_session_timeout", "30000"),
    Setting("idle_session_timeout", "0"),
    Setting("transaction_timeout", "0", since=17),
    # With a partition for each day of the retention, a plan looks so costly that PostgreSQL would
    # compile it to machine code for each chunk. That takes a hundred times as long as running it.
    Setting("jit", "off"),
    Setting("plan_cache_mode", "auto"),
    # If one of these is off, the chunk's statements can become quadratic.
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
#: Only a superuser may set it, so it is set only if its value is wrong.
_SUPERUSERS = "session_replication_role"


def wanted(version: int, different: Mapping[str, str]) -> list[Setting]:
    """The settings of a session on a server.

    Args:
        version: major version of the server.
        different: values by name that replace ours.
    """
    return [
        setting._replace(value=different[setting.name], as_well=())
        if setting.name in different
        else setting
        for setting in _SETTINGS
        if setting.since <= version
    ]


def for_transaction(settings: list[Setting]) -> sql.Composed:
    """A statement that makes settings for the current transaction only."""
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
