"""The sum of all results, and the verdict on them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from lab.verify.comparison import ClientResult, Place

#: This many offenders are named; the others are only counted.
NAMED = 10


@dataclass
class Tally:
    """Adds up the results of all clients in one comparison.

    Attributes:
        clients: clients of the store.
        foreign_clients: clients in the database but not in the store; only counted.
        places: messages in each place.
        offenders: sentences about the first few clients that break the promise.
        inconsistent: clients whose missing ranges are not [1, highest] - accounted.
        exempt: sentences about the clients whose states cannot be compared.
        letters_cut: there are more dead letters than were read, which may hold further serials.
    """

    clients: int = 0
    foreign_clients: int = 0
    places: Counter[Place] = field(default_factory=Counter)
    equal_states: int = 0
    differing_states: int = 0
    states_behind: int = 0
    never_sent: int = 0
    reused_rows: int = 0
    inconsistent: int = 0
    letters_cut: bool = False
    offenders: list[str] = field(default_factory=list)
    exempt: list[str] = field(default_factory=list)

    def add(self, result: ClientResult) -> None:
        """Add the result of one client."""
        self.clients += 1
        self.places.update(result.places)
        self.equal_states += result.equal_states
        self.differing_states += len(result.differing)
        self.states_behind += len(result.behind)
        self.never_sent += len(result.never_sent)
        self.reused_rows += result.reused_rows
        if result.exempt:
            self.exempt.append(f"{result.client_id}: {result.exempt}")
        if not result.holds:
            for sentence in _sentences(result):
                self.name(sentence)

    def add_inconsistent(self, client_id: UUID) -> None:
        """Count a client whose rows in the database contradict each other."""
        self.inconsistent += 1
        self.name(f"{client_id}: open missing ranges are not [1, highest] - accounted")

    def name(self, sentence: str) -> None:
        """Keep a sentence about an offender, up to `NAMED` of them."""
        if len(self.offenders) < NAMED:
            self.offenders.append(sentence)

    @property
    def messages(self) -> int:
        """The number of messages that the clients of the store numbered."""
        return self.places.total()

    @property
    def unaccounted(self) -> int:
        """The number of messages without a place."""
        return self.places[Place.UNACCOUNTED]

    @property
    def holds(self) -> bool:
        """Whether the promise holds."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What breaks the promise, in words; empty when it holds."""
        counted = (
            (self.unaccounted, "message unaccounted for", "messages unaccounted for"),
            (self.places[Place.ALTERED], "message altered", "messages altered"),
            (self.never_sent, "row that was never sent", "rows that were never sent"),
            (self.differing_states, "state differs", "states differ"),
            (
                self.states_behind,
                "state waits for a message that is not loaded",
                "states wait for messages that are not loaded",
            ),
            (self.inconsistent, "client with wrong ranges", "clients with wrong ranges"),
        )
        return [f"{n:,} {one if n == 1 else many}" for n, one, many in counted if n]

    def as_data(self) -> dict[str, Any]:
        """The output of `--json`."""
        return {
            "verified": self.holds,
            "clients": self.clients,
            "foreign_clients": self.foreign_clients,
            "messages": self.messages,
            "places": {place.value: self.places[place] for place in Place},
            "never_sent": self.never_sent,
            "reused_rows": self.reused_rows,
            "states": {
                "equal": self.equal_states,
                "differing": self.differing_states,
                "behind": self.states_behind,
            },
            "inconsistent_clients": self.inconsistent,
            "letters_cut": self.letters_cut,
            "problems": self.problems,
            "offenders": self.offenders,
            "exempt_clients": self.exempt,
        }


def _sentences(result: ClientResult) -> list[str]:
    """One sentence for each kind of problem of a client."""
    serials = (
        (result.unaccounted, "unaccounted for"),
        (result.altered, "loaded with other content than was sent"),
        (result.never_sent, "loaded but never sent"),
    )
    topics = (
        (result.differing, "differs from the client's own"),
        (result.behind, "waits for a message that is not loaded"),
    )
    return [
        *(f"{result.client_id}: serial {_few(found)} {what}" for found, what in serials if found),
        *(
            f"{result.client_id}: state of topic {_topic(found[0])} {what}"
            + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
            for found, what in topics
            if found
        ),
    ]


def _few(serials: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, serials[:5]))
    return shown if len(serials) <= 5 else f"{shown} and {len(serials) - 5} more"


def _topic(topic: tuple[int, str, str]) -> str:
    kind, topic_id, sid = topic
    return f"{kind} {topic_id}" + (f" of {sid}" if sid else "")
