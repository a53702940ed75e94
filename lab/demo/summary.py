"""The closing table and the last line of a demo."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.queries.rows import ClosingCounts
from producers.store import StoreTotals


@dataclass(frozen=True, kw_only=True)
class DemoSummary:
    """The result of a demo; every count comes from a store, a queue or the database.

    Attributes:
        sent: from the fleet's store.
        faults: injected ones by kind, in reports.
        counts: from the database.
        refused: dead letters.
        problems: what breaks the promise; empty means verified.
        seconds: duration of the demo.
    """

    sent: StoreTotals
    faults: Mapping[str, int]
    counts: ClosingCounts
    refused: int
    problems: tuple[str, ...]
    seconds: float

    @property
    def verified(self) -> bool:
        """Whether the promise holds."""
        return not self.problems

    def rows(self) -> list[tuple[str, object]]:
        """The rows of the table."""
        faults = ", ".join(f"{count:,} {kind}" for kind, count in self.faults.items())
        return [
            ("clients", self.sent.clients),
            ("reports rendered", self.sent.reports),
            ("  met a fault", faults or "none"),
            ("state messages forwarded", self.sent.messages),
            ("  of them heartbeats", self.sent.heartbeats),
            ("state messages loaded", self.counts.loaded),
            ("duplicates recognised", self.counts.duplicates),
            ("reports refused (dead letters)", self.refused),
            ("missing ranges opened", self.counts.ranges_opened),
            ("missing ranges closed", self.counts.ranges_closed),
            ("resyncs requested", self.counts.requested),
            ("resyncs answered", self.counts.answered),
            ("seconds", f"{self.seconds:.1f}"),
        ]

    def last_line(self) -> str:
        """The verdict and the counts, for people and for grep."""
        c = self.counts
        counts = (
            f"forwarded {self.sent.messages}, loaded {c.loaded}, duplicates {c.duplicates}, "
            f"refused {self.refused}, missing ranges opened {c.ranges_opened} "
            f"closed {c.ranges_closed}, resyncs requested {c.requested} answered {c.answered}"
        )
        if self.verified:
            return f"verified: {counts}"
        return f"NOT verified: {'; '.join(self.problems)}; {counts}"

    def as_data(self) -> dict[str, Any]:
        """The output of `--json`."""
        return {
            "verified": self.verified,
            "problems": list(self.problems),
            "clients": self.sent.clients,
            "reports": self.sent.reports,
            "forwarded": self.sent.messages,
            "heartbeats": self.sent.heartbeats,
            "faults": dict(self.faults),
            **self.counts._asdict(),
            "refused": self.refused,
            "seconds": round(self.seconds, 1),
        }
