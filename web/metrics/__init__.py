"""What the site knows, in Prometheus' text format."""

from web.metrics.collector import SiteMetrics
from web.metrics.measuring import measure

__all__ = ["SiteMetrics", "measure"]
