"""Sessions with PostgreSQL, directly and through a pooler."""
