"""Shared parts of tests: builders, servers, processes, waiting."""
