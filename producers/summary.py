"""What a run of `publish` did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from producers.store import StoreReader, Totals


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Counts of one run.

    Attributes:
        clients: that took part.
        reports: rendered, lost ones included.
        messages: numbered, heartbeats included.
        heartbeats: numbered.
        injected: faults by kind.
        outbox: reports that are not confirmed; 0 unless the run was stopped.
        seconds: that it took.
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
        before: Totals,
        injected: Mapping[str, int],
        store: StoreReader,
        *,
        clients: int,
        seconds: float,
    ) -> Self:
        """What came to a store since `before` and `injected` were read from it."""
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
        """Reports rendered, published and confirmed."""
        return round(self.reports / self.seconds, 1) if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "reports_per_second": self.reports_per_second}

    def rows(self) -> list[tuple[str, str]]:
        """For a person."""
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
