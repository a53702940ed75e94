"""Small charts of the last minutes, as points of a polyline, and the numbers behind them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from web.flow import Flow

#: Size of a chart, in units of its own; the edges keep the line from being cut.
WIDTH, HEIGHT, EDGE = 300, 60, 3
#: Seconds that a chart shows, and from one row of the table to the next.
_SHOWN, _STEP = 600.0, 30.0

_SERIES: tuple[tuple[str, str, Callable[[Flow], float | None]], ...] = (
    ("Reports that wait", "reports", lambda flow: flow.reports),
    ("Batches that wait", "batches", lambda flow: flow.batches),
    ("Reports relayed", "reports/s", lambda flow: flow.relayed),
    ("Messages loaded", "messages/s", lambda flow: flow.loaded),
)


class Chart(NamedTuple):
    """One series.

    Attributes:
        unit: of its values.
        points: of a polyline in a box of `WIDTH` by `HEIGHT`; now is at the right edge.
        newest: of now; None while it is unknown.
        largest: of those drawn; None without any.
    """

    name: str
    unit: str
    points: str
    newest: float | None
    largest: float | None


def charts(flows: Sequence[Flow]) -> list[Chart]:
    """The charts of what was seen, oldest first."""
    return [_chart(name, unit, of, flows) for name, unit, of in _SERIES]


def sparse(flows: Sequence[Flow]) -> list[Flow]:
    """What was seen in each half minute, newest first."""
    chosen: list[Flow] = []
    for one in reversed(flows):
        if not chosen or (chosen[-1].at - one.at).total_seconds() >= _STEP:
            chosen.append(one)
    return chosen


def _chart(
    name: str, unit: str, of: Callable[[Flow], float | None], flows: Sequence[Flow]
) -> Chart:
    if not flows:
        return Chart(name, unit, "", None, None)
    last = flows[-1].at
    ago = [((last - flow.at).total_seconds(), of(flow)) for flow in flows]
    drawn = [(before, value) for before, value in ago if value is not None and before <= _SHOWN]
    largest = max((value for _, value in drawn), default=None)
    points = []
    for before, value in drawn:
        x = EDGE + (WIDTH - 2 * EDGE) * (1 - before / _SHOWN)
        y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (value / largest if largest else 0)
        points.append(f"{x:.1f},{y:.1f}")
    return Chart(name, unit, " ".join(points), of(flows[-1]), largest)
