"""Shows what is wrong with the site to a person, before everything else."""

from rich.console import Console
from rich.text import Text

from console.findings import Finding, Severity, findings
from console.status.gather import Status

#: Findings that are shown; the viewer shows all.
_MOST = 8
_STYLES = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.NOTICE: ""}


def findings_of(status: Status) -> list[Finding]:
    """What is wrong, by the status alone."""
    completeness = status.database.completeness if status.database else None
    return findings(status, completeness, status.at)


def with_findings(status: Status) -> dict[str, object]:
    """The status and what is wrong, for `--json`."""
    return {**status._asdict(), "findings": findings_of(status)}


def show_findings(status: Status, console: Console) -> None:
    """Print the worst findings; nothing when there are none."""
    found = findings_of(status)
    for one in found[:_MOST]:
        console.print(_line(one))
    if len(found) > _MOST:
        console.print(Text(f"and {len(found) - _MOST} more findings"))
    if found:
        console.print()


def _line(one: Finding) -> Text:
    return Text(f"{one.severity}: {one.sentence} ({one.command})", _STYLES[one.severity])
