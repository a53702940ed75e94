"""The contracts that all packages share; no I/O."""
