"""The error of a rule or name that cannot be used."""

from schemas.errors import ExitCode, StatesysError


class RuleRefused(StatesysError):
    """A rule that breaks the grammar or a limit, or a name that no collection may have."""

    exit_code = ExitCode.USAGE
