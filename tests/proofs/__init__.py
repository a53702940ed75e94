"""Proofs that need more than a test may: the package index, root, another Debian."""
