"""The table of docs/operations.md about commands that refuse to start, as values."""

import re
from typing import NamedTuple

from click.testing import CliRunner

from schemas.errors import StatesysError
from statesys import cli
from tests.support.paths import OPERATIONS

_PAGE = OPERATIONS
_HEADING = "| command | refuses when | says | code |"


class Promise(NamedTuple):
    """A line of the table.

    Attributes:
        command: such as `loader run`.
        when: the condition under which it refuses.
        words: texts that its message has.
        code: its exit code.
    """

    command: str
    when: str
    words: tuple[str, ...]
    code: int

    def holds_in(self, told: str) -> bool:
        """Whether a message has all words, and no traceback."""
        return "Traceback" not in told and all(words in told for words in self.words)


def promises() -> list[Promise]:
    """All lines of the table."""
    _, _, rest = _PAGE.read_text(encoding="utf-8").partition(_HEADING)
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    found = []
    for line in lines:
        command, when, says, code = (cell.strip() for cell in line.strip("|").split("|"))
        words = tuple(re.findall("“([^”]+)”", says))
        found.append(Promise(command.strip("`"), when, words, int(code)))
    return found


def promise(command: str, when: str) -> Promise:
    """The line of a command and a condition."""
    (found,) = (one for one in promises() if (one.command, one.when) == (command, when))
    return found


def keep(made: Promise, amqp_url: str, database_url: str) -> None:
    """Run the command in this process, and check that it keeps its promise."""
    environment = {"STATESYS_AMQP_URL": amqp_url, "STATESYS_DATABASE_URL": database_url}
    done = CliRunner().invoke(cli, made.command.split(), env=environment)
    assert isinstance(done.exception, StatesysError), (made, done)
    assert made.holds_in(str(done.exception)), (made, done.exception)
    assert done.exception.exit_code == made.code
