"""All queries of the console to PostgreSQL."""

from console.queries.queries import Queries

__all__ = ["Queries"]
