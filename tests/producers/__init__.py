"""Tests of the synthetic clients."""
