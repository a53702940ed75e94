"""What is wrong with a site, in order of harm: one sentence each, and the command that helps.

`findings` is pure: it judges what `console.status.gather` has read.
"""

from console.findings.finding import Finding, Severity
from console.findings.judging import NOTHING, findings

__all__ = ["NOTHING", "Finding", "Severity", "findings"]
