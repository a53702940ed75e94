"""The plan of a fleet: clients, messages, seed and fault rates."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from producers.faults import FAULTS
from producers.hostile import HOSTILE
from producers.options import MAX_CLIENTS, MAX_MESSAGES
from schemas.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a fleet does.

    Attributes:
        clients: number of clients that take part, from client 0 on; 1 to 100,000.
        messages: mean number of state messages that a client records in a forward cycle.
        seed: of the seeded random numbers.
        faults: rate of each fault of `FAULTS` by name, a share of the reports; together at most 1.
        hostile: rate of each kind of `HOSTILE` by name, 0 to 1: a share of the clients' forward
            cycles, or of the reports for `malformed`.

    Raises:
        SettingsError: a value is out of range, or a name is unknown.
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
        # A report has at most one fault, so the shares cannot overlap.
        if any(not 0 <= rate <= 1 for rate in rates) or sum(rates) > 1:
            raise SettingsError("the rates of the faults lie between 0 and 1, together at most 1")
