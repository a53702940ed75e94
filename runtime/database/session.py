"""Sessions: connections with our settings.

An **own** session belongs to one worker alone. It makes its settings once, and verifies them. A
**shared** session may go through a pooler that gives each transaction another server connection:
it makes its settings for one transaction only, and leaves nothing behind. Neither needs a startup
parameter that a pooler refuses.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Self

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from runtime.database import errors
from runtime.database.replication import CommitWarnings
from runtime.database.settings import READ_ONLY, Setting, for_transaction, wanted
from runtime.database.url import Target, parsed
from schemas.errors import DatabaseUnavailable

Connection = psycopg.Connection[Any]

#: Connection parameters that the URL may override.
_CONNECTING: dict[str, Any] = {
    # Seconds to wait for PostgreSQL to answer.
    "connect_timeout": 10,
    # As a startup parameter, which poolers understand.
    "client_encoding": "UTF8",
    # A host that vanished is noticed within a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_NOTHING: Mapping[str, str] = {}
#: Sources in `pg_settings` of a default that does not come from the server's own file.
_OF_SESSIONS = ("database", "user", "database user", "client")
_READ = "SELECT name, setting, source FROM pg_catalog.pg_settings WHERE name = ANY(%s)"
#: pg_settings spells these with capitals.
_CAPITALS = {"datestyle": "DateStyle", "intervalstyle": "IntervalStyle", "timezone": "TimeZone"}


class Session:
    """A connection with its address for messages; it begins transactions with our settings.

    Args:
        target: where to connect.
        name: `application_name`, shown in `pg_stat_activity`.
        different: values by name that replace ours.
        shared: settings last for a transaction only.
        read_only: for shared sessions: PostgreSQL refuses everything that writes.
        autocommit: for own sessions: allow statements that cannot run in a transaction.

    Raises:
        DatabaseUnavailable: the server cannot be reached, refuses us, or refuses our settings.
    """

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        different: Mapping[str, str],
        shared: bool,
        read_only: bool = False,
        autocommit: bool = False,
    ) -> None:
        self._target = target
        self._name = name
        self._different = different
        self._shared = shared
        self._read_only = read_only
        self._autocommit = autocommit
        self.connection = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @property
    def broken(self) -> bool:
        """Whether the connection is closed or lost, so that a new session is needed."""
        return self.connection.closed

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate errors of psycopg into ours.

        If the error may be about the connection, close it: it may lead to the wrong server by now.
        After poison or a single failed statement it stays open.

        Raises:
            PoisonError: some row is refused for its values.
            StatementFailed: try again.
            DatabaseUnavailable: try again on a new session. Also after a commit that was not
                replicated as it should be, because a failover would undo it.
            SchemaMissing: the database is not migrated.
        """
        try:
            yield
        except psycopg.Error as error:
            ours = errors.translated(error, self.where)
            if not isinstance(ours, errors.StatementFailed):
                self.close()
            raise ours from None
        if self._warnings.taken():
            where = self.where
            self.close()
            raise errors.not_replicated(where)

    @contextmanager
    def transaction(
        self,
        *,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
        force_rollback: bool = False,
    ) -> Iterator[Connection]:
        """A transaction with our settings; inside another transaction it joins that one.

        Args:
            isolation: of a transaction that begins here.
            force_rollback: undo everything at the end of a transaction that begins here.

        Raises:
            As `translated`.
        """
        with self.translated():
            if self._in_transaction:
                yield self.connection
                return
            with self._begun(isolation, force_rollback=force_rollback):
                yield self.connection

    def execute(self, query: Any, values: Any = None) -> psycopg.Cursor[Any]:
        """Execute one statement; begin a transaction if there is none.

        Raises:
            As `translated`.
        """
        with self.translated():
            if not self._in_transaction:
                self._set_for_transaction()
            return self.connection.execute(query, values)

    def commit(self) -> None:
        """End the transaction that `execute` began.

        Raises:
            As `translated`.
        """
        with self.translated():
            self.connection.commit()

    def roll_back(self) -> None:
        """Roll the transaction back; close the connection if that fails."""
        try:
            self.connection.rollback()
        except psycopg.Error:
            self.close()

    @property
    def _in_transaction(self) -> bool:
        return self.connection.info.transaction_status in {
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }

    @property
    def role(self) -> str:
        """The database user whose permissions apply."""
        return self.connection.info.user

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        with suppress(psycopg.Error):
            return f"{self.connection.info.host}:{self.connection.info.port}"
        return self._target.where

    def _begun(self, isolation: IsolationLevel, *, force_rollback: bool) -> ExitStack:
        """Begin a transaction; reconnect if the server has ended an idle shared session."""
        try:
            return self._begin(isolation, force_rollback=force_rollback)
        except psycopg.OperationalError:
            if not (self._shared and self.connection.closed):
                raise
        self.connection = self._connect()
        return self._begin(isolation, force_rollback=force_rollback)

    def _begin(self, isolation: IsolationLevel, *, force_rollback: bool) -> ExitStack:
        self.connection.isolation_level = isolation
        with ExitStack() as begun:
            begun.enter_context(self.connection.transaction(force_rollback=force_rollback))
            self._set_for_transaction()
            return begun.pop_all()

    def _set_for_transaction(self) -> None:
        if self._shared:
            self.connection.execute(for_transaction(self._wanted(self.connection)))

    def _wanted(self, connection: Connection) -> list[Setting]:
        return wanted(connection.info.server_version // 10_000, self._different)

    def _connect(self) -> Connection:
        connection = open_connection(self._target, self._name)
        try:
            self._prepare(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, psycopg.Error):
                raise errors.translated(error, self._target.where) from None
            raise
        self._warnings = CommitWarnings(connection)
        return connection

    def _prepare(self, connection: Connection) -> None:
        # psycopg writes these into each BEGIN, so that defaults for transactions do not matter.
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        connection.deferrable = False
        if self._shared and self._read_only:
            connection.read_only = True
        else:
            with connection.transaction():
                # Reading the settings may take longer than a timeout that we override.
                connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL jit = off")
                overridable = _overridable(connection)
            connection.read_only = False if overridable else None
        if not self._shared:
            connection.execute("SET statement_timeout = 0; SET jit = off")
            self._set(connection)
        connection.autocommit = self._autocommit

    def _set(self, connection: Connection) -> None:
        settings = self._wanted(connection)
        if connection.read_only is False:
            settings.append(Setting(READ_ONLY, "off"))
        wrong = _wrong(connection, settings)
        if wrong:
            connection.execute(
                "SELECT set_config(name, value, false) "
                "FROM unnest(%s::text[], %s::text[]) AS wanted(name, value)",
                [[one.name for one in wrong], [one.value for one in wrong]],
            )
            wrong = _wrong(connection, settings)
        if wrong:
            names = ", ".join(setting.name for setting in wrong)
            raise DatabaseUnavailable(
                f"PostgreSQL at {self._target.where}: {names} cannot be set for a session; if a "
                "pooler stands before it, use one in session mode"
            )


def own_session(
    url: str, name: str, *, autocommit: bool = False, different: Mapping[str, str] = _NOTHING
) -> Session:
    """Open a session for one worker alone.

    Args:
        url: `postgresql://…`.
        name: `application_name`, shown in `pg_stat_activity`.
        autocommit: allow statements that cannot run in a transaction.
        different: values by name that replace ours, timeouts in milliseconds.

    Raises:
        DatabaseUnavailable: the server cannot be reached, refuses us, or refuses our settings.
        SettingsError: the URL cannot be used.
    """
    return Session(parsed(url), name=name, different=different, shared=False, autocommit=autocommit)


def shared_session(
    url: str, name: str, *, read_only: bool = True, different: Mapping[str, str] = _NOTHING
) -> Session:
    """Open a session that leaves nothing behind on its connection; a pooler may share it.

    Args:
        url: `postgresql://…`.
        name: `application_name`.
        read_only: PostgreSQL refuses everything that writes.
        different: values by name that replace ours, timeouts in milliseconds.

    Raises:
        DatabaseUnavailable: the server cannot be reached, or refuses us.
        SettingsError: the URL cannot be used.
    """
    return Session(parsed(url), name=name, different=different, shared=True, read_only=read_only)


def open_connection(target: Target, name: str) -> Connection:
    """Connect in autocommit mode, without our settings.

    Raises:
        DatabaseUnavailable: no server answers, or it refuses us.
    """
    try:
        # No prepared statements: each belongs to one server connection, and a pooler changes it.
        return psycopg.connect(
            make_conninfo(**{**_CONNECTING, "application_name": name, **target.parameters}),
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        raise errors.unreachable(error, target.where, target.secrets) from None


def _overridable(connection: Connection) -> bool:
    """Whether transactions are read-only by a default of role, database or environment.

    A default in the server's own file is respected: an operator or a switch-over sets it to say
    that this server must not be written to.
    """
    ((_, setting, source),) = connection.execute(_READ, [[READ_ONLY]]).fetchall()
    return setting == "on" and source in _OF_SESSIONS


def _wrong(connection: Connection, settings: list[Setting]) -> list[Setting]:
    names = [_CAPITALS.get(setting.name, setting.name) for setting in settings]
    found = {name.lower(): value for name, value, _ in connection.execute(_READ, [names])}
    return [setting for setting in settings if not setting.takes(found.get(setting.name, ""))]
