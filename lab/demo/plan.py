"""What a demo is to do, and where it keeps things."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.demo.site import FLEET


@dataclass(frozen=True, kw_only=True)
class DemoPlan:
    """A demo's size and faults.

    Attributes:
        clients, messages, seed, faults: as in `producers.plan.Plan`, which checks them.
        cycles: forward cycles that every client lives.
        directory: the demo's own (`lab.demo.site`).
    """

    clients: int
    cycles: int
    messages: float
    seed: int
    faults: Mapping[str, float]
    directory: Path

    @property
    def fleet(self) -> Path:
        """Where the fleet's store is; `statesys verify --fleet` takes it afterwards."""
        return self.directory / FLEET
