"""Which letters a command means."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.broker.dead_letters import Letter
from schemas.errors import StatesysError


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Letters by name, by reason, or all.

    Attributes:
        names: of letters; empty means any.
        reason: None means any.
    """

    names: frozenset[str] = frozenset()
    reason: str | None = None

    def __call__(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (not self.names or letter.name in self.names) and (
            self.reason is None or letter.reason == self.reason
        )

    def check_found(self, letters: Sequence[Letter]) -> None:
        """See that every name was met.

        Raises:
            StatesysError: there is no such letter (any more).
        """
        unknown = sorted(self.names - {letter.name for letter in letters})
        if unknown:
            raise StatesysError(
                f"no dead letter {', '.join(unknown[:3])}"
                + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
                + "; `statesys dead list` shows the ids"
            )
