"""Everything the console asks PostgreSQL."""

from console.queries.queries import Queries

__all__ = ["Queries"]
