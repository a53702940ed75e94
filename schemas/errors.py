"""Every error of the project on one page, sorted by what must happen next.

=====================  ==========================================================  =========
error                  what happens next                                           exit code
=====================  ==========================================================  =========
`Refused`              the input breaks the contract: dead-letter it, go on        1
`NotTaken`             keep the message, try again or leave it where it is         1
`BrokerUnavailable`    wait, reconnect, go on                                      3
`PermissionMissing`    an operator has to grant it: end, and be redelivered        3
`TopologyWrong`        an operator has to delete a queue: end, and be redelivered  3
`DatabaseUnavailable`  wait, reconnect, go on                                      4
`SchemaMissing`        an operator has to migrate the database                     1
`UnknownCollection`    the operator has to write another name                      2
`SettingsError`        the operator has to change a flag or a variable             2
`Unusable`             the person has to give other values                        2
`SiteControlRefused`   the operator has to give another site control file          2
any other              a defect or a full machine: crash and be redelivered        1
=====================  ==========================================================  =========
"""

import signal
from enum import IntEnum

from schemas.refusal import Reason


class ExitCode(IntEnum):
    """The exit codes of commands; README.md lists them too. Click also ends with 1 and 2."""

    DONE = 0
    #: Failed, or not verified.
    FAILED = 1
    #: A command line, variable or URL that cannot be used.
    USAGE = 2
    BROKER = 3
    DATABASE = 4
    #: The user pressed Ctrl-C or did not answer a question.
    INTERRUPTED = 128 + signal.SIGINT


class StatesysError(Exception):
    """The base class: a command shows the error as one sentence, without a traceback.

    The message says what is wrong and what to do about it.
    """

    exit_code = ExitCode.FAILED


class Refused(StatesysError):
    """An input that breaks the contract of `docs/wire.md`.

    Attributes:
        reason: which rule was broken.
        detail: one sentence for a person; never empty.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Refused"], tuple[Reason, str]]:
        """Pickle reason and detail, for another process; `args` holds only the joined text."""
        return type(self), (self.reason, self.detail)


class NotTaken(StatesysError):
    """RabbitMQ returned a message because no queue takes it, or did not accept it."""


class BrokerUnavailable(StatesysError):
    """RabbitMQ cannot be reached, refused user or host, or closed the connection."""

    exit_code = ExitCode.BROKER


class PermissionMissing(StatesysError):
    """RabbitMQ's user lacks a permission. An operator must grant it: waiting does not help."""

    exit_code = ExitCode.BROKER


class TopologyWrong(StatesysError):
    """A queue or exchange differs from `schemas/topology.py`: waiting does not help."""

    exit_code = ExitCode.BROKER


class DatabaseUnavailable(StatesysError):
    """PostgreSQL cannot be reached, refuses access or is unwell; a retry may succeed."""

    exit_code = ExitCode.DATABASE


class SchemaMissing(StatesysError):
    """The database answers but has not been migrated (or not to this version)."""


class UnknownCollection(StatesysError):
    """There is no collection of a name that a person gave."""

    exit_code = ExitCode.USAGE

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no collection {name!r}: see `statesys collections list`")


class SettingsError(StatesysError):
    """A flag, a variable or a URL that cannot be used."""

    exit_code = ExitCode.USAGE


class Unusable(StatesysError):
    """Values of a command line or a URL that contradict each other, or that nothing has."""

    exit_code = ExitCode.USAGE


class SiteControlRefused(StatesysError):
    """A site control file that cannot be read, or has a value that cannot be used."""

    exit_code = ExitCode.USAGE
