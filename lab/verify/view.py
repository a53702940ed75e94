"""The outcome of `verify` as text."""

from rich.console import Console
from rich.text import Text

from console.output import facts
from lab.verify.backlog import Backlog
from lab.verify.comparison import Place
from lab.verify.verdict import NAMED, Tally

#: Labels of the places, in the order of the output.
_WORDS = {
    Place.LOADED: "loaded",
    Place.OVERTAKEN: "overtaken by a resync",
    Place.DEAD: "in a dead letter",
    Place.OUTBOX: "in the outbox",
    Place.MISSING: "in an open missing range",
    Place.UNACCOUNTED: "unaccounted for",
    Place.ALTERED: "altered",
    Place.DESTROYED: "destroyed, and missed by nobody",
}


def waiting(backlog: Backlog) -> str:
    """The sentence for an outcome without a comparison."""
    return f"not verified yet: still on the way: {backlog}; is every worker running?"


def show(tally: Tally, console: Console) -> None:
    """Print the counts, the offenders and the verdict; the verdict is the last line."""
    console.print(
        facts(
            [
                ("clients", tally.clients),
                ("messages numbered", tally.messages),
                *((f"  {words}", tally.places[place]) for place, words in _WORDS.items()),
                ("states equal", tally.equal_states),
                ("states differing", tally.differing_states + tally.states_behind),
                *_rare(tally),
            ]
        )
    )
    for sentence in tally.offenders:
        console.print(Text(f"  {sentence}"))
    for sentence in tally.exempt[:NAMED]:
        console.print(Text(f"  not compared: {sentence}"))
    if tally.letters_cut:
        console.print("not all dead letters were read: they are too many")
    console.print(Text(verdict(tally), style="bold green" if tally.holds else "bold red"))


def verdict(tally: Tally) -> str:
    """One line: `verified …` or `NOT verified …`."""
    if tally.holds:
        return (
            f"verified: {tally.messages:,} messages of {tally.clients:,} clients are accounted "
            f"for, {tally.equal_states:,} states are equal"
        )
    return f"NOT verified: {'; '.join(tally.problems)}"


def _rare(tally: Tally) -> list[tuple[str, object]]:
    """Lines that are shown only when their count is not 0."""
    rows = (
        ("rows that were never sent", tally.never_sent),
        ("rows under serials used twice", tally.reused_rows),
        ("clients with wrong ranges", tally.inconsistent),
        ("clients whose states cannot be compared", len(tally.exempt)),
        ("clients of other stores", tally.foreign_clients),
    )
    return [(words, count) for words, count in rows if count]
