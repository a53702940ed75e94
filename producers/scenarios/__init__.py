"""Scenarios that look like software updates: what synthetic clients have to tell."""

from producers.scenarios.stream import away, recorded

__all__ = ["away", "recorded"]
