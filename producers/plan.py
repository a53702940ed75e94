"""What a fleet is to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from producers.faults import FAULTS
from producers.hostile import HOSTILE
from producers.options import MAX_CLIENTS, MAX_MESSAGES
from schemas.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size of a fleet, how much its clients say, and what happens to their reports.

    Attributes:
        clients: how many take part, from number 0 on; 1 to 100,000.
        messages: mean number of state messages that a client records in a forward cycle.
        seed: everything else follows from it.
        faults: share of the reports, 0 to 1, that meet each fault; names as in `FAULTS`.
        hostile: share of the forward cycles, 0 to 1, in which each kind of hostility happens to a
            client; names as in `HOSTILE`.

    Raises:
        SettingsError: for numbers that make no fleet.
    """

    clients: int = 100
    messages: float = 4
    seed: int = 1
    faults: Mapping[str, float] = field(default_factory=dict)
    hostile: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.clients <= MAX_CLIENTS:
            raise SettingsError(f"a fleet has 1 to {MAX_CLIENTS} clients, not {self.clients}")
        if not 0 <= self.messages <= MAX_MESSAGES:
            raise SettingsError(f"0 to {MAX_MESSAGES} messages in a cycle, not {self.messages}")
        unknown = (self.faults.keys() - FAULTS.keys()) | (self.hostile.keys() - HOSTILE.keys())
        if unknown:
            raise SettingsError(f"no such fault: {', '.join(sorted(unknown))}")
        if any(not 0 <= rate <= 1 for rate in self.hostile.values()):
            raise SettingsError("the rates of hostile kinds lie between 0 and 1")
        rates = self.faults.values()
        # A report meets one fault at most, so the shares cannot overlap.
        if any(not 0 <= rate <= 1 for rate in rates) or sum(rates) > 1:
            raise SettingsError("the rates of the faults lie between 0 and 1, together at most 1")
