"""Tests of statesys."""
