"""The live parts of pages: the same templates for a page and for an event."""

from collections.abc import Mapping
from typing import Any

from web.charts import HEIGHT, WIDTH, charts, sparse
from web.page import fragment
from web.watching import Look

#: Each is `parts/NAME.html`, and the name of its event.
PARTS = ("findings", "flow", "flow-table", "charts", "charts-table", "queues", "workers")


def values(look: Look) -> dict[str, Any]:
    """What the templates of the parts draw."""
    return {
        "look": look,
        "flow": look.flows[-1],
        "now": look.status.at,
        "charts": charts(look.flows),
        "chart_size": (WIDTH, HEIGHT),
        "sparse": sparse(look.flows),
    }


def draw(look: Look) -> Mapping[str, str]:
    """Every part as HTML, by name."""
    drawn = values(look)
    return {name: fragment(f"parts/{name}.html", **drawn) for name in PARTS}
