"""Everything the console asks PostgreSQL; the only place in it that imports psycopg."""

from console.queries.queries import Queries

__all__ = ["Queries"]
