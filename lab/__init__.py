"""Proof and measurement: the demo, `verify`, the bench, and the launcher of their workers."""
