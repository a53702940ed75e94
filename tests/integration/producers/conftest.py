"""Stores of fleets."""

from tests.support.stores import directory, open_owned, store

__all__ = ["directory", "open_owned", "store"]
