"""The contracts between the rooms; no I/O."""
