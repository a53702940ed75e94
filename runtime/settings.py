"""Settings: one frozen object, read once at the top of a command.

Names and defaults are those of the ConfigMgr site control file where it has one. Every field can
be given as a variable `STATESYS_<NAME>`; each command has flags for the fields that it uses.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
)

from runtime.durations import parse_duration, render_duration
from schemas.errors import SettingsError

PREFIX = "STATESYS_"
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(render_duration)]


class Settings(BaseModel):
    """Every setting with unit, default and reason."""

    model_config = ConfigDict(frozen=True)

    home: Path = Field(
        default=Path(".statesys"),
        description="Directory of the private servers that `statesys up` starts.",
    )
    amqp_url: SecretStr | None = Field(
        default=None,
        description="RabbitMQ, amqp://user:password@host:5672/vhost, or amqps:// with "
        "?cacertfile=, &certfile= and &keyfile=; several hosts of a cluster with commas between. "
        "Unset: the private one.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL, postgresql://user:password@host:5432/name, with "
        "?sslmode=verify-full&sslrootcert= for TLS; unset: the private one.",
    )
    database_read_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL for commands and pages that only read, a standby for example; "
        "unset: the database's URL.",
    )
    management_url: SecretStr | None = Field(
        default=None,
        description="RabbitMQ's management API, http://user:password@host:15672, or https:// with "
        "the files of the broker's URL; several hosts with commas between. It tells unacked "
        "counts and rates, which AMQP cannot. Unset: the private one, or unknown.",
    )
    web_operator_database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL for the actions of the viewer, with the rights of an operator; "
        "unset: the database's URL, which may then not be of a role that only reads.",
    )
    log_format: Literal["console", "json", "cmtrace"] = Field(
        default="console",
        description="How log lines are written: for people, as JSON, or as CMTrace reads them.",
    )
    log_file: Path | None = Field(
        default=None,
        description="File that log lines are appended to; in a directory it is statesys.log, of a "
        "relay mp_relay.log, of clients statemessage.log. Unset: stderr.",
    )
    log_max_size: int = Field(
        default=250_000,
        ge=10_000,
        description="Bytes of that file; when the next line exceeds them, the file becomes .lo_ "
        "and the .lo_ before is gone.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is written."
    )

    loader_threads: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Threads of a loader process, each with a database connection and a process "
        "that reads for it; unset: one for each processor, 2 to 4.",
    )
    loader_chunk_size: int = Field(
        default=256,
        ge=1,
        le=65536,
        description="KiB of SMX in one transaction; a chunk is whole SMX, at least one.",
    )
    chunks_together: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Chunks that one transaction loads at most while more of them wait.",
    )
    max_chunks_fetched: int = Field(
        default=100,
        ge=1,
        le=10000,
        description="Chunks a loader process holds at a time; its prefetch follows from it.",
    )
    inbox_polling_interval: Duration = Field(
        default=timedelta(milliseconds=200),
        description="An incomplete chunk is loaded after this wait at the latest.",
    )
    resync_check_interval: Duration = Field(
        default=timedelta(minutes=60),
        gt=timedelta(0),
        description="How often clients that are due for a resync are looked for; their requests "
        "are spread over this time.",
    )
    min_missing_message_age: Duration = Field(
        default=timedelta(minutes=2880),
        description="A missing range is asked for only when it is older: most messages are late, "
        "not lost. An unanswered request is given up after the same time.",
    )
    resync_merge_interval: Duration = Field(
        default=timedelta(hours=72),
        description="A client is asked about missing ranges at most once in this time.",
    )
    heartbeat_interval: Duration = Field(
        default=timedelta(minutes=15),
        description="A client that forwarded nothing for this long forwards a heartbeat, "
        "which makes a lost last message visible. A client without a word for three of them "
        "is quiet.",
    )
    forward_interval: Duration = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="Length of a client's forward cycle.",
    )
    batch_size: int = Field(
        default=256,
        ge=1,
        le=8192,
        description="KiB of SMX in one message from relay to loader; a single larger SMX "
        "travels alone.",
    )
    batch_linger: Duration = Field(
        default=timedelta(milliseconds=50),
        description="A batch is sent this long after its first report at the latest.",
    )
    max_report_size: int = Field(
        default=8192, ge=1, le=8192, description="KiB of a report; a larger one is refused."
    )
    max_missing_ranges: int = Field(
        default=1000,
        ge=1,
        le=10000,
        description="Missing ranges kept for one client; beyond, they become one merged range.",
    )
    reuse_date_tolerance: Duration = Field(
        default=timedelta(minutes=5),
        description="A report with old serials that was rendered this much later than the one "
        "with the highest serial is a sign of reused serials.",
    )
    resyncs_per_check: int = Field(
        default=500,
        ge=1,
        le=2**31 - 1,
        description="Clients asked at one check over the whole site, oldest first: answers are "
        "whole states, and too many at a time are a storm.",
    )
    resync_backlog_threshold: int = Field(
        default=1000,
        ge=0,
        le=2**31 - 1,
        description="No client is asked while more batches than this wait for the loaders: "
        "resyncs under backlog feed the backlog.",
    )
    retention: Duration = Field(
        default=timedelta(days=90),
        ge=timedelta(days=1),
        description="State messages, closed ranges and requests are removed when older.",
    )

    @property
    def threads(self) -> int:
        """Threads of a loader.

        The site control file has 4. On two cores, 2 threads load more (docs/performance.md). A
        single thread would not read while it waits for the database.
        """
        if self.loader_threads is not None:
            return self.loader_threads
        return min(max(len(os.sched_getaffinity(0)), 2), 4)

    def required_amqp_url(self) -> str:
        """Return the broker's URL.

        Raises:
            SettingsError: there is none.
        """
        return self._required("amqp_url", "RabbitMQ")

    def required_database_url(self) -> str:
        """Return the database's URL.

        Raises:
            SettingsError: there is none, or it is no PostgreSQL URL.
        """
        return self._usable_database_url("database_url")

    def required_read_url(self) -> str:
        """Return the database's URL for what only reads.

        Raises:
            SettingsError: there is none, or it is no PostgreSQL URL.
        """
        own = self.database_read_url is not None
        return self._usable_database_url("database_read_url" if own else "database_url")

    def required_operator_database_url(self) -> str:
        """Return the database's URL for the viewer's actions.

        Raises:
            SettingsError: there is none, or it is no PostgreSQL URL.
        """
        own = self.web_operator_database_url is not None
        return self._usable_database_url("web_operator_database_url" if own else "database_url")

    def optional_management_url(self) -> str | None:
        """Return the URL of the management API, or None.

        Raises:
            SettingsError: the URL cannot be used.
        """
        if self.management_url is None:
            return None
        url = self.management_url.get_secret_value()
        # Imported late: few commands need it.
        from runtime.broker.management import require_usable  # noqa: PLC0415

        require_usable(url)
        return url

    def _usable_database_url(self, name: str) -> str:
        url = self._required(name, "PostgreSQL")
        # Imported late: it uses psycopg, which is slow to import.
        from runtime.database.url import require_usable  # noqa: PLC0415

        require_usable(url, variable=variable_of(name))
        return url

    def _required(self, name: str, server: str) -> str:
        given: SecretStr | None = getattr(self, name)
        if given is None:
            raise SettingsError(
                f"no {server}: run `statesys up` for a private one, or set {variable_of(name)}"
            )
        return given.get_secret_value()


def variable_of(name: str) -> str:
    """The variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def load_settings(**flags: Any) -> Settings:
    """Read the settings: flags first, then variables, then defaults.

    Args:
        flags: values by field name; None is "not given".

    Raises:
        SettingsError: a value is invalid; the message names the variable or flag.
    """
    variables = {name: os.environ.get(variable_of(name)) for name in Settings.model_fields}
    flags_given = {name: value for name, value in flags.items() if value is not None}
    given = {**variables, **flags_given}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else "settings"
            words = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{variable_of(name)} (or its flag): {words}")
        raise SettingsError("; ".join(problems)) from None


def environment(**settings: object) -> dict[str, str]:
    """Variables for a child process: those of this process, and settings by field name.

    URLs are passed on like this, because every user of the machine can read arguments.
    """
    named = {variable_of(name): str(value) for name, value in settings.items()}
    return {**os.environ, **named}
