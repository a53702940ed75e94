"""Hostile inputs by the hundred thousand: see docs/reliability.md."""
