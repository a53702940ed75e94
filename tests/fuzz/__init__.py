"""Hundreds of thousands of hostile inputs: see docs/reliability.md."""
