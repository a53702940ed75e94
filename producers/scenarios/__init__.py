"""Scenarios of software updates: they produce the state messages of synthetic clients."""

from producers.scenarios.stream import away, recorded

__all__ = ["away", "recorded"]
