"""The loader's queries: what loader threads and periodic tasks do in PostgreSQL.

Each module is imported by its own name, so that a command loads only what it uses.
"""
