"""The summary of a `publish` run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from producers.store import StoreReader, StoreTotals


@dataclass(frozen=True, kw_only=True)
class FleetSummary:
    """Counts of one run.

    Attributes:
        clients: clients that took part.
        reports: rendered reports, lost ones included.
        messages: numbered messages, heartbeats included.
        heartbeats: numbered heartbeats.
        injected: number of injected faults by kind.
        outbox: reports that are not confirmed; 0 unless the run was stopped.
        seconds: duration of the run.
    """

    clients: int
    reports: int
    messages: int
    heartbeats: int
    injected: Mapping[str, int]
    outbox: int
    seconds: float

    @classmethod
    def between(
        cls,
        before: StoreTotals,
        injected: Mapping[str, int],
        store: StoreReader,
        *,
        clients: int,
        seconds: float,
    ) -> Self:
        """Count what a run added to a store.

        Args:
            before: totals of the store before the run.
            injected: faults by kind before the run.
            store: the store after the run.
            clients: clients that took part.
            seconds: duration of the run.
        """
        after = store.totals()
        return cls(
            clients=clients,
            reports=after.reports - before.reports,
            messages=after.messages - before.messages,
            heartbeats=after.heartbeats - before.heartbeats,
            injected={
                fault: count - injected.get(fault, 0)
                for fault, count in store.injected_by_kind().items()
            },
            outbox=after.outbox,
            seconds=round(seconds, 3),
        )

    @property
    def reports_per_second(self) -> float:
        """Rendered reports per second, lost ones included."""
        return round(self.reports / self.seconds, 1) if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as a JSON object."""
        return {**asdict(self), "reports_per_second": self.reports_per_second}

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a table at the terminal."""
        return [
            ("clients", f"{self.clients:,}"),
            ("reports", f"{self.reports:,}"),
            ("messages", f"{self.messages:,}"),
            ("heartbeats", f"{self.heartbeats:,}"),
            *((f"injected: {fault}", f"{count:,}") for fault, count in self.injected.items()),
            ("left in the outbox", f"{self.outbox:,}"),
            ("seconds", f"{self.seconds:,.1f}"),
            ("reports/s", f"{self.reports_per_second:,.0f}"),
        ]
