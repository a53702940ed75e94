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
`SettingsError`        the operator has to change a flag or a variable             2
any other              a defect or a full machine: crash and be redelivered        1
=====================  ==========================================================  =========
"""

import signal
from enum import IntEnum

from schemas.refusal import Reason


class ExitCode(IntEnum):
    """With which code a command ends; README.md tells the same. Click ends with 1 and 2, too."""

    DONE = 0
    #: Failed, or not verified.
    FAILED = 1
    #: A command line, variable or URL that cannot be used.
    USAGE = 2
    BROKER = 3
    DATABASE = 4
    #: By Ctrl-C, or without an answer to its question.
    INTERRUPTED = 128 + signal.SIGINT


class StatesysError(Exception):
    """The root: a failure that is told to a person in one sentence, without a traceback.

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
        """For another process: by its own words, not by those of the sentence made of them."""
        return type(self), (self.reason, self.detail)


class NotTaken(StatesysError):
    """RabbitMQ returned a message that no queue takes, or did not accept it."""


class BrokerUnavailable(StatesysError):
    """RabbitMQ cannot be reached, refused user or host, or closed the connection."""

    exit_code = ExitCode.BROKER


class PermissionMissing(StatesysError):
    """RabbitMQ's user may not do this. It stays so until somebody grants it: no waiting."""

    exit_code = ExitCode.BROKER


class TopologyWrong(StatesysError):
    """A queue or exchange is there and is not what `schemas/topology.py` says: no waiting."""

    exit_code = ExitCode.BROKER


class DatabaseUnavailable(StatesysError):
    """PostgreSQL cannot be reached, refuses us or is unwell; the same may succeed later."""

    exit_code = ExitCode.DATABASE


class SchemaMissing(StatesysError):
    """The database answers but has not been migrated (or not to this version)."""


class SettingsError(StatesysError):
    """A flag, a variable or a URL that cannot be used."""

    exit_code = ExitCode.USAGE
